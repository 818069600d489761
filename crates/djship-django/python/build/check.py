"""Proves that the finished image starts: `check.py`, in the folder of manage.py, as the run user.

Imports every compiled distribution (names on standard input, one a line), sets Django up, imports the URLs and the
application as the server does, and runs the system checks. Each failure is one line on standard output:
{"what", "name", "type", "message", "file", "line"}; the exit code is 1 when there was any.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import traceback

from through_manage import run

failures = 0


def report(what, name, error):
    global failures
    failures += 1
    here = os.path.dirname(os.path.abspath(__file__))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((here, "<"))]
    own = [frame for frame in frames if frame.filename.startswith("/app/")]
    frame = (own or frames or [None])[-1]
    line = {
        "what": what,
        "name": name,
        "type": type(error).__name__,
        "message": str(error)[:2000],
        "file": frame and frame.filename,
        "line": frame and frame.lineno,
    }
    print(json.dumps(line), flush=True)


def attempt(what, name, function):
    try:
        function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        report(what, name, error)


def modules_of(distribution):
    """The importable top-level names of a distribution."""
    files = importlib.metadata.files(distribution) or []
    names = set()
    for file in files:
        first = file.parts[0]
        if len(file.parts) > 1 and file.name == "__init__.py" and len(file.parts) == 2:
            names.add(first)
        elif len(file.parts) == 1 and first.endswith((".py", ".so")):
            names.add(first.split(".")[0])
    return sorted(name for name in names if name.isidentifier())


def check():
    import django

    def set_up():
        django.setup()

    attempt("setup", "django.setup()", set_up)
    if failures:
        return
    from django.conf import settings
    from django.core import checks

    for distribution in filter(None, (line.strip() for line in sys.stdin)):
        for name in modules_of(distribution):
            attempt("import", name, lambda name=name: importlib.import_module(name))
    urls = getattr(settings, "ROOT_URLCONF", None)
    if urls:
        attempt("urls", urls, lambda: importlib.import_module(urls))
    with open("/opt/djship/app.json", encoding="utf-8") as file:
        app = json.load(file)
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
