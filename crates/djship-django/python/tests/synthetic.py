"""Small Django projects, written to a temporary folder, and the probe run on them."""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

PYTHON_FOLDER = Path(__file__).resolve().parents[1]
POLLS = PYTHON_FOLDER.parents[2] / "examples" / "polls"
INTERPRETER = os.environ.get("DJSHIP_TEST_PYTHON") or sys.executable

MANAGE = """\
import os, sys
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{module}")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
WSGI = """\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{module}")
application = get_wsgi_application()
"""
# What every settings file needs; each test adds what it is about.
PLAIN = """\
import os
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles"]
MIDDLEWARE = []
ROOT_URLCONF = "site1.urls"
WSGI_APPLICATION = "site1.wsgi.application"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "collected"
ALLOWED_HOSTS = []
"""


def has(*modules):
    """Does the interpreter under test have these?"""
    code = "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))"
    return subprocess.run([INTERPRETER, "-c", code, *modules], check=False).returncode == 0


def needs(*modules):
    reason = f"{INTERPRETER} has no {' or '.join(modules)}: set DJSHIP_TEST_PYTHON to one that has"
    return unittest.skipUnless(has(*modules), reason)


def write_files(folder, files):
    for name, text in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def project_files(settings, module="site1.settings", wsgi_module=None, plain=PLAIN, **more):
    """A project called site1 whose settings are `settings` after the plain ones. `more`: files by name."""
    files = {
        "manage.py": MANAGE.format(module=module),
        "site1/__init__.py": "",
        "site1/urls.py": "urlpatterns = []\n",
        "site1/wsgi.py": WSGI.format(module=wsgi_module or module),
        "site1/settings.py": plain + textwrap.dedent(settings),
    }
    files.update(more)
    return {name: text for name, text in files.items() if text is not None}


ADDRESS, PASSWORD = "127.70.1.2", "private-word-of-ours"
OFFER = {"address": ADDRESS, "database": "shop", "user": "keeper", "password": PASSWORD}
# Enough of libraries for the settings that name them.
FAKE_CELERY = """\
import os, sys
class Configuration(dict):
    __getattr__ = dict.get
    @property
    def broker_url(self):
        return os.environ.get("CELERY_BROKER_URL") or self.get("broker_url")
    @property
    def result_backend(self):
        return os.environ.get("CELERY_RESULT_BACKEND") or self.get("result_backend")
class Celery:
    def __init__(self, main=None, broker=None):
        self.main, self.conf = main, Configuration(broker_url=broker)
    def config_from_object(self, name, namespace):
        from django.conf import settings
        start = namespace + "_"
        for setting in dir(settings):
            if setting.startswith(start):
                self.conf[setting.removeprefix(start).lower()] = getattr(settings, setting)
    def autodiscover_tasks(self):
        pass
    def finalize(self):
        pass
"""
FAKES = {
    **{f"{name}/__init__.py": "" for name in ("redis", "channels_redis", "kombu", "pymemcache", "MySQLdb")},
    "celery/__init__.py": FAKE_CELERY,
}


class ProbeTest(unittest.TestCase):
    maxDiff = None

    def probe(self, files, root="."):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.project = os.path.realpath(folder.name)
        write_files(self.project, files)
        return self.probe_folder(self.project, root)

    def probe_folder(self, folder, root=".", further=(), **variables):
        with tempfile.TemporaryDirectory() as out:
            facts = os.path.join(out, "facts.json")
            script = PYTHON_FOLDER / "probe" / "probe.py"
            done = subprocess.run(
                [INTERPRETER, str(script), "--project", folder, "--root", root, "--out", facts, *further],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "UNRELATED": "x", **variables},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout + done.stderr, "")
            self.text = Path(facts).read_text(encoding="utf-8")
        return json.loads(self.text)

    def develop(self, files, root=".", fakes=(), **given):
        """The document for development. `fakes`: of which packages; `given`: what the developer sets."""
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.project = os.path.realpath(os.path.join(folder.name, "project"))
        write_files(self.project, files)
        write_files(folder.name + "/fakes", {n: t for n, t in FAKES.items() if n.split("/")[0] in fakes})
        return self.develop_folder(self.project, root, {"PYTHONPATH": folder.name + "/fakes", **given})

    def develop_folder(self, folder, root=".", given=None, timeout=120):
        with tempfile.TemporaryDirectory() as out:
            facts, offer = os.path.join(out, "facts.json"), os.path.join(out, "services.json")
            Path(offer).write_text(json.dumps(OFFER), encoding="utf-8")
            script = PYTHON_FOLDER / "probe" / "probe.py"
            done = subprocess.run(
                [INTERPRETER, str(script), "--develop", offer, "--project", folder, "--root", root, "--out", facts,
                 "--timeout", str(timeout)],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(given or {})},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout + done.stderr, "")
            self.text = Path(facts).read_text(encoding="utf-8")
        return json.loads(self.text)

    def values_of(self, facts):
        """What the document would set, by name: connections, then supplied values, then switches."""
        switches = {s["name"]: s["value"] for s in facts["switches"]}
        supplied = {s["name"]: s["value"] for s in facts["supplied"]}
        return {**switches, **supplied, **{n: c["value"] for n, c in facts["connections"].items()}}

    def only_service(self, facts):
        self.assertEqual(len(facts["services"]), 1, facts["services"])
        return facts["services"][0]

    def required(self, facts):
        return [entry["name"] for entry in facts["required"]]

    def line_of(self, text, file="site1/settings.py"):
        """The number of the first line of a project's file that holds the text."""
        lines = Path(self.project, file).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)
