"""Drivers of databases that are missing: what to add, and what to write into .env."""

import sys
import unittest
from types import SimpleNamespace

from synthetic import PYTHON_FOLDER, ProbeTest, needs, project_files

sys.path.insert(0, str(PYTHON_FOLDER / "probe"))

from djship_probe import development_report, report  # noqa: E402 the path comes first


class WordsTest(unittest.TestCase):
    def test_the_distribution_of_a_driver(self):
        for text, distribution in [
            ("Error loading psycopg2 or psycopg module | No module named 'psycopg2'", "psycopg[binary]"),
            ("ModuleNotFoundError: No module named 'psycopg'", "psycopg[binary]"),
            ("ImportError: no pq wrapper available.", "psycopg[binary]"),
            ("ImproperlyConfigured: Error loading psycopg2 module: No module named 'psycopg2'", "psycopg2-binary"),
            ("ImproperlyConfigured: Error loading MySQLdb module.\nDid you install mysqlclient?", "mysqlclient"),
        ]:  # fmt: skip
            self.assertIn(f"add {distribution} to", report.driver_hint(text), text)
        self.assertIsNone(report.driver_hint("No module named 'psycopg_pool'"))

    def test_what_to_write(self):
        without = SimpleNamespace(server=None)
        said = development_report.no_engine_message("default", "SHOP_DB_URL", without)
        self.assertIn("SHOP_DB_URL is unset", said)
        self.assertIn("add psycopg[binary] to the requirements", said)
        self.assertIn("SHOP_DB_URL=sqlite:///db.sqlite3 into .env", said)
        said = development_report.no_engine_message("default", "SHOP_DB_URL", SimpleNamespace(server="postgres"))
        self.assertNotIn("psycopg", said)
        self.assertIn("until a variable", development_report.no_engine_message("default", None, without))


@needs("django")
class MissingModuleTest(ProbeTest):
    def test_settings_that_import_a_driver_that_is_not_there(self):
        failure = "raise ModuleNotFoundError(\"No module named 'psycopg'\", name='psycopg')"
        settings = f"DEBUG = True\nSECRET_KEY = 'x'\n{failure}\n"
        facts = self.develop(project_files(settings))
        self.assertIn("psycopg[binary]", facts["errors"][0]["hint"])
