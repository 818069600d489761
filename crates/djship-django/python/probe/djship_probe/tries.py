"""Processes: each try is a fork of this one, which has Django loaded and no code of the project."""

import collections
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time

from . import child

AT_ONCE = 2


class Running:
    """A try that was started. Its result is written to `out`, what it prints to `log`."""

    def __init__(self, pid, out, log, deadline):
        self.pid = pid
        self.out = out
        self.log = log
        self.deadline = deadline


class Tries:
    """Starts tries and takes their results; `count`: how many were started."""

    def __init__(self, timeout):
        self.timeout = timeout
        self.count = 0
        self.folder = tempfile.mkdtemp(prefix="djship-probe-")
        self.at_once = min(AT_ONCE, len(os.sched_getaffinity(0)))
        # The end of a try is waited for, not handled.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def each(self, jobs):
        """The results of `(plan, environment)` jobs, in their order. Some run ahead; closing this ends them."""
        running, jobs = collections.deque(), iter(jobs)
        try:
            while True:
                while len(running) < self.at_once and (job := next(jobs, None)) is not None:
                    running.append(self._start(*job))
                if not running:
                    return
                yield self._result(running.popleft())
        finally:
            for ahead in running:
                kill(ahead)

    def _start(self, plan, environment):
        self.count += 1
        out, log = (os.path.join(self.folder, f"{self.count}.{kind}") for kind in ("json", "log"))
        pid = os.fork()
        if pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                child.run(plan, environment, out, log)
            finally:
                os._exit(70)
        return Running(pid, out, log, time.monotonic() + self.timeout)

    def _result(self, running):
        timed_out = not ended(running)
        if timed_out:
            kill(running)
        try:
            with open(running.out, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return crashed(read_log(running.log), timed_out, self.timeout)


def ended(running):
    """Waits for the end of a try; False when it takes too long."""
    while os.waitpid(running.pid, os.WNOHANG) == (0, 0):
        left = running.deadline - time.monotonic()
        if left <= 0:
            return False
        signal.sigtimedwait({signal.SIGCHLD}, left)
    return True


def kill(running):
    os.kill(running.pid, signal.SIGKILL)  # it may not lead a group of its own yet
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)  # what it started
    os.waitpid(running.pid, 0)


def read_log(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def crashed(log, timed_out, seconds):
    """The result of a try that wrote none: killed, crashed in C, or too slow."""
    message = (
        f"no answer within {seconds} s" if timed_out else (log.strip().splitlines() or ["the interpreter died"])[-1]
    )
    error = {
        "type": "Timeout" if timed_out else "Crash", "message": message[:600], "everything": log[-1500:], "file": None,
        "line": None, "names": [], "with_reason": 0, "missing_module": None, "mendable": False,
    }  # fmt: skip
    return {
        "ok": False, "module": None, "configuration": None, "done": [], "errors": {"settings": error}, "reads": {},
        "bulk": [], "supplied": {}, "sure": [], "written": {}, "files": [], "missing_folders": {}, "network": [],
        "database": [], "loaded": [],
    }  # fmt: skip
