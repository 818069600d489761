"""Proves that the finished image starts: `check.py`, in the folder of manage.py, as the run user.

Imports what every compiled distribution needs the system's libraries for (names on standard input, one a line), sets
Django up, imports the URLs and the application as the server does, and runs the system checks. Each failure is one
line on standard output: {"what", "name", "type", "message", "file", "line"}; the exit code is 1 when there was any.
"""

import importlib
import importlib.machinery
import importlib.metadata
import json
import os
import sys
import traceback
from functools import partial

from through_manage import run

HOME = "/opt/djship"
# What is installed to be run by something else, or not to be run at all. (A top-level name such as `tests` would be
# the project's own besides.)
NOT_IMPORTED = {
    "numba.np.ufunc.tbbpool": "one of three, where the system has TBB",
    "uwsgidecorators": "only inside a uWSGI process",
    "benchmarks": "run by hand",
    "docs": "documentation",
    "examples": "documentation",
    "test": "needs its test runner",
    "tests": "needs its test runner",
}
# What refuses to be imported before another distribution.
IMPORTED_BEFORE = {"psycopg_binary": "psycopg", "psycopg_c": "psycopg"}
# The longest first: `_x.cpython-313-x86_64-linux-gnu.so` also ends with `.so`.
SUFFIXES = sorted(importlib.machinery.EXTENSION_SUFFIXES, key=len, reverse=True)

failures = 0


def report(what, name, error):
    global failures
    failures += 1
    here = os.path.dirname(os.path.abspath(__file__))
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((here, "<"))
    ]
    own = [frame for frame in frames if frame.filename.startswith("/app/")]
    frame = (own or frames or [None])[-1]
    file, number = (frame.filename, frame.lineno) if frame else (None, None)
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith("/"):
        # The traceback ends where the file is imported.
        file, number = error.filename, error.lineno
    line = {
        "what": what,
        "name": name,
        "type": type(error).__name__,
        "message": str(error)[:2000],
        "file": file,
        "line": number,
    }
    print(json.dumps(line), flush=True)


def attempt(what, name, function, is_failure=lambda error: True):
    """Calls the function, and reports how it fails. Did it succeed?"""
    try:
        function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if is_failure(error):
            report(what, name, error)
        return False
    return True


def is_module_name(parts):
    return all(part.isidentifier() for part in parts) and not {parts[0], ".".join(parts)} & NOT_IMPORTED.keys()


def packages_of(files):
    """The packages of a distribution that are in no other of its packages: `psycopg2`, `zope.interface`."""
    folders = {file.parts[:-1] for file in files if file.name == "__init__.py" and file.parts[:-1]}
    return sorted(
        ".".join(folder)
        for folder in folders
        if is_module_name(folder) and not any(folder[:length] in folders for length in range(1, len(folder)))
    )


def extensions_of(files):
    """The extension modules of a distribution that this interpreter can load: (dotted name, path)."""
    for file in files:
        suffix = next((suffix for suffix in SUFFIXES if file.name.endswith(suffix)), None)
        parts = (*file.parts[:-1], file.name[: -len(suffix)]) if suffix else ("",)
        if not is_module_name(parts):
            continue
        path = os.path.realpath(file.locate())
        # A library that others load or link to (ctypes, the wheel's own copies) has no such function.
        initialiser = b"PyInit_" + parts[-1].encode()
        try:
            with open(path, "rb") as opened:
                if initialiser in opened.read():
                    yield ".".join(parts), path
        except OSError:
            continue  # trimmed from the image: what needs it will say so


def is_loaded(path):
    """Is this library part of the process already? Then everything that it is linked to was found."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            return any(line.rstrip("\n").endswith(" " + path) for line in maps)
    except OSError:
        return False


def is_optional(error, own):
    """Did the import fail only because another distribution is missing, which this one can do without?"""
    # What the package raised itself in its place, with advice; the import system always gives the name.
    while isinstance(error, ImportError) and error.name is None and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return False
    return not any(error.name == name or error.name.startswith(name + ".") for name in own)


def import_package(name):
    if name in IMPORTED_BEFORE:
        importlib.import_module(IMPORTED_BEFORE[name])
    importlib.import_module(name)


def check_distribution(distribution):
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        report("import", distribution, error)
        return
    packages, extensions = packages_of(files), list(extensions_of(files))
    own = {*packages, *(name for name, _ in extensions)}

    def is_failure(error):
        return not is_optional(error, own)

    def is_failure_of_extension(error):
        # Some import each other in a circle that has only one way in: no more than that the library was loaded,
        # and found what it is linked to, can be told from here.
        return is_failure(error) and "partially initialized module" not in str(error)

    broken = []
    for name in packages:
        if not attempt("import", name, partial(import_package, name), is_failure):
            broken.append(name + ".")
    for name, path in extensions:
        # In a package that failed everything fails, for the same reason.
        if not name.startswith(tuple(broken)) and not is_loaded(path):
            attempt("import", name, partial(importlib.import_module, name), is_failure_of_extension)


def check():
    # As the server does, from the same source. The supplied packages come last, as in launch.py.
    sys.path.append(os.path.join(HOME, "lib"))
    from djship_serve.project import prepare_static_root, read_app

    app = read_app()
    prepare_static_root(app)
    import django

    def set_up():
        django.setup()

    if not attempt("setup", "django.setup()", set_up):
        return
    from django.conf import settings
    from django.core import checks

    for distribution in filter(None, (line.strip() for line in sys.stdin)):
        check_distribution(distribution)
    urls = getattr(settings, "ROOT_URLCONF", None)
    if urls:
        attempt("urls", urls, lambda: importlib.import_module(urls))
    for kind in ("wsgi", "asgi"):
        if app.get(kind):
            module = app[kind].partition(":")[0]
            attempt(kind, module, lambda module=module: importlib.import_module(module))
    if failures:
        return

    class Failed(Exception):
        pass

    for message in checks.run_checks():
        if message.is_serious() and not message.is_silenced():
            report("check", message.id or "", Failed(str(message)))


if __name__ == "__main__":
    run(check, "check")
    sys.exit(1 if failures else 0)
