"""Variables: which are read, which are proved necessary, and with what value it works."""

from synthetic import ProbeTest, needs, project_files


@needs("django")
class NecessaryNamesTest(ProbeTest):
    def test_every_missing_name_is_reported_at_once(self):
        facts = self.probe(
            project_files("""
                SECRET_KEY = os.environ["SECRET_KEY"]
                TIMEOUT = int(os.environ["TIMEOUT"])
                PAIRS = [os.environ["FIRST"], os.getenv("SECOND", "2")]
            """)
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["FIRST", "SECRET_KEY", "TIMEOUT"])
        self.assertEqual([r["kind"] for r in facts["required"]], ["text", "secret", "int"])
        self.assertEqual(facts["required"][2]["line"], self.line_of("TIMEOUT ="))
        self.assertEqual(set(facts["throwaway"]), {"FIRST", "SECRET_KEY", "TIMEOUT"})
        self.assertNotIn("UNRELATED", [r["name"] for r in facts["read"]])

    def test_a_name_with_a_default_is_not_necessary(self):
        facts = self.probe(project_files('SECRET_KEY = os.environ.get("SECRET_KEY", "a-default-that-stays-hidden")'))
        self.assertEqual(facts["required"], [])
        self.assertEqual([(r["name"], r["default"]) for r in facts["read"]], [("SECRET_KEY", "(set)")])
        self.assertNotIn("a-default-that-stays-hidden", self.text)

    def test_an_empty_secret_key_is_traced_to_its_variable(self):
        facts = self.probe(
            project_files('KEY = os.environ.get("APP_KEY", "")\nSECRET_KEY = KEY or os.environ.get("APP_KEY", "")')
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["APP_KEY"])

    def test_int_of_none(self):
        facts = self.probe(project_files('SECRET_KEY = "x"\nPAGE = int(os.environ.get("PAGE_LENGTH_WANTED"))'))
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["PAGE_LENGTH_WANTED"])

    def test_settings_that_check_and_exit(self):
        facts = self.probe(
            project_files("""
                import sys
                for name in ("ALPHA", "BETA", "GAMMA"):
                    if not os.environ.get(name):
                        print("missing", name)
                        sys.exit(1)
                SECRET_KEY = os.environ["ALPHA"]
            """)
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["ALPHA", "BETA", "GAMMA"])

    def test_a_caught_key_error_keeps_its_branch(self):
        facts = self.probe(
            project_files("""
                try:
                    CACHE = os.environ["CACHE_PLACE"]
                except KeyError:
                    CACHE = "here"
                SECRET_KEY = os.environ["SECRET_KEY"]
            """)
        )
        self.assertEqual(self.required(facts), ["SECRET_KEY"])

    def test_a_helper_is_reported_at_its_caller(self):
        facts = self.probe(
            project_files("""
                def need(name):
                    value = os.environ.get(name)
                    if value is None:
                        raise RuntimeError("please set " + name)
                    return value
                SECRET_KEY = need("SITE_SECRET")
            """)
        )
        self.assertEqual(self.required(facts), ["SITE_SECRET"])
        self.assertEqual(facts["required"][0]["line"], self.line_of('need("SITE_SECRET")'))

    def test_needed_at_setup_only(self):
        facts = self.probe(
            project_files(
                'SECRET_KEY = "x"\nINSTALLED_APPS += ["shop"]',
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
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["SHOP_TOKEN"])
        self.assertEqual(facts["required"][0]["file"], "shop/apps.py")

    def test_copies_of_the_environment(self):
        facts = self.probe(project_files('E = dict(os.environ)\nSECRET_KEY = "x"\nWHERE = E.get("UNRELATED")'))
        self.assertEqual(facts["required"], [])
        self.assertEqual(facts["errors"], [])


class ReaderLibrariesTest(ProbeTest):
    @needs("django", "environ")
    def test_django_environ(self):
        facts = self.probe(
            project_files("""
                import environ
                env = environ.Env(DEBUG=(bool, False), PAGE=(int, 10))
                DEBUG = env("DEBUG")
                PAGE = env("PAGE")
                SECRET_KEY = env("SECRET_KEY")
                LIMIT = env.int("UPLOADS")
                DATABASES = {"default": env.db("SHOP_STORE")}
            """)
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["SECRET_KEY", "SHOP_STORE", "UPLOADS"])
        kinds = {r["name"]: r["kind"] for r in facts["read"]}
        self.assertEqual((kinds["UPLOADS"], kinds["SHOP_STORE"], kinds["DEBUG"]), ("int", "database", "bool"))
        self.assertEqual(facts["database_env"], {"SHOP_STORE": "url"})

    @needs("django", "decouple")
    def test_decouple(self):
        facts = self.probe(
            project_files("""
                from decouple import config, Csv
                SECRET_KEY = config("SECRET_KEY")
                DEBUG = config("DEBUG", default=False, cast=bool)
                ALLOWED_HOSTS = config("HOSTS_ALLOWED", cast=Csv())
                WORKERS = config("WORKERS", cast=int)
            """)
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(self.required(facts), ["HOSTS_ALLOWED", "SECRET_KEY", "WORKERS"])
        self.assertEqual(facts["allowed_hosts_env"], "HOSTS_ALLOWED")

    @needs("django", "configurations")
    def test_configurations(self):
        facts = self.probe(
            {
                "manage.py": """
                    import os, sys
                    if __name__ == "__main__":
                        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
                        os.environ.setdefault("DJANGO_CONFIGURATION", "Local")
                        from configurations.management import execute_from_command_line
                        execute_from_command_line(sys.argv)
                """,
                "site1/__init__.py": "",
                "site1/urls.py": "urlpatterns = []",
                "site1/settings.py": """
                    from configurations import Configuration, values
                    class Local(Configuration):
                        DEBUG = True
                        SECRET_KEY = "local"
                        ROOT_URLCONF = "site1.urls"
                    class Production(Local):
                        DEBUG = False
                        SECRET_KEY = values.SecretValue()
                        ALLOWED_HOSTS = values.ListValue(environ_required=True)
                """,
            }
        )
        self.assertEqual(facts["errors"], [])
        self.assertEqual(facts["configuration"], {"value": "Production", "origin": "sibling of Local"})
        self.assertEqual([s["name"] for s in facts["switches"]], ["DJANGO_CONFIGURATION"])
        self.assertEqual(self.required(facts), ["DJANGO_ALLOWED_HOSTS", "DJANGO_SECRET_KEY"])
        self.assertEqual(facts["required"][1]["line"], self.line_of("values.SecretValue()"))
