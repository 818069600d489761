"""The recording environment: which variable was read, by which line of the project, with what default.

`os.environ` stays the same object, only its class changes, so references taken earlier (`from os import
environ`, django-environ's own) are seen too. In a lenient run a read that would fail is answered with a
throw-away value, so that one process finds all of them.
"""

import os
import sys

from . import source
from .values import BY_CAST, Throwaway, is_secret, shape_of

# Always present, never the project's.
BASE = {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR", "PWD", "PYTHONHASHSEED",
        "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH"}  # fmt: skip
# Libraries that read a variable because the project asked for it.
READERS = {
    "environ",
    "decouple",
    "environs",
    "configurations",
    "dj_database_url",
    "envparse",
    "prettyconf",
    "starlette",
}
# Libraries that read or scan the environment for themselves.
SELF_READERS = {"dotenv", "pydantic", "pydantic_settings", "celery", "kombu", "wsgiref", "gunicorn"}
# Libraries that put what a file says into the environment.
FILE_READERS = {"dotenv", "environ", "environs"}
PLUMBING = {"os", "_collections_abc", "collections", "__main__", "runpy", "djship_probe", ""}


class Recorder:
    """What was seen in one run. `busy` is set while the probe itself looks around."""

    def __init__(self, root, lenient=False, banned=(), supplies=None):
        self.root = root
        self.lenient = lenient
        self.banned = set(banned)
        self.supplies = supplies or Throwaway()
        self.reads = {}
        self.supplied = {}
        self.sure = []  # of those supplied: nothing but a value could have helped
        self.written = {}
        self.bulk = []
        self.stage = "start"
        self.busy = False
        self._bulk_frame = None

    def is_project_file(self, file):
        return file.startswith(self.root + os.sep) and "site-packages" not in file and "dist-packages" not in file

    def relative(self, file):
        return os.path.relpath(file, self.root)

    def project_frames(self, frame):
        """(file, line) of the project's frames, innermost first; and the library called by the innermost one."""
        frames, via, importing = [], None, False
        while frame is not None and len(frames) < 6:
            file = frame.f_code.co_filename
            if self.is_project_file(file):
                frames.append((file, frame.f_lineno))
                if frame.f_code.co_name == "<module>":
                    break
            elif file.startswith("<frozen importlib"):
                if frames:
                    break
                importing = True
            elif not frames:
                top = (frame.f_globals.get("__name__") or "").split(".")[0]
                if top in READERS or (via is None and top not in PLUMBING):
                    via = via if via in READERS else top
            frame = frame.f_back
        return frames, via, importing

    def place(self, frame=None):
        """{"file", "line"} of the project's line that is running, or {} when there is none."""
        frames, _, _ = self.project_frames(frame or sys._getframe(1))
        return {"file": self.relative(frames[0][0]), "line": frames[0][1]} if frames else {}

    def wrote(self, name, frame):
        """A variable is set: `via` names the library that does it, from a file of the project's."""
        _, via, _ = self.project_frames(frame)
        self.written.setdefault(name, {**self.place(frame), "via": via if via in FILE_READERS else None})

    def read(self, how, name, present, default=None, has_default=False, depth=2):
        """Record one read. True: a throw-away value was just put into the environment."""
        if self.busy or not isinstance(name, str) or name in BASE:
            return False
        frame = sys._getframe(depth)
        if self._bulk_frame == (id(frame), frame.f_lasti) or frame.f_code.co_filename.endswith("_collections_abc.py"):
            return False  # dict(os.environ) asks for each name; that is one bulk read
        self.busy = True
        try:
            return self._read(frame, how, name, present, default, has_default)
        finally:
            self.busy = False

    def _read(self, frame, how, name, present, default, has_default):
        frames, via, importing = self.project_frames(frame)
        asked = reader_request(frame) if via in READERS else {}
        if asked.get("setting"):
            frames = frames or self._class_attribute(asked["setting"])
        where = next((f for f in frames if source.spells(*f, name)), None)
        # The project's read: its own line does it, or spells the name for a library, or a known reader does it on
        # its behalf. Anything else is a library that asks for itself (argparse for COLUMNS).
        own = bool(frames) and not importing and (via is None or where is not None)
        library = via in SELF_READERS or not (own or "hard" in asked)
        where = where or (frames[0] if frames else None)

        hard = asked.get("hard", how in ("[]", "pop") and not has_default)
        if "default" in asked:
            default = asked["default"]
        hint = asked.get("hint") or (source.type_around(*where, name) if where else None)
        hint = hint or {bool: "bool", int: "int", list: "hosts"}.get(type(default))

        entry = self.reads.setdefault(
            name,
            {"how": [], "via": via, "places": [], "hint": None, "hard": False, "default": None, "example": None, "from_file": False,
             "present": present, "library": True, "stage": self.stage},
        )  # fmt: skip
        entry["library"] &= library
        entry["hint"] = entry["hint"] or hint
        entry["hard"] |= hard
        entry["from_file"] |= asked.get("from_file", False)
        if how not in entry["how"]:
            entry["how"].append(how)
        if where:
            place = [self.relative(where[0]), where[1]]
            if place not in entry["places"]:
                entry["places"].append(place)
        if default is not None and not hard:
            entry["default"] = "(set)" if is_secret(name) and default != "" else printable(default)
            if isinstance(default, (str, int)) and not isinstance(default, bool):
                entry["example"] = str(default)[:500]

        answer = self.lenient and hard and not present and not library and name not in self.banned
        answer = answer and not asked.get("from_file")
        if not answer or name.endswith("_FILE") or any(source.survives_absence(*frame) for frame in frames):
            return False
        shape = shape_of(name, entry["hint"])
        self.supplied[name] = shape
        self.sure.append(name)
        os._Environ.__setitem__(os.environ, name, self.supplies.value(name, shape))
        return True

    def _class_attribute(self, setting):
        """django-configurations reads for a class attribute long after its line ran: find the line."""
        found = []
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and self.is_project_file(file):
                found += [(file, line) for target, _, _, line in source.assignments(file) if target == setting]
        # Several classes may assign it; the one that reads a variable does so with a `...Value(...)`.
        return [place for place in found if source.calls(*place, "Value")][:1] or found[:1]

    def bulk_read(self, how, depth=2):
        frame = sys._getframe(depth)
        self._bulk_frame = (id(frame), frame.f_lasti)
        if not self.busy:
            frames, via, importing = self.project_frames(frame)
            entry = {"how": how, **self.place(frame)}
            if frames and not importing and via not in SELF_READERS and entry not in self.bulk:
                self.bulk.append(entry)


