"""What a process depends on: real processes on small projects, and what a change to the project then means."""

import os
import subprocess
import tempfile
import textwrap
import unittest
from pathlib import Path

from synthetic import INTERPRETER, PYTHON_FOLDER, write_files

BUILD = PYTHON_FOLDER / "build"
# What the caller of a step does: record, then run the project's code from its folder.
STEP = """\
import os, sys
sys.path.insert(0, {build!r})
import reads
reads.start({root!r})
assert "DJSHIP_READS" not in os.environ and "reads" not in sys.modules
sys.path[0] = {root!r}
os.chdir({root!r})
exec(compile(sys.argv[1], "step", "exec"))
"""


def seen(root, fact, name):
    """What the caller compares: the state of the named thing, links not followed."""
    path = Path(root, name)
    if path.is_symlink():
        return "link", os.readlink(path)
    if not path.exists():
        return "absent"
    if fact == "l" and path.is_dir():
        return [(p.name, p.is_symlink(), p.is_dir()) for p in sorted(path.iterdir())]
    if fact == "o" and path.is_file():
        return path.read_bytes()
    return "folder" if path.is_dir() else "file"


class ReadsTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(os.path.realpath(folder.name))
        self.app = self.folder / "app"
        self.app.mkdir()
        self.facts_file = self.folder / "reads"

    def environment(self, **more):
        return {
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1",
            "DJSHIP_READS": str(self.facts_file), **more,
        }  # fmt: skip

    def facts(self, code, files=None, **environment):
        """The facts of a process that runs `code` in the project, as a set of "o NAME"."""
        write_files(self.app, files or {})
        self.run_python(["-c", STEP.format(build=str(BUILD), root=str(self.app)), textwrap.dedent(code)], **environment)
        return self.read_facts()

    def run_python(self, arguments, **environment):
        self.facts_file.unlink(missing_ok=True)
        done = subprocess.run(
            [INTERPRETER, *arguments], cwd=self.folder, env=self.environment(**environment),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.printed = done.stdout

    def read_facts(self):
        lines = self.facts_file.read_text(encoding="utf-8").splitlines()
        self.lines = [line.replace("\t", " ", 1) for line in lines]
        return set(self.lines)

    def changes(self, facts, change):
        """The facts that no longer hold after `change`."""
        split = [fact.split(" ", 1) for fact in facts if fact[0] != "x"]
        before = [seen(self.app, *fact) for fact in split]
        change()
        return {" ".join(fact) for fact, old in zip(split, before, strict=True) if seen(self.app, *fact) != old}

    def assert_unknown(self, facts, *words):
        reasons = [fact for fact in facts if fact[0] == "x"]
        self.assertEqual(len(reasons), 1, facts)
        for word in words:
            self.assertIn(word, reasons[0])

    def assert_known(self, facts):
        self.assertEqual([fact for fact in facts if fact[0] == "x"], [])


class ImportTest(ReadsTest):
    def test_a_folder_set_apart_counts_as_outside(self):
        files = {"site.py": "x = 1", ".cache/venv/lib/thing.py": "y = 2", ".cache/notes": "z"}
        code = """
            import os, sys
            sys.path.insert(0, ROOT + "/.cache/venv/lib")
            import thing
            os.listdir(ROOT + "/.cache"), os.path.exists(ROOT + "/.cache/none"), open(ROOT + "/.cache/notes").read()
            open(ROOT + "/.cache/../site.py").read()
        """.replace("ROOT", repr(str(self.app)))
        facts = self.facts(code, files, DJSHIP_READS_APART=str(self.app / ".cache"))
        self.assertIn("o site.py", facts)
        self.assertEqual([fact for fact in facts if ".cache/" in fact], [])

    def test_a_module_and_each_fact_once(self):
        facts = self.facts("import shop.models\nimport shop\nopen('shop/models.py').close()",
                           {"shop/__init__.py": "", "shop/models.py": "x = 1\n", "shop/views.py": "y = 1\n"})  # fmt: skip
        self.assertLessEqual({"o shop/__init__.py", "o shop/models.py", "l .", "l shop"}, facts)
        self.assertEqual([f for f in facts if "views" in f or "__pycache__" in f], [])
        self.assertEqual(len(self.lines), len(facts))
        self.assert_known(facts)

    def test_an_optional_module_is_seen_when_it_is_created(self):
        settings = "try:\n    from .local import *\nexcept ImportError:\n    pass\n"
        facts = self.facts("import site1.settings", {"site1/__init__.py": "", "site1/settings.py": settings})
        self.assertEqual(self.changes(facts, lambda: None), set())
        local = self.app / "site1" / "local.py"
        self.assertTrue(self.changes(facts, lambda: local.write_text("DEBUG = True\n")))
        local.unlink()
        self.assertTrue(self.changes(facts, lambda: local.with_suffix("").mkdir()))

    def test_bytecode_stands_for_its_source(self):
        write_files(self.app, {"shop.py": "x = 1\n"})
        subprocess.run([INTERPRETER, "-c", "import shop"], cwd=self.app, check=True, env={"PATH": os.environ["PATH"]})
        self.assertTrue(list(self.app.glob("__pycache__/shop.*.pyc")))
        facts = self.facts("import shop")
        self.assertIn("o shop.py", facts)
        self.assertEqual([f for f in facts if "__pycache__" in f], [])

    def test_what_was_imported_before(self):
        write_files(self.app, {"early.py": "", "late.py": ""})
        code = f"import sys; sys.path.insert(0, {str(self.app)!r}); import early\n"
        code += STEP.format(build=str(BUILD), root=str(self.app)) + "import late\n"
        self.run_python(["-c", code, ""])
        self.assertLessEqual({"o early.py", "o late.py", "l ."}, self.read_facts())

    def test_a_project_with_a_module_called_like_ours(self):
        facts = self.facts("import reads; assert reads.mine", {"reads.py": "mine = 1\n"})
        self.assertIn("o reads.py", facts)

    def test_extensions(self):
        self.assert_known(self.facts("import sqlite3, ssl, decimal, zlib"))
        # The event of loading an extension, as the interpreter raises it.
        load = "sys.audit('import', {!r}, {!r}, None, None, None)"
        self.assert_known(self.facts(load.format("lxml.etree", "/venv/lib/site-packages/lxml/etree.so")))
        facts = self.facts(load.format("fast.core", "/venv/lib/site-packages/fast/core.so"))
        self.assert_unknown(facts, "fast.core")
        facts = self.facts(load.format("lxml.etree", str(self.app / "lxml" / "etree.so")), {"lxml/etree.so": ""})
        self.assert_unknown(facts, "lxml.etree")
        self.assertIn("o lxml/etree.so", facts)


class FilesTest(ReadsTest):
    def test_a_file_read_through_pathlib(self):
        facts = self.facts(
            "from pathlib import Path\nassert Path('data', 'a.txt').read_text() == 'a'", {"data/a.txt": "a"}
        )
        self.assertIn("o data/a.txt", facts)
        self.assertEqual(self.changes(facts, lambda: (self.app / "data/a.txt").write_text("b")), {"o data/a.txt"})

    def test_a_listing(self):
        for code in (
            "os.listdir('templates')", "list(os.scandir('templates'))", "import glob; glob.glob('templates/*.html')",
            "from pathlib import Path; list(Path('templates').iterdir())", "list(os.walk('templates'))",
            "import pathlib; list(pathlib.Path('templates').rglob('*.html'))",
            "os.listdir(os.open('templates', os.O_RDONLY))", "list(os.fwalk('templates'))",
        ):  # fmt: skip
            with self.subTest(code):
                facts = self.facts(code, {"templates/a.html": "", "templates/b.html": ""})
                self.assertIn("l templates", facts)
                self.assertEqual([f for f in facts if f.startswith("o")], [])
                new = self.app / "templates" / "c.html"
                self.assertIn("l templates", self.changes(facts, lambda new=new: new.write_text("")))
                new.unlink()

    def test_only_whether_it_exists(self):
        for code in (
            "os.path.exists({!r})", "os.path.isfile({!r})", "os.path.lexists({!r})", "os.access({!r}, os.R_OK)",
            "os.path.islink({!r})", "import pathlib; pathlib.Path({!r}).is_dir()", "os.path.ismount({!r}.encode())",
            "import shutil; shutil.which('./' + {!r})", "import glob; glob.glob({!r})",
            "import posix\ntry: posix.stat(path={!r})\nexcept OSError: pass",
        ):  # fmt: skip
            for name in ("here.txt", "missing.txt"):
                with self.subTest(code, name=name):
                    facts = self.facts(code.format(name), {"here.txt": ""})
                    self.assertEqual({f for f in facts if "txt" in f}, {f"s {name}"})

    def test_a_failed_open_is_a_dependency(self):
        code = "for n in ('no.env', 'no/such/file'):\n    try: open(n)\n    except OSError: pass"
        facts = self.facts(code)
        self.assertLessEqual({"o no.env", "s .", "s no", "o no/such/file"}, facts)
        other = self.folder / "other"
        (other / "such").mkdir(parents=True)
        self.assertTrue(self.changes(facts, lambda: (self.app / "no").symlink_to(other)))

    def test_size_and_time_count_as_content(self):
        self.assertIn("o a", self.facts("os.path.getsize('a')", {"a": "1"}))
        self.assertIn("o a", self.facts("os.path.getmtime('a')"))

    def test_nothing_outside_and_every_spelling_inside(self):
        facts = self.facts(f"open({str(self.folder / 'out.txt')!r}, 'w').close()\nos.listdir('..')\nos.stat('/')")
        self.assertEqual([f for f in facts if f not in ("s .", "l .")], [])
        code = f"open({str(self.folder)!r} + '/x/..//app/./a/../b.txt').close()"
        (self.folder / "x").mkdir()
        self.assertIn("o b.txt", self.facts(code, {"b.txt": "", "a/c": ""}))

    def test_links(self):
        write_files(self.app, {"real/a.txt": "a"})
        (self.app / "link.txt").symlink_to("real/a.txt")
        (self.app / "folder").symlink_to(self.app / "real")
        (self.app / "outside").symlink_to(self.folder)
        (self.app / "loop").symlink_to("loop")
        facts = self.facts("open('link.txt').close(); open('outside/app/real/a.txt').close()")
        self.assertLessEqual({"s link.txt", "o real/a.txt", "s outside"}, facts)
        self.assertNotIn("o link.txt", facts)
        facts = self.facts("os.listdir('folder')\nopen('folder/a.txt').close()")
        self.assertLessEqual({"s folder", "l real", "o real/a.txt"}, facts)
        facts = self.facts("os.lstat('link.txt'), os.readlink('folder'), os.path.exists('loop')")
        self.assertLessEqual({"s link.txt", "s folder", "s loop"}, facts)
        self.assertFalse({"s real", "s real/a.txt", "o link.txt"} & facts)
        # os.walk asks the entries whether they are folders: nothing but their listing shows that.
        facts = self.facts("list(os.walk('.'))")
        self.assertLessEqual({"l .", "s link.txt", "s real/a.txt", "s folder", "s real"}, facts)

    def test_a_folder_by_its_descriptor(self):
        code = "fd = os.open('data', os.O_RDONLY)\nos.close(os.open('a.txt', os.O_RDONLY, dir_fd=fd))\nos.stat('b.txt', dir_fd=fd)"
        facts = self.facts(code, {"data/a.txt": "", "data/b.txt": ""})
        self.assertLessEqual({"s data", "o data/a.txt", "s data/b.txt"}, facts)
        self.assertFalse({f for f in facts if f[2:] in ("a.txt", "b.txt")})

    def test_a_database_file(self):
        facts = self.facts("import sqlite3; sqlite3.connect('file:db.sqlite3?mode=ro', uri=True); sqlite3.connect(':memory:')",
                           {"db.sqlite3": ""})  # fmt: skip
        self.assertIn("o db.sqlite3", facts)
        self.assertEqual([f for f in facts if "memory" in f], [])


class OwnFilesTest(ReadsTest):
    def own(self, code, files=None):
        """The facts about files called own*."""
        facts = self.facts(code, files)
        self.assert_known(facts)
        return {f for f in facts if "own" in f}

    def test_created_then_read(self):
        self.assertEqual(self.own("open('own.txt', 'w').close()\nopen('own.txt').read()\nos.stat('own.txt')"), set())
        self.assertEqual(self.own("open('own.log', 'a').close()\nopen('own.log').read()"), set())

    def test_overwritten_then_read(self):
        self.assertEqual(self.own("open('own.txt', 'w').close()\nopen('own.txt').read()", {"own.txt": "x"}), set())

    def test_appended_to_is_read_when_it_is_read(self):
        self.assertEqual(self.own("open('own.txt', 'a').close()", {"own.txt": "x"}), {"s own.txt"})
        self.assertIn("o own.txt", self.own("open('own.txt', 'a').close()\nopen('own.txt').read()"))
        self.assertIn("o own.txt", self.own("open('own.txt', 'r+').close()"))

    def test_a_folder_of_its_own(self):
        code = (
            "os.makedirs('own/a')\nopen('own/a/b', 'w').close()\nos.listdir('own')\nimport shutil; shutil.rmtree('own')"
        )
        self.assertEqual(self.own(code), {"s own"})

    def test_a_missing_folder_stops_a_write(self):
        facts = self.own("try: open('own/a.log', 'a')\nexcept OSError: pass")
        self.assertTrue(self.changes(facts, (self.app / "own").mkdir))

    def test_exclusive_creation_depends_on_absence(self):
        self.assertEqual(self.own("open('own.txt', 'x').close()"), {"s own.txt"})

    def test_renamed_and_linked(self):
        self.assertEqual(self.own("open('own.tmp', 'w').close(); os.replace('own.tmp', 'own.txt'); open('own.txt')"),
                         {"s own.txt"})  # fmt: skip
        facts = self.facts("os.symlink('a.txt', 'own'); os.link('b.txt', 'own2'); os.rename('c.txt', 'd.txt'); open('own')",
                           {"a.txt": "", "b.txt": "", "c.txt": ""})  # fmt: skip
        self.assertLessEqual({"o a.txt", "o b.txt", "o c.txt"}, facts)
        self.assert_unknown(self.facts("os.rename('data', 'moved')", {"data/a": ""}), "data")


class ProcessTest(ReadsTest):
    def test_a_started_process(self):
        for code in (
            "import subprocess; subprocess.run([sys.executable, '-c', ''])", "os.system('true')",
            "os.posix_spawn(sys.executable, ['python', '-c', ''], {})", "os.popen('true').read()",
            "os.spawnv(os.P_WAIT, sys.executable, ['python', '-c', ''])", "os.execv(sys.executable, ['python', '-c', ''])",
            "from multiprocessing import util; os.waitpid(util.spawnv_passfds(os.fsencode(sys.executable), ['python', '-c', ''], ()), 0)",
        ):  # fmt: skip
            with self.subTest(code):
                self.assert_unknown(self.facts(code), "a process was started")

    def test_a_fork_records_like_its_parent(self):
        code = "pid = os.fork()\nif not pid:\n    open('a')\n    os._exit(0)\nos.waitpid(pid, 0)\nopen('b')"
        facts = self.facts(code, {"a": "", "b": ""})
        self.assert_known(facts)
        self.assertLessEqual({"o a", "o b"}, facts)

    def test_libraries(self):
        self.assert_known(
            self.facts(
                "import ctypes, ctypes.util, platform\nctypes.CDLL(None)\nctypes.util.find_library('m')\nplatform.processor()"
            )
        )
        code = "import ctypes\ntry: ctypes.CDLL('./lib.so')\nexcept OSError: pass"
        self.assert_unknown(self.facts(code, {"lib.so": ""}), "lib.so")

    def test_closed_descriptors(self):
        self.assertLessEqual(
            {"o a", "o b"}, self.facts("open('a')\nos.closerange(3, 256)\nopen('b')", {"a": "", "b": ""})
        )

    def test_a_name_that_does_not_fit_a_line(self):
        self.assert_unknown(self.facts("os.stat('a\\nb')", {"a\nb": ""}), "line feed")

    def test_without_the_variable_nothing_changes(self):
        code = f"import sys, os; sys.path.insert(0, {str(BUILD)!r})\nimport reads\nold = os.stat\n"
        code += f"assert reads.start({str(self.app)!r}) == {{}} and os.stat is old"
        self.run_python(["-c", code], DJSHIP_READS="")
        self.assertFalse(self.facts_file.exists())
