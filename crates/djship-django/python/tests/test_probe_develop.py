"""The developer's view: which settings, what turns DEBUG on, what is supplied, what is wrong."""

import json
import shutil
import tempfile

from synthetic import PASSWORD, PLAIN, POLLS, PYTHON_FOLDER, ProbeTest, needs, project_files, write_files

DEBUG_ON = "DEBUG = True\nSECRET_KEY = 'x'\n"


@needs("django")
class DebugTest(ProbeTest):
    def test_what_manage_py_chooses_is_taken_when_debug_is_on(self):
        facts = self.develop(project_files(DEBUG_ON, wsgi_module="site1.production"))
        self.assertEqual(facts["settings_module"], {"value": "site1.settings", "origin": "manage.py"})
        self.assertEqual((facts["debug"], facts["switches"], facts["errors"]), (True, [], []))
        self.assertEqual((facts["version"], facts["mode"], facts["runserver"]), (1, "develop", "django"))
        self.assertEqual((facts["services"], facts["external"], facts["warnings"]), ([], [], []))

    def test_a_debug_variable_turns_it_on(self):
        facts = self.develop(project_files('SECRET_KEY = "x"\nDEBUG = bool(int(os.environ.get("SITE_DEBUG", "0")))'))
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("SITE_DEBUG", "1")])
        self.assertIn("'True': error", facts["switches"][0]["why"])
        self.assertEqual((facts["debug"], facts["warnings"]), (True, []))

    def test_a_debug_variable_that_is_given_is_left_alone(self):
        settings = """
            SECRET_KEY = "x"
            DEBUG = os.environ.get("DEBUG", "on") == "on" or os.environ.get("ENVIRONMENT") == "development"
        """
        facts = self.develop(project_files(settings), DEBUG="off")
        self.assertEqual((facts["debug"], facts["switches"]), (False, []))
        self.assertEqual([w["message"] for w in facts["warnings"]], ["DEBUG is off: DEBUG is set so"])
        self.assertEqual(facts["warnings"][0]["line"], self.line_of("DEBUG ="))

    def test_a_mode_that_the_settings_compare(self):
        facts = self.develop(
            project_files("""
                STAGE = os.environ.get("STAGE_OF_LIFE", "live")
                DEBUG = STAGE == "dev-box"
                SECRET_KEY = "x" if DEBUG else os.environ["KEY_FOR_REAL"]
            """)
        )
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("STAGE_OF_LIFE", "dev-box")])
        self.assertEqual((facts["debug"], facts["supplied"]), (True, []))

    def test_a_mode_by_its_name(self):
        settings = """
            SECRET_KEY = "x"
            MODES = ["live", "dev" + "elopment"]
            DEBUG = os.environ.get("DJANGO_ENV", "live") == MODES[1]
        """
        facts = self.develop(project_files(settings))
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("DJANGO_ENV", "development")])

    def sibling_files(self):
        return project_files(
            "",
            module="site1.settings.live",
            **{
                "site1/settings.py": None,
                "site1/settings/__init__.py": "",
                "site1/settings/base.py": PLAIN.replace("parent.parent", "parent.parent.parent") + 'SECRET_KEY = "x"\n',
                "site1/settings/live.py": "from .base import *\nDEBUG = False\n",
                "site1/settings/local.py": "from .base import *\nDEBUG = True\n",
            },
        )

    def test_the_sibling_called_local(self):
        facts = self.develop(self.sibling_files())
        self.assertEqual(facts["settings_module"]["value"], "site1.settings.local")
        self.assertEqual(
            [(s["name"], s["value"]) for s in facts["switches"]], [("DJANGO_SETTINGS_MODULE", "site1.settings.local")]
        )
        self.assertTrue(facts["debug"])

    def test_settings_that_are_given_have_no_sibling(self):
        facts = self.develop(self.sibling_files(), DJANGO_SETTINGS_MODULE="site1.settings.live")
        self.assertEqual(facts["settings_module"], {"value": "site1.settings.live", "origin": "DJANGO_SETTINGS_MODULE"})
        self.assertEqual((facts["debug"], facts["switches"]), (False, []))
        self.assertIn("DEBUG is off", facts["warnings"][0]["message"])

    @needs("django", "configurations")
    def test_the_configuration_called_dev(self):
        facts = self.develop(
            project_files(
                "",
                plain="""
                    from configurations import Configuration, values
                    class Base(Configuration):
                        ROOT_URLCONF = "site1.urls"
                        SECRET_KEY = values.SecretValue()
                    class Dev(Base):
                        DEBUG = True
                        SECRET_KEY = "dev"
                """,
                **{
                    "manage.py": """
                        import os, sys
                        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
                        os.environ.setdefault("DJANGO_CONFIGURATION", "Base")
                        from configurations.management import execute_from_command_line
                        execute_from_command_line(sys.argv)
                    """
                },
            )
        )
        self.assertEqual(facts["configuration"], {"value": "Dev", "origin": "sibling of Base"})
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("DJANGO_CONFIGURATION", "Dev")])
        self.assertEqual((facts["debug"], facts["supplied"]), (True, []))

    def test_nothing_turns_it_on(self):
        facts = self.develop(project_files('SECRET_KEY = "x"\nDEBUG = False'))
        self.assertEqual((facts["debug"], facts["switches"]), (False, []))
        self.assertIn("no way of the project's own", facts["warnings"][0]["message"])


