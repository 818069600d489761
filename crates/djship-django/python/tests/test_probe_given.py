"""What the user says about a build: the settings module, and variables for its steps. And Celery in a build."""

import json
import os
import tempfile
from pathlib import Path

from synthetic import FAKES, PLAIN, ProbeTest, needs, project_files, write_files

CELERY_PY = """
from celery import Celery
app = Celery("site1")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""


@needs("django")
class GivenTest(ProbeTest):
    def probe_with(self, files, settings=None, given=None, fakes=()):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.project = os.path.realpath(os.path.join(folder.name, "project"))
        write_files(self.project, files)
        write_files(folder.name + "/fakes", {n: t for n, t in FAKES.items() if n.split("/")[0] in fakes})
        further = []
        if settings:
            further += ["--settings", settings, "--settings-origin", "djship.toml, line 3"]
        if given is not None:
            file = os.path.join(folder.name, "given.json")
            Path(file).write_text(json.dumps(given), encoding="utf-8")
            further += ["--environment", file]
        return self.probe_folder(self.project, further=further, PYTHONPATH=folder.name + "/fakes")

    def test_the_settings_that_are_named_win_over_every_other(self):
        files = project_files(
            'SECRET_KEY = "x"\nDEBUG = True\n',
            **{
                "site1/production.py": PLAIN + 'SECRET_KEY = "x"\n',
                "site1/special.py": "from .settings import *\nSTATIC_URL = \'/special/\'\n",
            },
        )
        facts = self.probe_with(files, settings="site1.special")
        self.assertEqual(facts["settings_module"], {"value": "site1.special", "origin": "djship.toml, line 3"})
        self.assertEqual(facts["static"]["url"], "/special/")
        self.assertEqual([s["value"] for s in facts["switches"]], ["site1.special"])
        # Without a word of the user's, the sibling that is called so is production.
        self.assertEqual(self.probe_with(files)["settings_module"]["value"], "site1.production")

    def test_a_module_above_manage_py_is_in_no_distribution(self):
        files = {f"site/{n}": text for n, text in project_files('SECRET_KEY = "x"').items()}
        files["site/manage.py"] = "import rootmod\n" + files["site/manage.py"]
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        write_files(folder.name, {**files, "rootmod.py": ""})
        facts = self.probe_folder(os.path.realpath(folder.name), root="site")
        self.assertIn("rootmod lies above site/manage.py", facts["errors"][0]["hint"])

    def test_settings_that_are_named_and_are_not_there(self):
        facts = self.probe_with(project_files('SECRET_KEY = "x"'), settings="site1.nothing")
        self.assertIn("site1.nothing", facts["errors"][0]["message"])

    def test_given_variables_are_read_and_proved_all_the_same(self):
        settings = """
            SECRET_KEY = os.environ["KEY_OF_THE_SITE"]
            STATIC_URL = os.environ.get("CDN_URL", "static/")
            OTHER = os.environ["OTHER_KEY"]
        """
        given = {"KEY_OF_THE_SITE": "given-and-secret-0123", "CDN_URL": "https://cdn.example.com/"}
        facts = self.probe_with(project_files(settings), given=given)
        self.assertEqual(facts["errors"], [])
        self.assertEqual(facts["static"]["url"], "https://cdn.example.com/")
        self.assertEqual(self.required(facts), ["KEY_OF_THE_SITE", "OTHER_KEY"])
        self.assertEqual(list(facts["throwaway"]), ["OTHER_KEY"])
        self.assertNotIn("given-and-secret-0123", self.text)

    def test_celery_is_found_although_nothing_imports_it(self):
        settings = 'SECRET_KEY = "x"\nCELERY_BEAT_SCHEDULE = {"often": {"task": "x", "schedule": 10}}\n'
        files = project_files(settings, **{"site1/celery.py": CELERY_PY})
        facts = self.probe_with(files, fakes=("celery", "kombu"))
        self.assertEqual(facts["celery"], {"app": "site1", "worker": True, "beat": True})
        broken = {**files, "site1/celery.py": CELERY_PY + "import nowhere\n"}
        facts = self.probe_with(broken, fakes=("celery", "kombu"))
        self.assertIsNone(facts["celery"])
        self.assertEqual(facts["warnings"][-1]["file"], "site1/celery.py")
        self.assertIsNone(self.probe_with(project_files('SECRET_KEY = "x"'))["celery"])
