"""Databases in development: which the settings lead to, and which variables lead them to ours."""

from textwrap import dedent

from synthetic import ADDRESS, PASSWORD, ProbeTest, needs, project_files

PLAIN_DEBUG = "DEBUG = True\nSECRET_KEY = 'x'\n"
PARTS = """
DATABASES = {{"default": {{
    "ENGINE": {engine},
    "NAME": os.environ.get("SQL_DATABASE", "bookshop"),
    "USER": os.environ.get("SQL_USER", "user"),
    "PASSWORD": os.environ.get("SQL_PASSWORD", "password"),
    "HOST": os.environ.get("SQL_HOST", {host!r}),
    "PORT": os.environ.get("SQL_PORT", "5432"),
}}}}
"""
POSTGRES = '"django.db.backends.postgresql"'
URL = f"postgres://keeper:{PASSWORD}@{ADDRESS}:5432"


class DatabaseTest(ProbeTest):
    def develop_settings(self, settings, **given):
        return self.develop(project_files(PLAIN_DEBUG + settings), **given)

    def assert_ours(self, facts, **expected):
        """The only service is ours, and the live settings lead there."""
        service = self.only_service(facts)
        self.assertEqual((service["host"], service["hard_coded"], service["lasting"]), (ADDRESS, False, True))
        self.assertEqual(facts["databases"]["default"]["host"], ADDRESS)
        self.assertEqual({k: service[k] for k in expected}, expected)


