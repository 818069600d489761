"""Facts from live settings, what the project touches, and what no value mends."""

import json
import shutil
import tempfile

from synthetic import POLLS, PYTHON_FOLDER, ProbeTest, needs, project_files


@needs("django")
class FactsTest(ProbeTest):
    def test_a_hard_coded_sqlite_file(self):
        facts = self.probe(
            project_files("""
                SECRET_KEY = "x"
                DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "data" / "db.sqlite3"}}
                MEDIA_ROOT = BASE_DIR / "media"
            """)
        )
        self.assertEqual(facts["databases"]["default"]["engine"], "django.db.backends.sqlite3")
        self.assertEqual(facts["database_env"], {})
        self.assertEqual([w["path"] for w in facts["writable"]], [f"{self.project}/data", f"{self.project}/media"])
        self.assertEqual(facts["static"]["root"], f"{self.project}/collected")
        self.assertEqual(
            (facts["static"]["app"], facts["static"]["file_system"], facts["static"]["served_by"]), (True, True, None)
        )
        self.assertEqual((facts["wsgi"], facts["asgi"]), ("site1.wsgi:application", None))

    def test_parts_of_a_database_and_their_variables(self):
        facts = self.probe(
            project_files("""
                SECRET_KEY = "x"
                DATABASES = {"default": {
                    "ENGINE": os.environ.get("SQL_ENGINE", "django.db.backends.sqlite3"),
                    "NAME": os.environ.get("SQL_DATABASE", BASE_DIR / "db.sqlite3"),
                    "USER": os.environ.get("SQL_USER", "user"),
                    "PASSWORD": os.environ.get("SQL_PASSWORD", "password"),
                    "HOST": os.environ.get("SQL_HOST", "localhost"),
                    "PORT": os.environ.get("SQL_PORT", "5432"),
                }}
                ALLOWED_HOSTS = os.environ.get("SITE_NAMES", "a b").split(" ")
            """)
        )
        self.assertEqual(
            facts["database_env"],
            {"SQL_ENGINE": "engine", "SQL_DATABASE": "name", "SQL_USER": "user", "SQL_PASSWORD": "password",
             "SQL_HOST": "host", "SQL_PORT": "port"},
        )  # fmt: skip
        self.assertEqual((facts["allowed_hosts"], facts["allowed_hosts_env"]), (["a", "b"], "SITE_NAMES"))

    def test_folders_and_files_of_the_import(self):
        facts = self.probe(
            project_files("""
                SECRET_KEY = "x"
                os.makedirs(BASE_DIR / "spool", exist_ok=True)
                LOGGING = {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": BASE_DIR / "logs/site.log"}},
                           "root": {"handlers": ["file"]}}
            """)
        )
        self.assertEqual(facts["errors"], [])
        paths = [w["path"] for w in facts["writable"]]
        self.assertEqual(paths, [f"{self.project}/logs", f"{self.project}/spool"])
        self.assertIn("must exist before", facts["warnings"][0]["message"])

    @needs("django", "configurations", "dj_database_url", "psycopg2")
    def test_the_example_project(self):
        with tempfile.TemporaryDirectory(prefix="djship-test-") as folder:
            shutil.copytree(POLLS, folder, dirs_exist_ok=True)
            self.probe_folder(folder)
            found = json.loads(self.text.replace(folder, "/app"))
        sample = json.loads((PYTHON_FOLDER / "probe" / "sample-polls.json").read_text(encoding="utf-8"))
        for key in ("python_version", "django_version"):  # of whoever runs the test
            sample.pop(key)
            found.pop(key)
        self.assertEqual(found, sample)

    def test_the_same_document_every_time(self):
        files = project_files('SECRET_KEY = os.environ["A"] + os.environ["B"] + os.environ["C"]')
        self.probe(files)
        first, folder = self.text, self.project
        self.probe_folder(folder)
        self.assertEqual(self.text, first)


@needs("django")
class ErrorsTest(ProbeTest):
    def assert_error(self, facts, line_text, file="site1/settings.py", **expected):
        self.assertEqual(len(facts["errors"]), 1, facts["errors"])
        error = facts["errors"][0]
        self.assertEqual((error["file"], error["line"]), (file, self.line_of(line_text, file)))
        for key, value in expected.items():
            self.assertIn(value, error[key])

    def test_settings_that_raise_for_good(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nraise RuntimeError("the moon is full")'))
        self.assert_error(facts, "the moon", stage="settings", type="RuntimeError", message="the moon is full")
        self.assertEqual(facts["required"], [])

    def test_syntax_error(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nwhat this is'))
        self.assert_error(facts, "what this is", type="SyntaxError")

    def test_a_module_that_is_not_installed(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nimport nowhere_to_be_found'))
        self.assert_error(facts, "import nowhere", type="ModuleNotFoundError", hint="requirements")

    def test_an_app_that_is_not_installed_fails_the_setup_and_keeps_the_facts(self):
        facts = self.probe(project_files('SECRET_KEY = os.environ["K"]\nINSTALLED_APPS += ["nowhere_to_be_found"]'))
        self.assertEqual([(e["stage"], e["type"]) for e in facts["errors"]], [("setup", "ModuleNotFoundError")])
        self.assertEqual(facts["wsgi"], "site1.wsgi:application")
        self.assertEqual(self.required(facts), ["K"])

    def test_the_database_is_refused_with_its_line(self):
        facts = self.probe(
            project_files(
                """
                SECRET_KEY = "x"
                INSTALLED_APPS += ["shop"]
                DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
                """,
                **{
                    "shop/__init__.py": "",
                    "shop/apps.py": """
                        from django.apps import AppConfig
                        class ShopConfig(AppConfig):
                            name = "shop"
                            def ready(self):
                                from django.contrib.auth.models import User
                                self.users = User.objects.count()
                    """,
                },
            )
        )
        self.assert_error(facts, "objects.count()", "shop/apps.py", stage="setup", hint="move the query")
        self.assertEqual(facts["warnings"][0]["file"], "shop/apps.py")

    def test_the_network_is_refused_with_its_line(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nimport socket\nsocket.create_connection(("127.0.0.1", 9))'))
        self.assert_error(facts, "create_connection", type="ConnectionRefusedError", hint="network")

    def test_settings_that_hang_or_die_are_an_error_not_a_hang(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nos._exit(3)'))
        self.assertEqual([e["type"] for e in facts["errors"]], ["Crash"])

    def test_a_real_secret_is_not_repeated(self):
        facts = self.probe(
            project_files("""
                SECRET_KEY = "a-real-secret-in-the-source"
                WORDS = os.environ.get("WORDS", SECRET_KEY)
                DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "PASSWORD": "hunter2hunter2"}}
                INSTALLED_APPS += ["shop"]
            """,
            **{"shop/__init__.py": "", "shop/apps.py": 'raise RuntimeError("a-real-secret-in-the-source")\n'})
        )  # fmt: skip
        self.assertEqual([e["stage"] for e in facts["errors"]], ["setup"])
        self.assertNotIn("a-real-secret", self.text)
        self.assertNotIn("hunter2", self.text)


@needs("django")
class NoDjangoTest(ProbeTest):
    def test_no_settings_at_all(self):
        facts = self.probe({"app.py": "print('hello')\n"})
        self.assertEqual(facts["settings_module"], None)
        self.assertEqual([e["message"] for e in facts["errors"]], ["nothing names a settings module"])
