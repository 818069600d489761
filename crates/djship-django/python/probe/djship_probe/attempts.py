"""The parent's side: start tries, mend what fails with throw-away values, prove that each is necessary.

The parent never imports project code. Each try is a fresh process with a minimal environment.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile

from .failure import next_values
from .values import VALUES

ROUNDS = 20
PROVE_AT_MOST = 24


class Project:
    """Where the project is: `root` its folder, `base` the folder of manage.py."""

    def __init__(self, root, base, timeout=120, environment=None):
        self.root = os.path.realpath(root)
        self.base = os.path.realpath(os.path.join(self.root, base))
        manage = os.path.join(self.base, "manage.py")
        self.manage = manage if os.path.isfile(manage) else None
        self.timeout = timeout
        self.environment = environment or {}  # of every try, beside the values
        self.made_folders = {}
        self.runs = 0

    def relative(self, path):
        return os.path.relpath(path, self.root)

    def attempt(self, values, upto, settings=None, configuration=None, lenient=False, banned=()):
        """Run one try; its result as `child.Try.run` gives it."""
        self.runs += 1
        with tempfile.TemporaryDirectory(prefix="djship-probe-") as folder:
            out = os.path.join(folder, "out.json")
            plan = {
                "root": self.root, "base": self.base, "manage": self.manage, "settings": settings,
                "configuration": configuration, "upto": upto, "lenient": lenient, "banned": sorted(banned), "out": out,
            }  # fmt: skip
            plan_file = os.path.join(folder, "plan.json")
            with open(plan_file, "w", encoding="utf-8") as file:
                json.dump(plan, file)
            log, timed_out = self._start(plan_file, values, settings, configuration)
            try:
                with open(out, encoding="utf-8") as file:
                    return json.load(file)
            except (OSError, ValueError):
                return crashed(log, timed_out, self.timeout)

    def _start(self, plan_file, values, settings, configuration):
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
        environment = {n: os.environ[n] for n in keep if n in os.environ}
        environment.update(PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0")
        environment.update(values)
        environment.update(self.environment)
        if settings:
            environment["DJANGO_SETTINGS_MODULE"] = settings
        if configuration:
            environment["DJANGO_CONFIGURATION"] = configuration
        script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "probe.py")
        process = subprocess.Popen(
            [sys.executable, "-B", script, "--child", plan_file],
            cwd=self.base, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            _, log = process.communicate(timeout=self.timeout)
            return log.decode(errors="replace"), False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the session of this child alone
            _, log = process.communicate()
            return log.decode(errors="replace"), True

    def resolve(self, upto, settings=None, configuration=None, given=None, banned=()):
        """Try until it works or nothing is left to try: a `Resolved`."""
        given = dict(given or {})
        values, shapes, tried = dict(given), {}, {}
        picked, before, previous = [], {}, None
        result = None
        for round_number in range(ROUNDS):
            result = self.attempt(values, upto, settings, configuration, lenient=round_number > 0, banned=banned)
            for name, shape in result["supplied"].items():
                values[name], shapes[name] = VALUES[shape], shape
                tried.setdefault(name, []).append(shape)
            if not result["errors"]:
                break
            error = next(iter(result["errors"].values()))
            signature = (error["message"], error["file"], error["line"], len(result["reads"]))
            if picked and signature == previous:  # nothing changed: take the last value back
                for name, _ in picked:
                    values.pop(name, None)
                    shapes.pop(name, None)
                    if name in before:
                        values[name], shapes[name] = before[name]
            previous = signature
            if self._make_folders(result):
                picked = []
                continue
            if result["database"] and "no database while" in error["everything"]:
                break
            offered = {**error, "names": [n for n in error["names"] if n not in given and n not in banned]}
            picked = next_values(offered, result["reads"], tried)
            if not picked and not result["supplied"] and round_number > 0:
                break
            before = {n: (values[n], shapes[n]) for n in values if n in shapes}
            for name, shape in picked:
                tried.setdefault(name, []).append(shape)
                values[name], shapes[name] = VALUES[shape], shape
        return self._prove(result, upto, settings, configuration, given, values, shapes, banned)

    def _make_folders(self, result):
        """A folder that is missing may stop the import: made in this throw-away copy, and reported."""
        made = False
        for folder, place in result["missing_folders"].items():
            if folder.startswith(self.root + os.sep) and not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
                self.made_folders[folder] = place
                made = True
        return made

    def _prove(self, result, upto, settings, configuration, given, values, shapes, banned):
        """Leave each value out once: where it still works, the variable was not necessary."""
        ours = [n for n in values if n not in given]
        proved = False
        if result["ok"] and ours and len(ours) <= PROVE_AT_MOST:
            for name in ours:
                rest = {n: v for n, v in values.items() if n != name}
                if self.attempt(rest, upto, settings, configuration, banned=banned)["ok"]:
                    values = rest
            result = self.attempt(values, upto, settings, configuration, banned=banned)
            proved = result["ok"]
        elif result["ok"]:
            proved = not ours
        needed = {n: shapes.get(n, "text") for n in values if n not in given}
        return Resolved(result, values, needed if result["ok"] else {}, proved, settings, configuration)


class Resolved:
    """The outcome of `resolve`: the last result, all values given, the names proved necessary with their shapes."""

    def __init__(self, result, values, needed, proved, settings, configuration):
        self.result = result
        self.values = values
        self.needed = needed
        self.proved = proved
        self.settings = settings
        self.configuration = configuration

    @property
    def ok(self):
        return self.result["ok"]

    @property
    def facts(self):
        return self.result.get("facts")

    @property
    def debug(self):
        return bool(self.facts and self.facts["debug"])


def crashed(log, timed_out, seconds):
    """The result of a try that wrote none: killed, crashed in C, or too slow."""
    message = (
        f"no answer within {seconds} s" if timed_out else (log.strip().splitlines() or ["the interpreter died"])[-1]
    )
    error = {
        "type": "Timeout" if timed_out else "Crash", "message": message[:600], "everything": log[-1500:], "file": None,
        "line": None, "names": [], "missing_module": None, "mendable": False,
    }  # fmt: skip
    return {
        "ok": False, "module": None, "configuration": None, "done": [], "errors": {"settings": error}, "reads": {},
        "bulk": [], "supplied": {}, "written": {}, "files": [], "missing_folders": {}, "network": [], "database": [],
        "loaded": [],
    }  # fmt: skip
