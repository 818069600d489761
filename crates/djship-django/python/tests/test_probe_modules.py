"""What is installed, asked without importing it: libraries that hide themselves, and those that break."""

import os
import subprocess
import unittest
from tempfile import TemporaryDirectory

from synthetic import FAKES, INTERPRETER, PYTHON_FOLDER, ProbeTest, needs, project_files, write_files

PLAIN_DEBUG = "DEBUG = True\nSECRET_KEY = 'x'\n"
# What kombu and celery do: another object takes the module's place, and it has no spec.
WITHOUT_SPEC = """
import types
_lazy = types.ModuleType(__name__)
_lazy.__dict__.update({n: v for n, v in globals().items() if not n.startswith("_")})
_lazy.__path__, _lazy.__file__, _lazy.__spec__ = __path__, __file__, None
sys.modules[__name__] = _lazy
"""
# As if no driver for a server were installed.
NO_DRIVERS = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name in ("psycopg", "psycopg2", "MySQLdb", "pymysql"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nowhere())
"""


class HasModuleTest(unittest.TestCase):
    def setUp(self):
        folder = TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def has_module(self, name, before=""):
        code = f"import sys\n{before}\nfrom djship_probe.modules import has_module\nprint(has_module({name!r}))\n"
        paths = os.pathsep.join([str(PYTHON_FOLDER / "probe"), self.folder])
        done = subprocess.run(
            [INTERPRETER, "-B", "-c", code], env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.stderr, "")
        return {"True": True, "False": False}[done.stdout.strip()]

    def test_there_and_not_there(self):
        write_files(self.folder, {"there/__init__.py": "raise RuntimeError('it was imported')\n"})
        self.assertTrue(self.has_module("there"))
        self.assertTrue(self.has_module("json.decoder"))
        for name in ("nowhere", "nowhere.base", "json.nowhere", "os.base", "", ".base", "None.base"):
            self.assertFalse(self.has_module(name), name)

    def test_loaded_without_a_spec(self):
        loaded = "import types\nsys.modules['kombu'] = types.ModuleType('kombu')\nsys.modules['kombu'].__spec__ = None"
        self.assertTrue(self.has_module("kombu", loaded))

    def test_kept_from_being_imported(self):
        self.assertFalse(self.has_module("json", "sys.modules['json'] = None"))

    def test_a_parent_that_fails(self):
        for line in ("raise RuntimeError('no')", "import os; os.environ['NOWHERE']", "raise SystemExit(3)"):
            write_files(self.folder, {"broken/__init__.py": line + "\n", "broken/base.py": ""})
            self.assertFalse(self.has_module("broken.base"), line)


@needs("django")
class InProjectsTest(ProbeTest):
    def develop_with(self, fakes, files):
        with TemporaryDirectory(prefix="djship-test-") as folder:
            write_files(folder + "/fakes", fakes)
            write_files(folder + "/project", files)
            return self.develop_folder(folder + "/project", given={"PYTHONPATH": folder + "/fakes"})

    def test_celery_and_kombu_that_stand_there_without_a_spec(self):
        fakes = {n: FAKES[n] for n in ("celery/__init__.py", "kombu/__init__.py", "redis/__init__.py")}
        for name in ("celery/__init__.py", "kombu/__init__.py"):
            fakes[name] = f"import sys\n{fakes[name]}{WITHOUT_SPEC}"
        celery_py = """
            import os
            import kombu
            from celery import Celery
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
            app = Celery("site1")
            app.config_from_object("django.conf:settings", namespace="CELERY")
        """
        package = "from .celery import app as celery_app\n"
        facts = self.develop_with(
            fakes,
            project_files(
                PLAIN_DEBUG + 'CELERY_BROKER_URL = os.environ.get("BROKER", "amqp://guest:guest@rabbit:5672//")',
                **{"site1/celery.py": celery_py, "site1/__init__.py": package},
            ),
        )
        self.assertEqual((facts["errors"], facts["warnings"]), ([], []))
        self.assertEqual(facts["celery"], {"app": "site1", "worker": True, "beat": False})
        self.assertEqual((self.only_service(facts)["kind"], list(facts["connections"])), ("amqp", ["BROKER"]))

    def test_an_engine_whose_package_fails(self):
        files = project_files(
            PLAIN_DEBUG + 'DATABASES = {"default": {"ENGINE": "engines.own", "NAME": "x"}}',
            **{"engines/__init__.py": "raise RuntimeError('no engine today')\n", "engines/own/base.py": ""},
        )
        facts = self.develop_with({}, files)
        self.assertEqual((facts["debug"], facts["services"]), (True, []))
        self.assertEqual([e["stage"] for e in facts["errors"]], ["setup"])
        self.assertIn("no engine today", facts["errors"][0]["message"])

    @needs("environ")
    def test_sqlite_without_a_driver_is_nothing_to_speak_of(self):
        settings = """
import environ
DATABASES = {"default": environ.Env().db("DATABASE_URL", default="sqlite:///" + str(BASE_DIR / "db.sqlite3"))}
"""
        facts = self.develop_with({"sitecustomize.py": NO_DRIVERS}, project_files(PLAIN_DEBUG + settings))
        self.assertEqual((facts["errors"], facts["warnings"], facts["services"]), ([], [], []))
        self.assertIn("sqlite3", facts["databases"]["default"]["engine"])