@needs("django", "psycopg2")
class VariablesTest(DatabaseTest):
    def test_parts_with_a_default_host(self):
        facts = self.develop_settings(PARTS.format(engine=POSTGRES, host="db"))
        self.assert_ours(facts, kind="postgres", port=5432, user="keeper", password=PASSWORD, name="bookshop")
        self.assertEqual(
            {n: c["part"] for n, c in facts["connections"].items()},
            {"SQL_HOST": "host", "SQL_PORT": "port", "SQL_USER": "user", "SQL_PASSWORD": "password",
             "SQL_DATABASE": "name"},
        )  # fmt: skip
        self.assertEqual((facts["supplied"], facts["external"], facts["warnings"]), ([], [], []))
        self.assertEqual(self.only_service(facts)["uses"], ["DATABASES['default']"])

    def test_parts_that_are_given_stay(self):
        facts = self.develop_settings(PARTS.format(engine=POSTGRES, host="db"), SQL_USER="me", SQL_PASSWORD="my-own")
        self.assert_ours(facts, user="me", password="my-own")
        self.assertEqual(sorted(facts["connections"]), ["SQL_DATABASE", "SQL_HOST", "SQL_PORT"])

    def test_required_parts_under_any_name(self):
        facts = self.develop_settings("""
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["WAREHOUSE"],
    "USER": os.environ["CLERK"], "PASSWORD": os.environ["CLERK_WORD"], "HOST": os.environ["STORE_AT"]}}
""")
        self.assert_ours(facts, user="keeper", password=PASSWORD, name="shop", port=5432)
        self.assertEqual(
            {n: c["part"] for n, c in facts["connections"].items()},
            {"WAREHOUSE": "name", "CLERK": "user", "CLERK_WORD": "password", "STORE_AT": "host"},
        )
        self.assertEqual(facts["supplied"], [])

    @needs("dj_database_url")
    def test_a_url_comes_before_parts(self):
        facts = self.develop_settings(
            PARTS.format(engine=POSTGRES, host="localhost")
            + "import dj_database_url\n"
            + "if 'DATABASE_URL' in os.environ:\n    DATABASES['default'] = dj_database_url.config()\n"
        )
        self.assert_ours(facts, user="keeper", name="bookshop")
        self.assertEqual(
            facts["connections"],
            {"DATABASE_URL": {"value": f"{URL}/bookshop", "service": "postgres", "part": "url"}},
        )

    @needs("dj_database_url")
    def test_a_url_that_may_be_missing_and_is_all_there_is(self):
        facts = self.develop_settings("import dj_database_url\nDATABASES = {'default': dj_database_url.config()}\n")
        self.assert_ours(facts, user="keeper", name="shop")
        self.assertEqual(facts["connections"]["DATABASE_URL"]["value"], f"{URL}/shop")
        self.assertEqual((facts["supplied"], facts["warnings"]), ([], []))

    @needs("environ")
    def test_a_required_url(self):
        facts = self.develop_settings("import environ\nDATABASES = {'default': environ.Env().db('STORE_PLACE')}\n")
        self.assert_ours(facts, user="keeper", password=PASSWORD, name="shop")
        self.assertEqual(list(facts["connections"]), ["STORE_PLACE"])
        self.assertEqual(facts["supplied"], [])

    @needs("environ")
    def test_a_url_without_host(self):
        facts = self.develop_settings(
            "import environ\nDATABASES = {'default': environ.Env().db('DATABASE_URL', default='postgres:///orders')}\n"
        )
        self.assert_ours(facts, name="orders", user="keeper")
        self.assertEqual(facts["connections"]["DATABASE_URL"]["value"], f"{URL}/orders")

    def test_two_databases_of_one_server(self):
        facts = self.develop_settings("""
HOST = os.environ.get("DB_HOST", "db")
ONE = {"ENGINE": "django.db.backends.postgresql", "USER": "u", "PASSWORD": "pw", "HOST": HOST}
DATABASES = {"default": {**ONE, "NAME": "first"}, "other": {**ONE, "NAME": "second"}}
""")
        self.assert_ours(facts, name="first", names=["first", "second"], user="u", password="pw")
        self.assertEqual(self.only_service(facts)["uses"], ["DATABASES['default']", "DATABASES['other']"])

    def test_libpq_fills_what_is_empty(self):
        facts = self.develop_settings(
            'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "books", "USER": "me"}}'
        )
        service = self.only_service(facts)
        self.assertEqual((service["host"], service["port"], service["hard_coded"]), (ADDRESS, 5432, False))
        self.assertEqual((service["user"], service["password"], service["name"]), ("me", PASSWORD, "books"))
        self.assertEqual(
            {n: c["part"] for n, c in facts["connections"].items()},
            {"PGHOST": "host", "PGPORT": "port", "PGPASSWORD": "password"},
        )
        self.assertEqual([r["name"] for r in facts["read"]], ["PGHOST", "PGPASSWORD", "PGPORT"])

    def test_libpqs_variables_may_be_given(self):
        facts = self.develop_settings(
            'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "books", "USER": "me"}}',
            PGHOST="db.example.com",
        )
        self.assertEqual((facts["services"], facts["connections"]), ([], {}))
        self.assertEqual(facts["external"][0]["host"], "db.example.com")

    def test_an_engine_in_the_projects_own_word(self):
        facts = self.develop_settings(
            "ENGINES = {'pg': 1, 'postgres': 'django.db.backends.postgresql'}\n"
            + PARTS.format(engine='ENGINES[os.environ["DB_TYPE"]]', host="db")
        )
        self.assert_ours(facts, name="bookshop")
        self.assertEqual(self.values_of(facts)["DB_TYPE"], "postgres")
        self.assertEqual(facts["errors"], [])

    def test_an_engine_that_is_asked_for(self):
        facts = self.develop_settings(PARTS.format(engine='os.environ["SQL_ENGINE"]', host="db"))
        self.assert_ours(facts, name="bookshop")
        self.assertEqual(self.values_of(facts)["SQL_ENGINE"], "django.db.backends.postgresql")