def printable(value):
    return str(value)[:80] if isinstance(value, (str, int, float, bool, list, tuple)) else "(set)"


def reader_request(frame):
    """What a known reader was asked for, from the names in its own frames: default, type, and whether it insists."""
    asked = {}
    for _ in range(12):
        if frame is None:
            break
        top = (frame.f_globals.get("__name__") or "").split(".")[0]
        if top in READERS:
            local = frame.f_locals
            reader = local.get("self")
            if top == "configurations" and hasattr(reader, "environ_required"):
                asked["hard"] = bool(reader.environ_required) or type(reader).__name__ == "SecretValue"
                asked["default"] = reader.default
                asked["setting"] = local.get("name")
            elif "default" in local and "hard" not in asked:  # the innermost frame has applied declared defaults
                nothing = type(local["default"]).__name__ in ("NoValue", "Undefined", "ellipsis", "_Missing", "missing")
                asked["hard"] = nothing
                asked["default"] = None if nothing else local["default"]
            if top == "decouple" and hasattr(reader, "repository") and isinstance(local.get("option"), str):
                asked["from_file"] = stands_in_file(reader.repository, local.get("option"))
            if top == "dj_database_url":
                asked.setdefault("hint", "database")
            cast = local.get("cast") or local.get("_cast")
            for word in (getattr(cast, "__name__", None) or type(cast).__name__, local.get("method_name"),
                         frame.f_code.co_name, type(reader).__name__):  # fmt: skip
                if isinstance(word, str) and word.lower() in BY_CAST:
                    asked.setdefault("hint", BY_CAST[word.lower()])
        frame = frame.f_back
    return asked


def stands_in_file(repository, name):
    """Does a file that decouple reads beside the environment say it?"""
    if hasattr(repository, "parser"):
        return repository.parser.has_option(repository.SECTION, name)
    return name in (getattr(repository, "data", None) or ())


RECORDER = None


class Name(str):
    """A variable's name handed out by a bulk read: a later lookup in the copy compares equal to it and is seen."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        same = str.__eq__(self, other)
        if same is True and type(other) is str and RECORDER and not RECORDER.busy:
            RECORDER.read("copy", str(self), True, has_default=True)
        return same


class RecordingEnviron(os._Environ):
    def _has(self, name):
        return isinstance(name, str) and self.encodekey(str(name)) in self._data

    def _names(self, how):
        RECORDER.bulk_read(how, depth=3)
        return [Name(self.decodekey(key)) for key in self._data]

    def __getitem__(self, name):
        RECORDER.read("[]", name, self._has(name))
        return os._Environ.__getitem__(self, name)

    def get(self, name, default=None):
        depth = 3 if sys._getframe(1).f_code is os.getenv.__code__ else 2
        RECORDER.read("get", name, self._has(name), default, True, depth)
        return os._Environ.__getitem__(self, name) if self._has(name) else default

    def __contains__(self, name):
        RECORDER.read("in", name, self._has(name), has_default=True)
        return self._has(name)

    def setdefault(self, name, value):
        RECORDER.read("setdefault", name, self._has(name), value, True)
        if not self._has(name):
            self[name] = value
        return os._Environ.__getitem__(self, name)

    def pop(self, name, *default):
        RECORDER.read("pop", name, self._has(name), *(default or (None,)), bool(default))
        if not self._has(name) and default:
            return default[0]
        value = os._Environ.__getitem__(self, name)
        os._Environ.__delitem__(self, name)
        return value

    def __setitem__(self, name, value):
        RECORDER.wrote(str(name), sys._getframe(1))
        os._Environ.__setitem__(self, name, value)

    def __iter__(self):
        return iter(self._names("iterate"))

    def keys(self):
        return self._names("keys")

    def items(self):
        return [(name, os._Environ.__getitem__(self, str(name))) for name in self._names("items")]

    def copy(self):
        return {name: os._Environ.__getitem__(self, str(name)) for name in self._names("copy")}


def install(recorder):
    global RECORDER
    RECORDER = recorder
    os.environ.__class__ = RecordingEnviron
