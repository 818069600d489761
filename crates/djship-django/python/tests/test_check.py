"""What the check of a finished image imports, and which failures of an import it forgives."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from synthetic import INTERPRETER, PYTHON_FOLDER, needs, project_files, write_files

COMPILER = shutil.which("cc")
# An extension module that needs a function of the library `gone`, and one that imports who imports it.
EXTENSION = """
#include <Python.h>
int gone(void);
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_x", NULL, -1, NULL};
PyMODINIT_FUNC PyInit__x(void) { gone(); return PyModule_Create(&module); }
"""
CIRCLE = """
#include <Python.h>
static int enter(PyObject *self) { return PyImport_ImportModule("five.user") ? 0 : -1; }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, enter}, {0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_x", NULL, 0, NULL, slots};
PyMODINIT_FUNC PyInit__x(void) { return PyModuleDef_Init(&module); }
"""
ASKED = "import sysconfig; print(sysconfig.get_paths()['include']); print(sysconfig.get_config_var('EXT_SUFFIX'))"
INCLUDE, SUFFIX = subprocess.run(
    [INTERPRETER, "-c", ASKED], capture_output=True, text=True, check=True
).stdout.splitlines()

COMPILES = unittest.skipUnless(COMPILER and Path(INCLUDE, "Python.h").is_file(), "no C compiler or no Python.h")


class ImportsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="djship-test-")
        self.addCleanup(folder.cleanup)
        self.site = Path(os.path.realpath(folder.name))

    def install(self, name, files):
        files = {**files, f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
        write_files(self.site, files)
        record = "".join(f"{file},,\n" for file in files)
        write_files(self.site, {f"{name}-1.0.dist-info/RECORD": record})

    def test_a_file_that_does_not_compile_is_the_place(self):
        code = (
            "import sys; sys.path[:0] = sys.argv[1:]; import check\n"
            "try: import broken\nexcept SyntaxError as error: check.report('urls', 'x', error)"
        )
        write_files(self.site, {"broken.py": "a = 1\ndef broken(:\n"})
        command = [INTERPRETER, "-c", code, str(PYTHON_FOLDER / "build"), str(self.site)]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        self.assertEqual((said["file"], said["line"]), (str(self.site / "broken.py"), 2))

    def check(self, name):
        code = (
            "import sys; sys.path[:0] = sys.argv[1:3]; import check; before = set(sys.modules);"
            "check.check_distribution(sys.argv[3]); import json;"
            "print(json.dumps(sorted(set(sys.modules) - before)))"
        )
        done = subprocess.run(
            [INTERPRETER, "-c", code, str(PYTHON_FOLDER / "build"), str(self.site), name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        *failures, imported = map(json.loads, done.stdout.splitlines())
        self.imported, self.failures = imported, failures
        return [(failure["name"], failure["type"]) for failure in failures]

    def test_packages_are_imported_and_modules_are_not(self):
        self.install(
            "mixed",
            {"mixed/__init__.py": "", "mixed/more/__init__.py": "1/0", "space/inner/__init__.py": "", "single.py": "1/0",
             "uwsgidecorators/__init__.py": "1/0", "tests/__init__.py": "1/0"},
        )  # fmt: skip
        self.assertEqual(self.check("mixed"), [])
        self.assertLessEqual({"mixed", "space.inner"}, set(self.imported))
        self.assertNotIn("mixed.more", self.imported)

    def test_a_missing_distribution(self):
        self.assertEqual(self.check("absent"), [("absent", "PackageNotFoundError")])

    def test_only_another_distribution_may_be_missing(self):
        wrapped = "try:\n    import {0}\nexcept ImportError as error:\n    raise ImportError('install it') from error\n"
        fallback = "try:\n    import elsewhere\nexcept ImportError:\n    from . import {0}\n"
        for text, failed in [
            ("import elsewhere", None),
            ("import elsewhere.part", None),
            (wrapped.format("elsewhere"), None),
            ("import one.inside", "ModuleNotFoundError"),
            (wrapped.format("one.inside"), "ImportError"),
            (fallback.format("absent"), "ImportError"),
            ("raise ImportError('libx.so.1: cannot open shared object file', name='x', path='x.so')", "ImportError"),
            ("raise ImportError('no')", "ImportError"),
            ("raise SystemExit(1)", "SystemExit"),
        ]:
            with self.subTest(text):
                self.install("one", {"one/__init__.py": text})
                self.assertEqual(self.check("one"), [("one", failed)] if failed else [])

    def test_extension_modules_and_other_libraries(self):
        """A file that is no library at all cannot be loaded; only one that initialises a module is tried."""
        self.install(
            "two",
            {"two/__init__.py": "", f"two/deep/_x{SUFFIX}": "PyInit__x", "two/_other.cpython-20-x.so": "PyInit__other",
             "two/libplain.so": "", "two.libs/libcopied-1234.so.1": "", f"_top{SUFFIX}": "PyInit__top"},
        )  # fmt: skip
        self.assertEqual(self.check("two"), [("two.deep._x", "ImportError"), ("_top", "ImportError")])

    @needs("psycopg_binary")
    def test_what_has_to_be_imported_after_another(self):
        self.assertEqual(self.check("psycopg-binary"), [])
        self.assertIn("psycopg_binary._psycopg", self.imported)

    def test_a_package_that_fails_is_named_once(self):
        self.install("three", {"three/__init__.py": "from . import _x", f"three/_x{SUFFIX}": "PyInit__x"})
        self.assertEqual(self.check("three"), [("three", "ImportError")])

    def test_a_file_that_is_no_python_is_named_itself(self):
        self.install("eight", {"eight/__init__.py": "from . import views", "eight/views.py": "\ndef broken(:\n"})
        self.assertEqual(self.check("eight"), [("eight", "SyntaxError")])
        named = self.failures[0]
        self.assertEqual((named["file"], named["line"]), (str(self.site / "eight/views.py"), 2))

    def compile(self, package, source, *libraries):
        write_files(self.site, {"x.c": source})
        built = self.site / package / f"_x{SUFFIX}"
        command = [COMPILER, "-shared", "-fPIC", f"-I{INCLUDE}", "-o", built, self.site / "x.c", *libraries]
        subprocess.run(command, check=True)

    @COMPILES
    def test_a_circle_with_another_way_in(self):
        user = "from five._x import something\n"
        self.install("five", {"five/__init__.py": "", "five/user.py": user, f"five/_x{SUFFIX}": ""})
        self.compile("five", CIRCLE)
        self.assertEqual(self.check("five"), [])
        (self.site / "five" / "user.py").write_text("1 / 0\n")
        self.assertEqual(self.check("five"), [("five._x", "ZeroDivisionError")])

    @COMPILES
    def test_a_missing_library_of_the_system(self):
        self.install("four", {"four/__init__.py": "", f"four/_x{SUFFIX}": ""})
        write_files(self.site, {"gone.c": "int gone(void) { return 0; }\n"})
        library = self.site / "libgone.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, self.site / "gone.c"], check=True)
        self.compile("four", EXTENSION, f"-L{self.site}", "-lgone", f"-Wl,-rpath,{self.site}")
        self.assertEqual(self.check("four"), [])
        self.assertIn("four._x", self.imported)
        library.unlink()
        self.assertEqual(self.check("four"), [("four._x", "ImportError")])


class CheckTest(unittest.TestCase):
    @needs("django")
    def test_static_root_is_set_as_in_the_server(self):
        """The project's own application joins STATIC_ROOT to a name, which its settings leave out."""
        with tempfile.TemporaryDirectory(prefix="djship-test-") as folder:
            home, app = Path(folder, "opt"), Path(folder, "app")
            shutil.copytree(PYTHON_FOLDER / "build", home / "build")
            shutil.copytree(PYTHON_FOLDER / "runtime" / "djship_serve", home / "lib" / "djship_serve")
            check = home / "build" / "check.py"
            check.write_text(check.read_text().replace('"/opt/djship"', repr(str(home))))
            files = project_files("STATIC_ROOT = None\nSECRET_KEY = 'x'\n")
            files["site1/wsgi.py"] += "from django.conf import settings\nprint(settings.STATIC_ROOT + '/x')\n"
            write_files(app, files)
            described = {
                "wsgi": "site1.wsgi:application",
                "static": {"whitenoise": False, "root": "/srv/s", "url": "/s/"},
            }
            (home / "app.json").write_text(json.dumps(described))
            done = subprocess.run(
                [INTERPRETER, str(check)], cwd=app, input="django\n", capture_output=True, text=True, check=False
            )
        self.assertEqual((done.returncode, done.stdout), (0, "/srv/s/x\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