@needs("django")
class SuppliedTest(ProbeTest):
    def test_missing_names_get_values(self):
        facts = self.develop(
            project_files("""
                DEBUG = True
                SECRET_KEY = os.environ["SECRET_KEY"]
                TIMEOUT = int(os.environ["TIMEOUT"])
                NAME = os.getenv("NAME", "me")
            """)
        )
        self.assertEqual(
            [(s["name"], s["kind"]) for s in facts["supplied"]], [("SECRET_KEY", "secret"), ("TIMEOUT", "int")]
        )
        self.assertGreater(len(facts["supplied"][0]["value"]), 50)
        self.assertEqual(facts["supplied"][1]["line"], self.line_of("TIMEOUT ="))
        self.assertEqual((facts["connections"], facts["services"], facts["errors"]), ({}, [], []))

    def test_what_is_given_is_not_supplied(self):
        settings = 'DEBUG = True\nSECRET_KEY = os.environ["SECRET_KEY"]\nLIMIT = int(os.environ["LIMIT"])'
        facts = self.develop(project_files(settings), SECRET_KEY="mine")
        self.assertEqual([s["name"] for s in facts["supplied"]], ["LIMIT"])

    def test_only_what_is_needed_is_supplied(self):
        facts = self.develop(
            project_files("""
                DEBUG = True
                SECRET_KEY = "x"
                def either(*names):
                    for name in names:
                        if os.environ.get(name):
                            return os.environ[name]
                    raise RuntimeError("set FIRST_TOKEN or SECOND_TOKEN")
                TOKEN = either("FIRST_TOKEN", "SECOND_TOKEN")
            """)
        )
        self.assertEqual(len(facts["supplied"]), 1, facts["supplied"])

    def test_a_helper_that_catches_is_no_need(self):
        facts = self.develop(
            project_files("""
                DEBUG = True
                SECRET_KEY = os.environ["KEY"]
                def read(name, default):
                    try:
                        return os.environ[name]
                    except KeyError:
                        return default
                PLACE = read("PLACE", "here")
            """)
        )
        self.assertEqual([s["name"] for s in facts["supplied"]], ["KEY"])

    def test_hosts_let_localhost_in_however_they_are_split(self):
        for split, value in (('split(",")', "localhost,127.0.0.1,[::1]"), ("split()", "localhost 127.0.0.1 [::1]")):
            facts = self.develop(
                project_files(f'DEBUG = True\nSECRET_KEY = "x"\nALLOWED_HOSTS = os.environ["SITE_HOSTS"].{split}')
            )
            self.assertEqual([(s["name"], s["value"]) for s in facts["supplied"]], [("SITE_HOSTS", value)])
            self.assertEqual(
                (facts["allowed_hosts"], facts["allowed_hosts_env"]),
                (["localhost", "127.0.0.1", "[::1]"], "SITE_HOSTS"),
            )

    def test_needed_at_setup_only(self):
        files = project_files(
            DEBUG_ON + 'INSTALLED_APPS += ["shop"]',
            **{
                "shop/__init__.py": "",
                "shop/apps.py": """
                    import os
                    from django.apps import AppConfig
                    class ShopConfig(AppConfig):
                        name = "shop"
                        def ready(self):
                            self.key = os.environ["SHOP_TOKEN"]
                """,
            },
        )
        facts = self.develop(files)
        self.assertEqual([s["name"] for s in facts["supplied"]], ["SHOP_TOKEN"])
        self.assertEqual((facts["supplied"][0]["file"], facts["errors"]), ("shop/apps.py", []))


