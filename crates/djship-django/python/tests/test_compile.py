"""Bytecode: the same bytes whatever is compiled beside it, and errors with their place."""

import importlib.util
import json
import marshal
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from synthetic import PYTHON_FOLDER, write_files

SCRIPT = PYTHON_FOLDER / "build" / "compile.py"
# Shared strings, set constants and names known to every interpreter: what makes careless bytecode differ.
SOURCES = {
    "one.py": "import os\nWORDS = {'alpha', 'beta', 'gamma'}\ndef path(environ, alpha):\n    return alpha in {'x', 'y', 'zz'} and 'alpha' 'beta'\n",
    "two.py": "class alpha:\n    beta = 'alpha'\n    def gamma(self, environ=('alpha', 'beta')):\n        return self.beta + 'marshal'\n",
    "three.py": "# -*- coding: latin-1 -*-\nSTAR = 'caf\\xe9'\nBIG = 123456789012345678901234567890\n",
}


class CompileTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def compile(self, sources, **environment):
        """Compile in the given order; ({name: bytes}, reported lines)."""
        out = tempfile.mkdtemp(dir=self.folder)
        lines = "".join(f"{s}\t/app/{Path(s).name}\t{out}/{Path(s).name}c\n" for s in sources)
        done = subprocess.run(
            [sys.executable, "-S", str(SCRIPT)], input=lines, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], **environment},
        )  # fmt: skip
        self.log = done.stderr
        self.code = done.returncode
        return {p.name: p.read_bytes() for p in sorted(Path(out).iterdir())}, [
            json.loads(x) for x in done.stdout.splitlines()
        ]

    def standard_library(self, count):
        folder = Path(json.__file__).resolve().parents[1]
        return [str(p) for p in sorted(folder.glob("*.py"))[:count]]

    def test_the_same_bytes_in_any_order_and_company(self):
        write_files(self.folder, SOURCES)
        own = [str(self.folder / name) for name in SOURCES]
        files = own + self.standard_library(60)
        first, reported = self.compile(files)
        self.assertEqual((self.code, reported, len(first)), (0, [], len(files)))
        shuffled = random.Random(7).sample(files, len(files))
        self.assertEqual(self.compile(shuffled, PYTHONHASHSEED="123")[0], first)
        for path in files[:6]:
            alone, _ = self.compile([path])
            self.assertEqual(alone[Path(path).name + "c"], first[Path(path).name + "c"], path)

    def test_unchecked_hash_and_the_path_in_the_image(self):
        write_files(self.folder, SOURCES)
        data = self.compile([str(self.folder / "one.py")])[0]["one.pyc"]
        self.assertEqual(data[:4], importlib.util.MAGIC_NUMBER)
        self.assertEqual(int.from_bytes(data[4:8], "little"), 0b01)
        self.assertEqual(data[8:16], importlib.util.source_hash(SOURCES["one.py"].encode()))
        self.assertEqual(marshal.loads(data[16:]).co_filename, "/app/one.py")

    def test_a_syntax_error_is_reported_and_the_rest_compiled(self):
        write_files(self.folder, {"good.py": "x = 1\n", "bad.py": "x = 1\ny = = 2\n", "null.py": "x = '\0'\n"})
        made, reported = self.compile([str(self.folder / n) for n in ("bad.py", "good.py", "null.py")])
        self.assertEqual((list(made), self.code), (["good.pyc"], 0))
        by_path = {r["path"]: r for r in reported}
        self.assertEqual(set(by_path), {"/app/bad.py", "/app/null.py"})
        self.assertEqual((by_path["/app/bad.py"]["line"], by_path["/app/bad.py"]["type"]), (2, "SyntaxError"))

    def test_a_file_that_cannot_be_read(self):
        made, _ = self.compile([str(self.folder / "absent.py")])
        self.assertEqual((made, self.code), ({}, 1))
        self.assertIn("absent.py", self.log)