@needs("django", "psycopg2")
class FixedTest(DatabaseTest):
    def test_localhost(self):
        facts = self.develop_settings("""
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "books", "HOST": "localhost",
                         "USER": "me", "PASSWORD": "", "PORT": ""}}
""")
        self.assertEqual(
            self.only_service(facts),
            {"kind": "postgres", "host": "localhost", "port": 5432, "user": "me", "password": None, "name": "books",
             "names": ["books"], "uses": ["DATABASES['default']"], "hard_coded": True, "lasting": True,
             "virtual_host": None},
        )  # fmt: skip
        self.assertEqual(facts["connections"], {})

    def test_an_alias_with_user_and_password(self):
        facts = self.develop_settings("""
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql_psycopg2".removesuffix("_psycopg2"), "NAME": "any",
                         "HOST": "db", "USER": "postgres", "PASSWORD": "any", "PORT": 5433}}
""")
        service = self.only_service(facts)
        self.assertEqual((service["host"], service["port"], service["hard_coded"]), ("db", 5433, True))
        self.assertEqual((service["user"], service["password"], service["name"]), ("postgres", "any", "any"))

    def test_postgis(self):
        facts = self.develop_settings("""
DATABASES = {"default": {"ENGINE": "django.contrib.gis.db.backends.postgis", "NAME": "map", "HOST": "db"}}
""")
        self.assertEqual((self.only_service(facts)["kind"], self.only_service(facts)["user"]), ("postgis", None))

    def test_given_and_elsewhere(self):
        facts = self.develop_settings(PARTS.format(engine=POSTGRES, host="db"), SQL_HOST="db.example.com")
        self.assertEqual((facts["services"], facts["connections"]), ([], {}))
        self.assertEqual(
            facts["external"],
            [{"kind": "postgres", "host": "db.example.com", "port": 5432, "uses": ["DATABASES['default']"]}],
        )

    @needs("dj_database_url")
    def test_a_given_url_elsewhere(self):
        facts = self.develop_settings(
            "import dj_database_url\nDATABASES = {'default': dj_database_url.config(default='postgres://db/x')}",
            DATABASE_URL="postgres://a:b@db.example.com:6000/c",
        )
        self.assertEqual((facts["services"], facts["connections"]), ([], {}))
        self.assertEqual((facts["external"][0]["host"], facts["external"][0]["port"]), ("db.example.com", 6000))
        self.assertNotIn("a:b@", self.text)

    def test_a_default_that_is_elsewhere_is_led_home(self):
        facts = self.develop_settings(PARTS.format(engine=POSTGRES, host="db.example.com"))
        self.assert_ours(facts)

    def test_given_parts_are_not_hidden_by_a_url_of_ours(self):
        settings = """
            import dj_database_url, os
            DATABASES = {"default": dj_database_url.config() if os.environ.get("DATABASE_URL") else {
                "ENGINE": "django.db.backends.postgresql", "HOST": os.environ.get("DB_HOST", "db"), "NAME": "books",
                "USER": os.environ.get("DB_USER", "x"), "PASSWORD": os.environ.get("DB_PASSWORD", "x")}}
        """
        facts = self.develop_settings(dedent(settings), DB_USER="ada", DB_PASSWORD="hers")
        service = self.only_service(facts)
        self.assertEqual((service["user"], service["password"], service["host"]), ("ada", "hers", ADDRESS))
        self.assertNotIn("DATABASE_URL", facts["connections"])

    @needs("environ")
    def test_a_file_of_the_projects_is_given_too(self):
        files = project_files(
            PLAIN_DEBUG
            + "import environ\nenv = environ.Env()\nenv.read_env(BASE_DIR / 'conf.env')\n"
            + "DATABASES = {'default': env.db('DATABASE_URL')}",
            **{"conf.env": "DATABASE_URL=postgres://me:mine@localhost/books\n"},
        )
        facts = self.develop(files)
        service = self.only_service(facts)
        self.assertEqual((service["host"], service["user"], service["hard_coded"]), ("localhost", "me", True))
        self.assertEqual((facts["connections"], facts["supplied"]), ({}, []))

    @needs("decouple")
    def test_a_file_that_decouple_reads_is_given_too(self):
        files = project_files(
            PLAIN_DEBUG
            + "from decouple import config\n"
            + "ENGINE = 'django.db.backends.postgresql'\n"
            + "DATABASES = {'default': {'ENGINE': ENGINE, 'HOST': config('DB_HOST'), 'NAME': 'x'}}",
            **{"settings.ini": "[settings]\nDB_HOST=localhost\n"},
        )
        facts = self.develop(files)
        self.assertEqual(facts["errors"], [])
        self.assertEqual((self.only_service(facts)["host"], facts["connections"]), ("localhost", {}))