@needs("django")
class ErrorsTest(ProbeTest):
    def test_syntax_error_with_its_place(self):
        facts = self.develop(project_files(DEBUG_ON + "what this is"))
        self.assertEqual(
            [(e["stage"], e["type"], e["file"], e["line"]) for e in facts["errors"]],
            [("settings", "SyntaxError", "site1/settings.py", self.line_of("what this is"))],
        )
        self.assertEqual((facts["debug"], facts["services"]), (None, []))
        self.assertEqual(facts["settings_module"], {"value": "site1.settings", "origin": "manage.py"})

    def test_settings_that_wait_forever(self):
        files = project_files(DEBUG_ON + "import subprocess\nsubprocess.run(['sleep', '600'])\n")
        with tempfile.TemporaryDirectory(prefix="djship-test-") as folder:
            write_files(folder, files)
            facts = self.develop_folder(folder, timeout=1)
        self.assertEqual([(e["type"], e["message"]) for e in facts["errors"]], [("Timeout", "no answer within 1 s")])

    def test_settings_that_kill_their_process(self):
        facts = self.develop(project_files(DEBUG_ON + "import signal\nos.kill(os.getpid(), signal.SIGKILL)"))
        self.assertEqual([e["type"] for e in facts["errors"]], ["Crash"])

    def test_a_mistake_in_the_models_is_no_variables_fault(self):
        names = ("ALPHA", "BETA", "GAMMA")
        files = project_files(
            DEBUG_ON + "".join(f"{n} = os.environ.get('{n}')\n" for n in names) + 'INSTALLED_APPS += ["shop"]',
            **{"shop/__init__.py": "", "shop/models.py": "int('no number')\n"},
        )
        facts = self.develop(files)
        self.assertEqual(
            [(e["stage"], e["file"], e["line"], e["hint"]) for e in facts["errors"]],
            [("setup", "shop/models.py", 1, None)],
        )
        self.assertEqual(facts["supplied"], [])

    def test_an_app_that_is_not_installed(self):
        facts = self.develop(project_files(DEBUG_ON + 'INSTALLED_APPS += ["nowhere_to_be_found"]'))
        self.assertEqual([(e["stage"], e["type"]) for e in facts["errors"]], [("setup", "ModuleNotFoundError")])
        self.assertTrue(facts["debug"])

    def test_no_database_yet_is_no_error(self):
        facts = self.develop(
            project_files(
                DEBUG_ON
                + 'INSTALLED_APPS += ["shop"]\n'
                + 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}',
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
        self.assertEqual(facts["errors"], [])
        self.assertIn("before it is migrated", facts["warnings"][0]["message"])
        self.assertEqual(facts["warnings"][0]["file"], "shop/apps.py")

    def test_a_folder_that_must_exist(self):
        facts = self.develop(
            project_files(
                DEBUG_ON
                + 'LOGGING = {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", '
                + '"filename": BASE_DIR / "logs/site.log"}}, "root": {"handlers": ["file"]}}'
            )
        )
        self.assertEqual([f["path"] for f in facts["folders"]], [f"{self.project}/logs"])
        self.assertEqual(facts["errors"], [])

    def test_no_settings_at_all(self):
        facts = self.develop({"app.py": "print('hello')\n"})
        self.assertEqual([e["message"] for e in facts["errors"]], ["nothing names a settings module"])

    def test_no_message_repeats_a_password(self):
        facts = self.develop(
            project_files(
                DEBUG_ON
                + 'INSTALLED_APPS += ["shop"]\n'
                + 'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "db",'
                + ' "USER": "u", "PASSWORD": os.environ.get("DB_PASSWORD", "hunter2hunter2")}}',
                **{
                    "shop/__init__.py": "",
                    "shop/apps.py": """
                        from django.conf import settings
                        raise RuntimeError(str(settings.DATABASES["default"]["PASSWORD"]))
                    """,
                },
            ),
            API_TOKEN="given-and-secret",
        )
        self.assertEqual([e["message"] for e in facts["errors"]], ["(hidden)"])


@needs("django", "configurations", "dj_database_url", "psycopg2", "debug_toolbar")
class ExampleTest(ProbeTest):
    def test_the_example_project(self):
        with tempfile.TemporaryDirectory(prefix="djship-test-") as folder:
            shutil.copytree(POLLS, folder, dirs_exist_ok=True)
            self.develop_folder(folder)
            found = json.loads(self.text.replace(folder, "/app"))
        sample = json.loads((PYTHON_FOLDER / "probe" / "sample-develop.json").read_text(encoding="utf-8"))
        for key in ("python_version", "django_version"):  # of whoever runs the test
            sample.pop(key)
            found.pop(key)
        self.assertEqual(found, sample)
        self.assertEqual(self.only_service(found)["password"], PASSWORD)
