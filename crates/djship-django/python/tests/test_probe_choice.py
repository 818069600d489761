"""Which settings module, and what turns a developer's default into production."""

from synthetic import PLAIN, ProbeTest, needs, project_files


@needs("django")
class SettingsModuleTest(ProbeTest):
    def test_manage_py_is_run_not_parsed(self):
        facts = self.probe(
            project_files(
                'SECRET_KEY = "x"',
                **{
                    "manage.py": """
                        import os, sys
                        sys.path.insert(0, "code")
                        os.environ.setdefault("DJANGO_SETTINGS_MODULE", ".".join(["inner", "conf"]))
                        from django.core.management import execute_from_command_line
                        execute_from_command_line(sys.argv)
                    """,
                    "code/inner/__init__.py": "",
                    "code/inner/conf.py": PLAIN + 'SECRET_KEY = "x"\n',
                },
            )
        )
        self.assertEqual(facts["settings_module"], {"value": "inner.conf", "origin": "manage.py"})
        self.assertEqual((facts["errors"], facts["switches"]), ([], []))

    def test_a_folder_below(self):
        files = project_files('SECRET_KEY = "x"')
        facts = self.probe({f"backend/{name}": text for name, text in files.items()}, root="backend")
        self.assertEqual(facts["settings_module"], {"value": "site1.settings", "origin": "backend/manage.py"})
        self.assertEqual(facts["static"]["root"], f"{self.project}/backend/collected")

    def test_manage_py_that_names_nothing(self):
        files = project_files(
            'SECRET_KEY = "x"',
            **{
                "manage.py": "import sys\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
            },
        )
        facts = self.probe(files)
        self.assertEqual(facts["settings_module"], {"value": "site1.settings", "origin": "site1/wsgi.py"})
        self.assertEqual(
            [(s["name"], s["value"]) for s in facts["switches"]], [("DJANGO_SETTINGS_MODULE", "site1.settings")]
        )

    def test_the_search_is_the_last_resort(self):
        files = project_files('SECRET_KEY = "x"', **{"manage.py": None, "site1/wsgi.py": None})
        facts = self.probe(files)
        self.assertEqual(facts["settings_module"]["value"], "site1.settings")
        self.assertIn("search", facts["settings_module"]["origin"])


@needs("django")
class ProductionTest(ProbeTest):
    def test_nothing_to_do_when_debug_is_off(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nENV = os.environ.get("ENV") == "production"'))
        self.assertEqual((facts["debug"], facts["switches"]), (False, []))

    def test_a_constant_compared_in_the_settings(self):
        facts = self.probe(
            project_files("""
                STAGE = os.environ.get("STAGE_OF_LIFE", "dev")
                DEBUG = STAGE.lower() != "prod-eu"
                SECRET_KEY = "x" if DEBUG else os.environ["KEY_FOR_REAL"]
            """)
        )
        self.assertEqual(facts["debug"], False)
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("STAGE_OF_LIFE", "prod-eu")])
        self.assertIn("site1/settings.py:", facts["switches"][0]["why"])
        self.assertEqual(self.required(facts), ["KEY_FOR_REAL"])

    def test_a_constant_that_does_not_turn_debug_off_is_no_switch(self):
        facts = self.probe(
            project_files("""
                SECRET_KEY = "x"
                METRICS = os.environ.get("ENVIRONMENT") == "production"
                DEBUG = os.environ.get("DEBUG", "1") == "1"
            """)
        )
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("DEBUG", "False")])
        self.assertEqual(facts["debug"], False)

    def test_constants_are_tried_for_names_that_sound_like_it(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nDEBUG = os.environ.get("APP_ENV", "dev") == "dev"'))
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("APP_ENV", "production")])

    def test_the_module_that_wsgi_names(self):
        files = project_files(
            'SECRET_KEY = "x"\nDEBUG = True',
            wsgi_module="site1.served",
            **{"site1/served.py": 'from .settings import *\nDEBUG = False\nSECRET_KEY = os.environ["KEY"]\n'},
        )
        facts = self.probe(files)
        self.assertEqual(facts["settings_module"], {"value": "site1.served", "origin": "site1/wsgi.py"})
        self.assertEqual(self.required(facts), ["KEY"])

    def test_the_production_sibling_in_a_settings_package(self):
        files = project_files(
            "",
            module="site1.settings.dev",
            **{
                "site1/settings.py": None,
                "site1/settings/__init__.py": "",
                "site1/settings/base.py": PLAIN.replace("parent.parent", "parent.parent.parent") + 'SECRET_KEY = "x"\n',
                "site1/settings/dev.py": "from .base import *\nDEBUG = True\n",
                "site1/settings/production.py": 'from .base import *\nSECRET_KEY = os.environ["KEY"]\n',
            },
        )
        facts = self.probe(files)
        self.assertEqual(facts["settings_module"]["value"], "site1.settings.production")
        self.assertIn("site1.settings.dev", facts["settings_module"]["origin"])
        self.assertEqual(
            [(s["name"], s["value"]) for s in facts["switches"]],
            [("DJANGO_SETTINGS_MODULE", "site1.settings.production")],
        )

    def test_a_debug_variable_is_a_table_not_a_guess(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nDEBUG = bool(int(os.environ.get("DJANGO_DEBUG", "1")))'))
        self.assertEqual([(s["name"], s["value"]) for s in facts["switches"]], [("DJANGO_DEBUG", "0")])
        self.assertIn("'False': error", facts["switches"][0]["why"])

    def test_debug_that_nothing_turns_off(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nDEBUG = True'))
        self.assertEqual((facts["debug"], facts["switches"], facts["errors"]), (True, [], []))
        self.assertIn("DEBUG stays on", facts["warnings"][0]["message"])
