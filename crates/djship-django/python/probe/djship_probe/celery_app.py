"""The project's Celery application, seen in the child: what `celery -A` is given, and its own configuration."""

import importlib
import os
import re
import sys

from . import failure, source
from .modules import has_module

TRIED_AT_MOST = 3
MAKES_AN_APP = re.compile(r"\bCelery\s*\(")


def look(plan, recorder):
    """{"app", "broker", "backend", "always_eager", "beat", "error"}; None without Celery.

    `error`: why a module with an application cannot be imported.
    """
    if not has_module("celery"):
        return None
    seen = {"app": None, "broker": None, "backend": None, "always_eager": False, "beat": False, "error": None}
    try:
        found = loaded_app(recorder) or imported_app(plan, recorder)
        if found is None:
            return None
        module, attribute, app = found
        seen["app"] = name_for_command_line(module, attribute, app)
        read_configuration(app, seen)
    except (Exception, SystemExit) as error:
        recorder.busy = True
        seen["error"] = failure.explain(recorder, error)
        recorder.busy = False
    return seen


def loaded_app(recorder):
    """(module, attribute, application) among the project's modules that are loaded."""
    from celery import Celery

    found = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and recorder.is_project_file(file):
            found += [
                (name, attribute, value) for attribute, value in vars(module).items() if is_instance(value, Celery)
            ]
    # Where it is made, not where it is imported: a module called celery, then the one the application names as its own.
    found.sort(key=lambda f: (f[0].rpartition(".")[2] != "celery", f[2].main != f[0], f[0].count("."), f[0]))
    return found[0] if found else None


def is_instance(value, kind):
    return kind in type(value).__mro__  # asks the value itself nothing: it may be lazy


def imported_app(plan, recorder):
    files = [f for f in source.python_files(plan["base"]) if MAKES_AN_APP.search(text_of(f))]
    files.sort(key=lambda f: (os.path.basename(f) != "celery.py", f.count(os.sep), f))
    failed = None
    for file in files[:TRIED_AT_MOST]:
        name = os.path.relpath(file, plan["base"])[:-3].replace(os.sep, ".").removesuffix(".__init__")
        try:
            importlib.import_module(name)
        except Exception as error:
            failed = failed or error
            continue
        found = loaded_app(recorder)
        if found:
            return found
    if failed:
        raise failed
    return None


def text_of(file):
    with open(file, encoding="utf-8", errors="replace") as text:
        return text.read(200_000)


def name_for_command_line(module, attribute, app):
    """The shortest name by which `celery -A` finds this very application."""
    names = [f"{module}:{attribute}"]
    if attribute in ("app", "celery"):
        names.insert(0, module)
    if module.endswith(".celery"):
        names.insert(0, module.removesuffix(".celery"))
    try:
        from celery.app.utils import find_app
    except ImportError:
        return names[0]
    for name in names:
        try:
            if find_app(name, imp=importlib.import_module) is app:
                return name
        except Exception:  # not by this name
            continue
    return names[-1]


def read_configuration(app, seen):
    conf = app.conf
    try:
        app.finalize()  # schedules are often added by what waits for this
    except Exception:  # by a handler that wants more than there is now
        pass
    seen["broker"] = url_of(getattr(conf, "broker_write_url", None) or getattr(conf, "broker_url", None))
    seen["backend"] = url_of(getattr(conf, "result_backend", None))
    seen["always_eager"] = bool(getattr(conf, "task_always_eager", False))
    seen["beat"] = bool(getattr(conf, "beat_schedule", None))


def url_of(value):
    """One address; of several, the first."""
    if isinstance(value, (list, tuple)):
        value = next(iter(value), None)
    return str(value).partition(";")[0] if value else None
