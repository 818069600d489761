"""The entry point: what it refuses, and the command line and environment that it hands over."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from synthetic import PYTHON_FOLDER, write_files

SHOW = "import os, sys; print(sys.argv[1:]); print([os.environ.get(n) for n in ('PORT', 'WEB_CONCURRENCY', 'UVICORN_HOST', 'GUNICORN_CMD_ARGS')])"

# Only where this memory can be written to.
MEMORY = " --worker-tmp-dir=/dev/shm" if os.access("/dev/shm", os.W_OK) else ""


class StartTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        shutil.copy(PYTHON_FOLDER / "runtime" / "start", self.home)
        write_files(self.home, {"commands/web": f"{sys.executable}\n-c\n{SHOW}\ntwo words\n*"})

    def start(self, *arguments, **environment):
        # No PATH: the image has no coreutils, so nothing but the shell itself may be needed.
        return subprocess.run(
            ["/bin/sh", str(self.home / "start"), *arguments],
            env={"PATH": "/nowhere", **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def test_every_missing_variable_is_named_at_once(self):
        (self.home / "required").write_text("KEY\tsecret\t\nUSER_NAME\ttext\tDB_URL,PG_URL\nGIVEN\tint\nEMPTY\turl\n")
        done = self.start("web", GIVEN="1", EMPTY="")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("cannot start `web`: 3 necessary variables are not set", done.stderr)
        for text in ("KEY  (secret)", "USER_NAME  (text; or set DB_URL,PG_URL in its place)", "EMPTY  (url)"):
            self.assertIn(text, done.stderr)
        self.assertNotIn("GIVEN", done.stderr)

    def test_another_variable_in_its_place(self):
        (self.home / "required").write_text("USER_NAME\ttext\tDB_URL,PG_URL\n")
        self.assertEqual(self.start("web", PG_URL="x").returncode, 0)
        self.assertEqual(self.start("web", DB_URL="x").returncode, 0)
        self.assertEqual(self.start("web", USER_NAME="x").returncode, 0)
        self.assertEqual(self.start("web").returncode, 1)

    def test_every_own_command_is_guarded_and_no_other(self):
        (self.home / "required").write_text("KEY\tsecret\n")
        for command in ("web", "worker", "beat", "release", "migrate"):
            self.assertEqual(self.start(command).returncode, 1, command)
        done = self.start("/bin/sh", "-c", 'echo "$1"; exit 7', "x", "a b")
        self.assertEqual((done.returncode, done.stdout), (7, "a b\n"))

    def test_a_command_of_the_projects_own_name(self):
        write_files(self.home, {"commands/clock": "/bin/sh\n-c\necho tick", "commands/sh": "/bin/sh\n-c\necho declared"})
        self.assertEqual(self.start("clock").stdout, "tick\n")
        (self.home / "required").write_text("KEY\tsecret\n")
        done = self.start("clock")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot start `clock`", done.stderr)
        # A program has the name as well: what follows is for the program.
        self.assertEqual(self.start("sh", PATH="/bin", KEY="x").stdout, "declared\n")
        self.assertEqual(self.start("sh", "-c", "echo program", PATH="/bin").stdout, "program\n")
        self.assertEqual(self.start("../commands/clock", KEY="x").returncode, 127)

    def test_names_that_are_no_identifiers_run_nothing(self):
        (self.home / "required").write_text(f"A$(>{self.home}/ran)\tsecret\nB\ttext\t$(>{self.home}/ran)\n")
        self.assertEqual(self.start("web", B="x").returncode, 0)
        self.start("web")
        self.assertFalse((self.home / "ran").exists())

    def test_words_stay_whole_and_arguments_follow(self):
        done = self.start("web", "--more", "a b", WEB_CONCURRENCY="3", PORT="9000")
        words, values = map(eval, done.stdout.splitlines())
        self.assertEqual(words, ["two words", "*", "--more", "a b"])
        self.assertEqual(values, ["9000", "3", "0.0.0.0", "--bind=0.0.0.0:9000" + MEMORY])

    def test_defaults(self):
        done = self.start()
        port, workers, host, gunicorn = eval(done.stdout.splitlines()[1])
        self.assertEqual((port, host, gunicorn), ("8000", "0.0.0.0", "--bind=0.0.0.0:8000" + MEMORY))
        self.assertIn(int(workers), range(1, min(2 * len(os.sched_getaffinity(0)) + 1, 8) + 1))

    def test_an_address_of_its_own(self):
        done = self.start("web", DJSHIP_BIND="::1", PORT="81")
        self.assertEqual(eval(done.stdout.splitlines()[1])[2:], ["::1", "--bind=[::1]:81" + MEMORY])

    def gunicorn(self, **environment):
        return eval(self.start("web", **environment).stdout.splitlines()[1])[3]

    def test_gunicorn_arguments_of_the_caller_come_last(self):
        bind = "--bind=0.0.0.0:8000"
        for given, expected in [
            ("--threads 4", f"{bind}{MEMORY} --threads 4"),
            ("--bind=1.2.3.4:5", f"{MEMORY} --bind=1.2.3.4:5"),
            ("--threads 4 -b :5", f"{MEMORY} --threads 4 -b :5"),
            ("--backlog=9", f"{bind}{MEMORY} --backlog=9"),
        ]:
            self.assertEqual(self.gunicorn(GUNICORN_CMD_ARGS=given), expected.strip())

    def test_no_control_socket_where_gunicorn_has_one(self):
        package = self.home / "lib" / "gunicorn"
        package.mkdir(parents=True)
        self.assertNotIn("control", self.gunicorn())
        (package / "ctl").mkdir()
        self.assertTrue(self.gunicorn().endswith(" --no-control-socket"))
        given = "--control-socket=/run/x"
        self.assertTrue(self.gunicorn(GUNICORN_CMD_ARGS=given).endswith(f"{MEMORY} {given}"))

    def test_a_command_that_the_image_lacks(self):
        done = self.start("worker")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no command `worker`", done.stderr)

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed")
    def test_shellcheck(self):
        done = subprocess.run(["shellcheck", str(self.home / "start")], capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "")
