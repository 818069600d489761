"""Records which paths of the project a process depends on (README.md beside this file describes the format).

`start()` is called before any code of the project runs. It does nothing unless DJSHIP_READS names a file. What
an audit hook sees (open, listings, processes, extensions) comes from there; what it does not see (stat, lstat,
access, readlink) comes from wrappers around these functions, which importlib then uses as well.
"""

import contextlib
import functools
import os
import posix
import posixpath
import sys
from _thread import _local
from stat import S_ISDIR, S_ISLNK

VARIABLE = "DJSHIP_READS"
# A folder below the root that counts as outside: in development the environment lies in the project.
APART = "DJSHIP_READS_APART"

CONTENT, NAMES, KIND, UNKNOWN = b"o", b"l", b"s", b"x"

# Packages whose C extensions were reviewed: they work on values in memory, or open files through Python, or only
# when they connect to a server, which a build step cannot. What they are given as a path is in README.md.
REVIEWED = {
    "_argon2_cffi_bindings", "_brotli", "_cffi_backend", "_rcssmin", "_rjsmin", "_yaml", "MySQLdb", "PIL", "_bcrypt",
    "bcrypt", "brotli", "charset_normalizer", "cryptography", "frozenlist", "greenlet", "hiredis", "httptools", "lxml",
    "markupsafe", "msgpack", "multidict", "nacl", "numpy", "orjson", "propcache", "psycopg", "psycopg2",
    "psycopg_binary", "psycopg_c", "pydantic_core", "rcssmin", "regex", "rjsmin", "rpds", "simplejson", "uvloop",
    "websockets", "wrapt", "yaml", "yarl", "zstandard",
}  # fmt: skip
# Of the standard library's extensions, those that open files by name without an event.
OPEN_BY_NAME = {"_dbm", "_gdbm"}
# Parts of the standard library that ask a tool of the system (`ldconfig -p`, `uname -p`): none looks at the project.
ASK_SYSTEM = tuple(os.path.join(os.path.dirname(os.__file__), name) for name in ("ctypes/util.py", "platform.py"))
STANDARD_EXTENSIONS = os.path.join(os.path.dirname(os.__file__), "lib-dynload") + "/"

MOST_LINKS = 40  # as many as the kernel follows

_getcwd, _lstat, _open, _readlink, _scandir = posix.getcwd, posix.lstat, posix.open, posix.readlink, posix.scandir


