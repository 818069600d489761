"""What settings touch besides variables: files written, folders made, the network, the database.

The network and the database are refused, with the project's own line noted.
"""

import os
import sys

FILE_EVENTS = {"open", "os.mkdir", "sqlite3.connect"}
NETWORK_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}
DATABASE_REFUSED = "djship probe: no database while the settings are read"
NETWORK_REFUSED = "djship probe: no network while the settings are read"


class Watch:
    def __init__(self, recorder):
        self.recorder = recorder
        self.files = []  # {"path", "kind": "file" | "folder", "stage", "file", "line"}
        self.missing_folders = {}
        self.network = []
        self.database = []

    def install(self):
        sys.addaudithook(self._event)

    def _event(self, event, arguments):
        recorder = self.recorder
        if recorder.busy or (event not in FILE_EVENTS and event not in NETWORK_EVENTS):
            return
        recorder.busy = True
        try:
            place = recorder.place(sys._getframe(1))
            if event in NETWORK_EVENTS:
                self._network(event, arguments, place)
            elif event == "open":
                self._open(arguments, place)
            elif event == "os.mkdir":
                self._note(os.fsdecode(arguments[0]), "folder", place)
            elif ":memory:" not in str(arguments[0]):
                self._need_folder(str(arguments[0]), place)
        finally:
            recorder.busy = False

    def _open(self, arguments, place):
        path, mode, flags = arguments
        if not isinstance(path, (str, bytes)):
            return
        path = os.fsdecode(path)
        by_mode = isinstance(mode, str) and set(mode) & set("wax+")
        by_flags = mode is None and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not (by_mode or by_flags) or path.endswith(".pyc") or path.startswith(("/proc/", "/dev/", "/sys/")):
            return
        self._note(path, "file", place)
        self._need_folder(path, place)

    def _note(self, path, kind, place):
        if isinstance(path, str) and place:
            entry = {"path": os.path.abspath(path), "kind": kind, "stage": self.recorder.stage, **place}
            if entry not in self.files and len(self.files) < 60:
                self.files.append(entry)

    def _need_folder(self, path, place):
        folder = os.path.dirname(os.path.abspath(path.removeprefix("file:").partition("?")[0]))
        if not os.path.isdir(folder):
            self.missing_folders[folder] = place

    def _network(self, event, arguments, place):
        target = arguments[1] if event == "socket.connect" else arguments[0]
        entry = {"target": str(target)[:80], "stage": self.recorder.stage, **place}
        if place and entry not in self.network and len(self.network) < 20:
            self.network.append(entry)
        if event == "socket.connect" and not isinstance(target, str):
            raise ConnectionRefusedError(111, NETWORK_REFUSED)

    def refuse_database(self):
        """After the settings are known: every connection through Django is refused."""
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.utils import OperationalError

        def ensure_connection(connection):
            place = self.recorder.place(sys._getframe(1))
            entry = {"alias": connection.alias, "stage": self.recorder.stage, **place}
            if entry not in self.database and len(self.database) < 20:
                self.database.append(entry)
            raise OperationalError(DATABASE_REFUSED)

        BaseDatabaseWrapper.ensure_connection = ensure_connection
