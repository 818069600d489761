"""The parent's side: start tries, mend what fails with values, prove that each is necessary.

The parent never imports project code. Each try is a process of its own, with the environment that it is given.
"""

import os

from .failure import next_values
from .tries import Tries
from .values import Throwaway, shape_of

ROUNDS = 20
PROVE_AT_MOST = 24
HOPELESS = ("SyntaxError", "IndentationError", "TabError")  # whatever the variables are
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


class Project:
    """Where the project is: `root` its folder, `base` the folder of manage.py.

    `given`: what the user gives to every try, which no value of ours replaces; in development it is all of the environment.
    `supplies`: the values for what is missing.
    """

    def __init__(self, root, base, timeout=120, given=None, supplies=None):
        self.root = os.path.realpath(root)
        self.base = os.path.realpath(os.path.join(self.root, base))
        manage = os.path.join(self.base, "manage.py")
        self.manage = manage if os.path.isfile(manage) else None
        self.develops = given is not None
        self.given = dict(given or {})
        self.named_settings = None  # (module, who names it): no other one is tried
        self.supplies = supplies or Throwaway()
        self.made_folders = {}
        self.tries = Tries(timeout)

    def relative(self, path):
        return os.path.relpath(path, self.root)

    def is_own_file(self, file):
        return file.startswith(self.root + os.sep) and "site-packages" not in file and "dist-packages" not in file

    def job(self, values, upto, settings=None, configuration=None, lenient=False, banned=()):
        """What `Tries` needs for one try."""
        plan = {
            "root": self.root, "base": self.base, "manage": self.manage, "settings": settings,
            "configuration": configuration, "upto": upto, "lenient": lenient, "banned": sorted(banned),
            "supplies": self.supplies, "develop": self.develops,
        }  # fmt: skip
        environment = dict(values)
        if not self.develops:
            environment.update({n: os.environ[n] for n in KEPT if n in os.environ})
            environment.update(PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0")
        environment.update({n: v for n, v in self.given.items() if n not in banned})
        if settings:
            environment["DJANGO_SETTINGS_MODULE"] = settings
        if configuration:
            environment["DJANGO_CONFIGURATION"] = configuration
        return plan, environment

    def attempt(self, values, upto, settings=None, configuration=None, lenient=False, banned=()):
        """Run one try; its result as `child.Try.run` gives it."""
        return next(self.tries.each([self.job(values, upto, settings, configuration, lenient, banned)]))

    def resolve_each(self, upto, trials):
        """A `Resolved` for each `(settings, configuration, given)`, in order; the first tries of some run ahead."""
        trials = list(trials)
        jobs = (self.job(dict(given or {}), upto, settings, configuration) for settings, configuration, given in trials)
        firsts = self.tries.each(jobs)
        try:
            for (settings, configuration, given), first in zip(trials, firsts):
                yield self.resolve(upto, settings, configuration, given, first=first)
        finally:
            firsts.close()

    def resolve(self, upto, settings=None, configuration=None, given=None, banned=(), first=None):
        """Try until it works or nothing is left to try: a `Resolved`. `first`: the result of the first try.

        Each value is then proved to be needed; in development that comes later, for what is left.
        """
        given = dict(given or {})
        values, shapes, tried = dict(given), {}, {}
        picked, before, previous, sure = [], {}, None, set()
        result = None
        for round_number in range(ROUNDS):
            result = first if round_number == 0 and first else None
            if result is None:
                result = self.attempt(values, upto, settings, configuration, lenient=round_number > 0, banned=banned)
            for name, shape in result["supplied"].items():
                values[name], shapes[name] = self.supplies.value(name, shape), shape
                tried.setdefault(name, []).append(shape)
            sure.update(result["sure"])
            if not result["errors"]:
                break
            error = next(iter(result["errors"].values()))
            if error["type"] in HOPELESS:
                break
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
            taken = (*given, *self.given, *banned)
            # Beyond the settings, most failures are the project's own, and the developer waits for the message.
            suspected = error["names"][: error["with_reason"]] if self.is_beyond_settings(result) else error["names"]
            offered = {**error, "names": [n for n in suspected if n not in taken]}
            picked = next_values(offered, result["reads"], tried)
            if not picked and not result["supplied"] and round_number > 0:
                break
            before = {n: (values[n], shapes[n]) for n in values if n in shapes}
            for name, shape in picked:
                tried.setdefault(name, []).append(shape)
                values[name], shapes[name] = self.supplies.value(name, shape), shape
        outcome = Resolved(result, values, shapes, settings, configuration, given)
        outcome.sure = sure
        if not self.develops and result["ok"]:
            self.prove(outcome, upto, banned)
        return outcome

    def is_beyond_settings(self, result):
        return self.develops and "settings" in result["done"]

    def _make_folders(self, result):
        """A folder that is missing may stop the import: made in this throw-away copy, and reported."""
        made = False
        for folder, place in result["missing_folders"].items():
            if folder.startswith(self.root + os.sep) and not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
                self.made_folders[folder] = place
                made = True
        return made

    def prove(self, outcome, upto, banned=(), sure=(), look_again=True):
        """Leave each value out once: where it still works, the variable was not necessary. `sure`: known to be."""
        ours = [n for n in outcome.needed if n not in sure]
        if not ours:
            outcome.proved = True
            return
        if len(ours) > PROVE_AT_MOST:
            return
        again = (outcome.settings, outcome.configuration, False, banned)
        forgotten = False

        def without(name):
            return {n: v for n, v in outcome.values.items() if n != name}

        while ours:
            # Those that follow are tried ahead. One that was needed beside a name which then proves to be unnecessary
            # is so without it too; one that was not is tried again.
            together = ours[: self.tries.at_once]
            results = list(self.tries.each([self.job(without(name), upto, *again) for name in together]))
            for name, result in zip(together, results):
                ours.remove(name)
                if result["ok"]:
                    outcome.forget(name)
                    forgotten = True
                    break
        if look_again or forgotten:
            outcome.result = self.attempt(outcome.values, upto, *again)
        outcome.proved = outcome.ok
        if not outcome.ok:
            outcome.needed = {}

    def prove_given(self, outcome, upto):
        """Which of the variables that the user gives for a build are necessary: the image has none of them."""
        names = sorted(n for n in self.given if n in outcome.result["reads"])
        if len(names) > PROVE_AT_MOST:
            return
        again = (outcome.settings, outcome.configuration, False)
        jobs = [self.job(outcome.values, upto, *again, banned=(name,)) for name in names]
        for name, result in zip(names, self.tries.each(jobs)):
            if not result["ok"]:
                outcome.needed[name] = shape_of(name, outcome.result["reads"][name]["hint"])


def with_needs_of(resolved, result):
    """What was resolved before, with the result of a later try that failed."""
    later = Resolved(result, resolved.values, {}, resolved.settings, resolved.configuration, resolved.values)
    later.needed, later.proved = resolved.needed, resolved.proved
    return later


class Resolved:
    """The outcome of `resolve`: the last result, all values given, and which of them are needed, with their shapes."""

    def __init__(self, result, values, shapes, settings, configuration, given):
        self.result = result
        self.values = values
        self.needed = {n: shapes.get(n, "text") for n in values if n not in given} if result["ok"] else {}
        self.proved = not self.needed and result["ok"]
        self.sure = set()  # of the needed: no way around them was seen
        self.settings = settings
        self.configuration = configuration

    def forget(self, name):
        self.values = {n: v for n, v in self.values.items() if n != name}
        self.needed.pop(name, None)

    @property
    def ok(self):
        return self.result["ok"]

    @property
    def facts(self):
        return self.result.get("facts")

    @property
    def debug(self):
        return bool(self.facts and self.facts["debug"])