class Recorder:
    """The facts of this process. `root` is real: without links, absolute."""

    def __init__(self, root, file, tries_record, apart=None):
        self.root = root
        self.below = root + "/"
        self.apart = (apart or "\0").rstrip("/") + "/"
        self.file = file
        self.tries_record = tries_record
        self.descriptor = self._open()
        self.written = set()
        self.asked = set()  # calls already answered, by the path as it was spelled
        self.folders = set()  # known to be folders, not links
        self.own = set()  # made by this process: no dependency
        self.call = _local()  # what the event of this thread's call leaves out

    def _open(self):
        return _open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, fact, text):
        if (fact, text) in self.written:
            return
        self.written.add((fact, text))
        line = fact + b"\t" + os.fsencode(text) + b"\n"
        try:
            posix.write(self.descriptor, line)
        except OSError:  # the project closed every descriptor
            self.descriptor = self._open()
            posix.write(self.descriptor, line)

    def unknown(self, reason):
        self.write(UNKNOWN, " ".join(str(reason).split()))

    def note(self, fact, path):
        """`path`: real and absolute, the root or below."""
        text = path[len(self.below) :] or "."
        if path.startswith(self.apart):
            return
        if "\n" in text or "\t" in text:
            self.unknown("a file name holds a tab or a line feed")
        elif fact is not KIND or (CONTENT, text) not in self.written:
            self.write(fact, text)

    def absolute(self, path, dir_fd=None):
        """The path as text, not resolved; None when it names nothing or is a descriptor."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        path = os.fsdecode(path)
        if not path or path[0] == "/":
            return path or None
        if dir_fd is None or dir_fd < 0:
            with contextlib.suppress(OSError):
                return _getcwd() + "/" + path
            return None
        folder = self.of_descriptor(dir_fd)
        return folder and folder + "/" + path

    def of_descriptor(self, descriptor):
        try:
            return _readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            self.unknown("a folder was used by its descriptor, and /proc cannot tell which")
            return None

    def is_outside(self, path):
        """Certainly outside, without resolving anything. Links outside are taken not to lead inside."""
        if path.startswith(self.apart):
            return "/../" not in path
        return not path.startswith(self.root) and path[0] == "/" and "/." not in path and "//" not in path

    def resolve(self, path, follow=True):
        """(the real path, its mode; None when absent), or None when it is outside, our own, or recorded already.

        Records every link on the way; for what is absent, also the folder where the search ended and the first name
        missing in it: should one of them become a link, then the path itself says nothing.
        """
        rest = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        follow = follow or path.endswith("/")
        here, mode, links = "", None, 0
        while rest:
            part = rest.pop()
            if part == "..":
                here, mode = here.rpartition("/")[0], None
                continue
            parent, here = here, here + "/" + part
            if not here.startswith(self.below) or (rest and here in self.folders):
                continue
            if here in self.own:
                return None
            try:
                mode = _lstat(here).st_mode
            except OSError:
                self.note(KIND, parent)
                if rest:
                    self.note(KIND, here)
                    if ".." in rest:
                        return None
                    here = "/".join([here, *reversed(rest)])
                return here, None
            if S_ISLNK(mode) and (rest or follow):
                self.note(KIND, here)
                links += 1
                if links > MOST_LINKS:
                    return None
                target = _readlink(here)
                rest += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                here = "" if target.startswith("/") else parent
            elif S_ISDIR(mode):
                self.folders.add(here)
            elif rest:
                self.note(KIND, here)  # a file where a folder is wanted
                return None
        if here != self.root and not here.startswith(self.below):
            return None
        if mode is None or here == self.root:
            mode = _lstat(here).st_mode
        return here, mode

    def find(self, path, dir_fd=None, follow=True):
        """`resolve` for a path as a call was given it."""
        path = self.absolute(path, dir_fd)
        return None if path is None or self.is_outside(path) else self.resolve(path, follow)

    def depends(self, fact, path, dir_fd=None, follow=True):
        path = self.absolute(path, dir_fd)
        if path is None or self.is_outside(path) or (fact, follow, path) in self.asked:
            return
        found = self.resolve(path, follow)
        if found is None:
            return
        self.asked.add((fact, follow, path))
        real, mode = found
        if mode is not None and (fact is CONTENT if S_ISDIR(mode) else fact is NAMES):
            fact = KIND
        self.note(fact, real)

    def makes(self, path, dir_fd=None, fact=None, follow=False):
        """The process makes or overwrites this: what it reads there later is its own. `fact`: what it depends on."""
        found = self.find(path, dir_fd, follow)
        if found is None:
            return
        real, mode = found
        parent = real.rpartition("/")[0]
        if fact:
            self.note(fact, real)
        if mode is None or not S_ISDIR(mode):
            self.note(KIND, parent)  # without it nothing is made
            if parent == self.root or parent in self.folders:
                self.own.add(real)

    # Events. Each is raised before its work is done, so the disk still shows what was there.

    def opened(self, path, _mode, flags):
        path = self.absolute(path, getattr(self.call, "dir_fd", None))
        if path is None or self.is_outside(path):
            return
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            found = self.resolve(path)
            exists = found is not None and found[1] is not None
            if flags & os.O_TRUNC or (flags & os.O_CREAT and not exists):
                self.makes(path, fact=KIND if flags & os.O_EXCL else None, follow=True)
            else:
                self.depends(CONTENT if flags & os.O_RDWR else KIND, path)
        elif path.endswith(".pyc") and posixpath.basename(posixpath.dirname(path)) == "__pycache__":
            self.opened_bytecode(path)
        else:
            self.depends(CONTENT, path)

    def opened_bytecode(self, path):
        """importlib takes bytecode for its source only when that has not changed: the source is what matters."""
        with contextlib.suppress(OSError):
            _lstat(path)
            folder, name = posixpath.split(path)
            source = name.partition(f".{sys.implementation.cache_tag}")[0] + ".py"
            self.depends(CONTENT, posixpath.join(posixpath.dirname(folder), source))

    def listed(self, path, with_kinds=False):
        path = "." if path is None else self.of_descriptor(path) if isinstance(path, int) else path
        path = self.absolute(path)
        if path is None or self.is_outside(path) or (with_kinds, path) in self.asked:
            return
        self.asked.add((with_kinds, path))
        self.depends(NAMES, path)
        found = self.resolve(path) if with_kinds else None
        if found and found[1] is not None and S_ISDIR(found[1]):
            # Entries tell what a link leads to, and nothing else shows that they were asked.
            with _scandir(found[0]) as entries:
                for link in [entry.path for entry in entries if entry.is_symlink()]:
                    self.depends(KIND, link)

    def moved_or_linked(self, source, target, source_fd=None, target_fd=None):
        """Under its new name it counts as our own: depend on it now."""
        found = self.find(source, source_fd, follow=False)
        if found and found[1] is not None and S_ISDIR(found[1]):
            self.unknown(f"the folder {found[0]} was moved or linked to")
        elif found:
            self.depends(CONTENT, found[0])
        self.makes(target, target_fd, KIND)

    def made_link(self, source, target, dir_fd):
        target = self.absolute(target, dir_fd)
        if target is not None:
            self.moved_or_linked(posixpath.join(posixpath.dirname(target), os.fsdecode(source)), target)

    def connected(self, database):
        path = os.fsdecode(database)
        if path.startswith("file:"):
            from urllib.parse import unquote

            path = unquote(path[5:].partition("?")[0].partition("#")[0])
            path = "/" + path[2:].partition("/")[2] if path.startswith("//") else path
        if path and path != ":memory:":
            for suffix in ("", "-wal", "-journal"):
                self.depends(CONTENT, path + suffix)

    def imported(self, name, file, *_):
        if file is None:  # Python source, seen when it is opened; or built in
            return
        top = name.partition(".")[0]
        standard = file.startswith(STANDARD_EXTENSIONS) and top not in OPEN_BY_NAME
        self.depends(CONTENT, file)
        if not standard and (top not in REVIEWED or not self.is_outside(file)):
            self.unknown(f"the C extension {name} was loaded")

    def loaded_library(self, name):
        path = os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
        if "/" not in path:  # Python itself, or found by the loader in the folders of the system
            return
        self.depends(CONTENT, path)
        path = self.absolute(path)
        if path is None or not self.is_outside(path) or "/site-packages/" in path or "/dist-packages/" in path:
            self.unknown(f"the library {path or name} was loaded")

    def started(self, program, *_):
        if self.tries_record:
            return
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename in ASK_SYSTEM:
                return
            frame = frame.f_back
        self.unknown(f"a process was started: {os.fsdecode(program) if program else 'unnamed'}")

    def before(self):
        """What was read before this process began to record: modules of a .pth file, cached listings."""
        for path in list(sys.path_importer_cache):
            self.listed(path or ".")
        for module in list(sys.modules.values()):
            self.depends(CONTENT, getattr(module, "__file__", None))


def on_event(recorder):
    """The audit hook. Almost all events are none of ours: those must cost nothing."""
    processes = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
    removed = functools.partial(recorder.depends, KIND, follow=False)
    handlers = {
        "open": recorder.opened,
        "os.listdir": recorder.listed,
        "os.scandir": functools.partial(recorder.listed, with_kinds=True),
        "os.mkdir": lambda path, _mode, dir_fd: recorder.makes(path, dir_fd, KIND),
        **dict.fromkeys(("os.remove", "os.rmdir"), removed),
        **dict.fromkeys(("os.rename", "os.link"), recorder.moved_or_linked),
        "os.symlink": recorder.made_link,
        "os.chdir": functools.partial(recorder.depends, KIND),
        "import": recorder.imported,
        "ctypes.dlopen": recorder.loaded_library,
        "sqlite3.connect": recorder.connected,
        "sqlite3.load_extension": lambda *_: recorder.unknown("an extension was loaded into SQLite"),
        **dict.fromkeys(processes, recorder.started),
    }

    def hook(event, arguments, find=handlers.get):
        handler = find(event)
        if handler is not None:
            guarded(recorder, handler, *arguments)

    return hook


def guarded(recorder, function, *arguments):
    """The project's call goes on whatever happens here; but then the facts are incomplete, which is said."""
    try:
        function(*arguments)
    except Exception as error:
        recorder.unknown(f"internal error: {type(error).__name__}: {error}")


