"""One try, in a process of its own: run manage.py up to the point where it hands over to Django, import the
settings, set Django up; write what was seen to a file."""

import contextlib
import importlib
import io
import json
import os
import runpy
import sys
import traceback

from . import celery_app, facts, failure, recording
from .values import FOLDER
from .watch import Watch


class Handover(BaseException):
    """manage.py reached its end: what follows would be Django's command."""


class Try:
    def __init__(self, plan):
        self.plan = plan
        self.recorder = recording.Recorder(plan["root"], plan["lenient"], plan["banned"], plan["supplies"])
        self.watch = Watch(self.recorder)
        self.printed = io.StringIO()
        self.errors = {}
        self.done = []

    def stage(self, name, work):
        self.recorder.stage = name
        try:
            work()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: some settings print and exit
            self.recorder.busy = True
            self.errors[name] = failure.explain(self.recorder, error, self.printed.getvalue())
            self.recorder.busy = False
            return False
        self.done.append(name)
        return True

    def run_manage(self):
        """What manage.py does before Django (path, .env files, a computed default, an importer) really happens."""
        import django.core.management as management

        def stop(*_arguments, **_options):
            raise Handover

        management.execute_from_command_line = stop
        if self.plan["manage"]:
            with contextlib.suppress(Handover):
                runpy.run_path(self.plan["manage"], run_name="__main__")

    def force_choice(self):
        """A settings module or configuration under trial wins over what manage.py assigned."""
        for key, name in (("settings", "DJANGO_SETTINGS_MODULE"), ("configuration", "DJANGO_CONFIGURATION")):
            if self.plan[key]:
                os._Environ.__setitem__(os.environ, name, self.plan[key])
        if raw("DJANGO_CONFIGURATION"):
            try:
                importer = importlib.import_module("configurations.importer")
            except ImportError:
                return
            importer.install()

    def load_settings(self):
        from django.conf import settings

        if not raw("DJANGO_SETTINGS_MODULE") and not settings.configured:
            raise LookupError("nothing names a settings module")
        settings.SECRET_KEY  # noqa: B018  (loads them, and refuses an empty key)

    def set_up(self):
        import django

        self.watch.refuse_database()
        django.setup()

    def run(self):
        stages = [("manage", self.run_manage)]
        if self.plan["upto"] != "manage":
            stages += [("choice", self.force_choice), ("settings", self.load_settings)]
        if self.plan["upto"] in ("setup", "celery"):
            stages += [("setup", self.set_up)]
        for name, work in stages:
            if not self.stage(name, work):
                break
        celery = None
        if self.plan["upto"] == "celery" and "settings" in self.done:
            self.recorder.stage = "celery"
            celery = celery_app.look(self.plan, self.recorder)
        self.recorder.busy = True
        self.recorder.stage = "facts"
        result = {
            "ok": not self.errors,
            "module": raw("DJANGO_SETTINGS_MODULE"),
            "configuration": raw("DJANGO_CONFIGURATION"),
            "done": self.done,
            "errors": self.errors,
        }
        if "settings" in self.done:
            result["facts"] = facts.collect(self.plan, "setup" in self.done, celery)
        files = failure.project_files(self.recorder)
        result.update(
            reads=self.recorder.reads,
            bulk=self.recorder.bulk,
            supplied=self.recorder.supplied,
            sure=self.recorder.sure,
            written=self.recorder.written,
            files=self.watch.files,
            missing_folders=self.watch.missing_folders,
            network=self.watch.network,
            database=self.watch.database,
            loaded=[self.recorder.relative(f) for f in files],
        )
        return result


def raw(name):
    """A variable's value without the read being recorded."""
    return os.environ._data.get(name.encode(), b"").decode() or None


def run(plan, environment, out, log):
    """The life of a forked process: tries, writes its result to `out`, ends. What C code says goes to `log`."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, target in ((nothing, 0), (nothing, 1), (said, 2)):
        os.dup2(descriptor, target)
    os.environ.clear()
    os.environ.update(environment)
    os.makedirs(FOLDER, exist_ok=True)
    one = Try(plan)
    sys.path[0] = plan["base"]
    os.chdir(plan["base"])
    sys.argv = ["manage.py", "check"]
    real = sys.stderr
    sys.stdout = sys.stderr = one.printed
    sys.modules["__main__"].__dict__.pop("__file__", None)
    recording.install(one.recorder)
    one.watch.install()
    try:
        result = one.run()
    except BaseException:  # a mistake of the probe's: said where it can be seen
        traceback.print_exc(file=real)
        real.flush()
        os._exit(70)
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file, default=str)
    real.flush()
    os._exit(0)  # no atexit handlers, no waiting for the project's threads