@needs("django", "psycopg2")
class SqliteTest(DatabaseTest):
    @needs("environ")
    def test_a_url_that_is_unset(self):
        settings = """
import environ
env = environ.Env()
DATABASES = {'default': env.db('DATABASE_URL', default='sqlite:///' + str(BASE_DIR / 'db.sqlite3'))}
"""
        facts = self.develop_settings(settings)
        self.assertEqual((facts["services"], facts["connections"]), ([], {}))
        self.assertEqual(facts["databases"]["default"]["name"], f"{self.project}/db.sqlite3")
        self.assertEqual(
            [w["message"] for w in facts["warnings"]],
            [
                "DATABASE_URL is unset, so this project uses SQLite; set it to a URL such as"
                " postgres://shop:shop@db/shop to develop with PostgreSQL"
            ],
        )
        self.assertEqual(facts["warnings"][0]["line"], self.line_of("DATABASE_URL"))

    def test_an_engine_that_is_unset(self):
        facts = self.develop_settings(
            PARTS.format(engine='os.environ.get("SQL_ENGINE", "django.db.backends.sqlite3")', host="localhost")
        )
        self.assertEqual((facts["services"], facts["connections"]), ([], {}))
        self.assertEqual(len(facts["warnings"]), 1)
        self.assertIn("SQL_ENGINE is unset", facts["warnings"][0]["message"])
        self.assertIn("set it to django.db.backends.postgresql to", facts["warnings"][0]["message"])

    def test_a_switch_that_is_unset_and_given(self):
        settings = (
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'x.sqlite3'}}\n"
            + "if os.environ.get('STORE') == 'postgres':\n"
            + "".join(f"    {line}\n" for line in PARTS.format(engine=POSTGRES, host="").strip().splitlines())
        )
        facts = self.develop_settings(settings)
        self.assertEqual(facts["services"], [])
        self.assertIn("STORE is unset", facts["warnings"][0]["message"])
        facts = self.develop_settings(settings, STORE="postgres")
        self.assert_ours(facts, name="bookshop", user="keeper")
        self.assertEqual(facts["warnings"], [])

    def test_a_plain_file(self):
        facts = self.develop_settings(
            'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}'
        )
        self.assertEqual((facts["services"], facts["warnings"], facts["connections"]), ([], [], {}))


@needs("django")
class MysqlTest(DatabaseTest):
    def test_parts(self):
        files = project_files(
            PLAIN_DEBUG
            + """
DATABASES = {"default": {
    "ENGINE": "django.db.backends.mysql",
    "NAME": os.environ.get("DJANGO_MYSQL_DATABASE") or "blog",
    "USER": os.environ.get("DJANGO_MYSQL_USER") or "root",
    "PASSWORD": os.environ.get("DJANGO_MYSQL_PASSWORD") or "any",
    "HOST": os.environ.get("DJANGO_MYSQL_HOST") or "127.0.0.1",
    "PORT": int(os.environ.get("DJANGO_MYSQL_PORT") or 3306),
}}
"""
        )
        facts = self.develop(files)
        self.assert_ours(facts, kind="mysql", port=3306, name="blog", user="keeper", password=PASSWORD)
        port = facts["connections"]["DJANGO_MYSQL_PORT"]
        self.assertEqual(port, {"value": "3306", "service": "mysql", "part": "port"})