def wrap_unseen(recorder):
    """Replaces the functions that raise no event, wherever they are known by name."""
    root, apart = recorder.root, recorder.apart

    def wrap(function, fact=KIND, may_follow=True):
        @functools.wraps(function)
        def call(*arguments, **options):
            path = arguments[0] if arguments else options.get("path")
            # is_outside(), written out: importing asks thousands of times.
            inside = type(path) is not str or path[:1] != "/" or path.startswith(root) or "/." in path or "//" in path
            if inside and not (type(path) is str and path.startswith(apart)):
                follow = may_follow and options.get("follow_symlinks", True)
                guarded(recorder, recorder.depends, fact, path, options.get("dir_fd"), follow)
            return function(*arguments, **options)

        return call

    def replace(name, new):
        old = getattr(posix, name)
        for module in (os, posix):
            setattr(module, name, new)
        for functions in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if old in functions:
                functions.add(new)
        globber = getattr(sys.modules.get("glob"), "_StringGlobber", None)  # keeps lstat for itself
        if globber is not None and vars(globber).get(name) == staticmethod(old):
            setattr(globber, name, staticmethod(new))

    replace("stat", wrap(posix.stat))
    replace("access", wrap(posix.access))
    replace("lstat", wrap(posix.lstat, may_follow=False))
    replace("readlink", wrap(posix.readlink, may_follow=False))
    # The size and the time of a file change with its content.
    posixpath.getsize = wrap(posixpath.getsize, CONTENT)
    posixpath.getmtime = wrap(posixpath.getmtime, CONTENT)

    @functools.wraps(_open)
    def open_in_folder(*arguments, **options):
        recorder.call.dir_fd = options.get("dir_fd")  # the event does not tell
        try:
            return _open(*arguments, **options)
        finally:
            recorder.call.dir_fd = None

    replace("open", open_in_folder)

    import _posixsubprocess

    fork_exec = _posixsubprocess.fork_exec

    @functools.wraps(fork_exec)
    def start_process(*arguments):
        if sys._getframe(1).f_globals.get("__name__") != "subprocess":  # multiprocessing: it raises no event
            recorder.started(arguments[0][0] if arguments and arguments[0] else None)
        return fork_exec(*arguments)

    _posixsubprocess.fork_exec = start_process


def start(root="/app", tries_record=False):
    """Begins to record, when DJSHIP_READS names a file; the variables with which children do the same, else {}.

    `tries_record`: this process runs no code of the project, and the processes that it starts record for
    themselves.
    """
    file = os.environ.pop(VARIABLE, None)
    apart = os.environ.pop(APART, None)
    sys.modules.pop(__name__, None)  # a project may have a `reads` of its own
    if not file:
        return {}
    try:
        recorder = Recorder(os.path.realpath(root), file, tries_record, apart)
    except OSError:  # no file, no facts: nothing is reused
        return {}
    guarded(recorder, recorder.before)
    wrap_unseen(recorder)
    sys.addaudithook(on_event(recorder))
    return {VARIABLE: file, **({APART: apart} if apart else {})}
