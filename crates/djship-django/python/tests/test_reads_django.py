"""What the steps of a build depend on: Django's setup, collectstatic and the probe, as processes that record."""

import shutil

from synthetic import POLLS, PYTHON_FOLDER, needs, project_files, write_files
from test_reads import BUILD, ReadsTest

COLLECT = """
sys.path.insert(0, {build!r})
import through_manage
sys.argv = ["collectstatic.py", {folder!r}]
exec(compile(open({build!r} + "/collectstatic.py").read(), "collectstatic.py", "exec"))
"""


class DjangoTest(ReadsTest):
    def django(self, code, **environment):
        return self.facts(code, DJANGO_SETTINGS_MODULE="pollsite.settings", DJANGO_CONFIGURATION="Dev", **environment)

    def copy_polls(self):
        shutil.rmtree(self.app)
        shutil.copytree(POLLS, self.app, ignore=shutil.ignore_patterns("__pycache__"))

    def collect(self, **environment):
        out = self.folder / "static"
        return self.django(COLLECT.format(build=str(BUILD), folder=str(out)), **environment)

    @needs("django")
    def test_a_step_through_manage(self):
        """The step itself begins to record, and works as ever when the recorder is missing."""
        write_files(self.app, project_files("SECRET_KEY = 'x'"))
        program = self.folder / "program"
        program.mkdir()
        shutil.copy(BUILD / "through_manage.py", program)
        code = f"import os, sys; sys.path.insert(0, {str(program)!r}); os.chdir({str(self.app)!r})\n"
        code += "import through_manage; through_manage.run(lambda: print(os.environ.get('DJSHIP_READS')), 'check')"
        self.run_python(["-c", code])
        self.assertEqual((self.printed, self.facts_file.exists()), (f"{self.facts_file}\n", False))
        shutil.copy(BUILD / "reads.py", program)
        self.run_python(["-c", code])
        self.assertEqual((self.printed, self.facts_file.exists()), ("None\n", True))

    @needs("django", "configurations", "dj_database_url", "debug_toolbar")
    def test_setup_of_polls(self):
        self.copy_polls()
        facts = self.django("import configurations; configurations.setup()")
        self.assert_known(facts)
        self.assertLessEqual({"o pollsite/settings.py", "o polls/models.py", "o polls/apps.py"}, facts)
        for name in (
            "polls/views.py",
            "polls/urls.py",
            "polls/templates/polls/base.html",
            "polls/static/polls/site.css",
        ):
            with open(self.app / name, "a", encoding="utf-8") as file:
                self.assertEqual(self.changes(facts, lambda file=file: file.write("\n") and file.flush()), set(), name)

    @needs("django", "configurations", "dj_database_url", "debug_toolbar")
    def test_static_files_of_polls(self):
        self.copy_polls()
        facts = self.collect()
        self.assertIn("static files copied", self.printed)
        self.assert_known(facts)
        self.assertLessEqual(
            {
                "o manage.py",
                "o polls/models.py",
                "l polls/static",
                "l polls/static/polls",
                "o polls/static/polls/site.css",
            },
            facts,
        )
        self.assertEqual([f for f in facts if "views" in f or "templates" in f], [])
        change = (self.app / "polls/static/polls/new.css").write_text
        self.assertEqual(self.changes(facts, lambda: change("")), {"l polls/static/polls"})

    def probe(self, root):
        """Runs the probe with the recorder beside it, as the caller lays them out."""
        program = self.folder / "program"
        shutil.copytree(PYTHON_FOLDER / "probe", program, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(BUILD / "reads.py", program)
        out = self.folder / "facts.json"
        arguments = [str(program / "probe.py"), "--project", str(root), "--root", ".", "--out", str(out)]
        self.run_python(arguments)
        recorded = out.read_bytes()
        facts = self.read_facts()
        (program / "reads.py").unlink()
        self.run_python(arguments)
        self.assertFalse(self.facts_file.exists())
        self.assertEqual(out.read_bytes(), recorded)
        return facts

    @needs("django", "configurations", "dj_database_url", "debug_toolbar")
    def test_the_probe_on_polls(self):
        self.copy_polls()
        facts = self.probe(self.app)
        self.assert_known(facts)
        self.assertLessEqual(
            {"o manage.py", "o pollsite/wsgi.py", "o pollsite/settings.py", "o polls/models.py"}, facts
        )
        self.assertFalse({"o polls/views.py", "o polls/templates/polls/base.html"} & facts)

    @needs("django")
    def test_the_probe_on_settings_that_read_files(self):
        settings = """
            SECRET_KEY = (BASE_DIR / "version.txt").read_text() + os.environ["KEY"]
            THEMES = os.listdir(BASE_DIR / "themes")
        """
        more = {"version.txt": "1", "themes/a": "", "site1/views.py": ""}
        write_files(self.app, project_files(settings, **more))
        facts = self.probe(self.app)
        self.assert_known(facts)
        self.assertLessEqual({"o version.txt", "l themes", "o site1/wsgi.py"}, facts)
        self.assertNotIn("o site1/views.py", facts)
