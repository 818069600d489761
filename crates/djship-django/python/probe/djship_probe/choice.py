"""Which settings: the module that manage.py itself chooses, and what turns it into its production form.

A default that leaves DEBUG on is a developer's. In this order, each only if it is seen to turn DEBUG off:
the settings module that wsgi.py or asgi.py names; a variable compared with a constant like "production"; a
sibling module or configuration class called production; a DEBUG variable. Nothing is taken on its name alone.
"""

import glob
import itertools
import os
import re

from . import source

PRODUCTION = re.compile(r"^(prod(uction)?|prd|live|deploy(ed|ment)?)$", re.I)
MODE_NAME = re.compile(r"(^|_)(ENV|ENVIRONMENT|STAGE|MODE|PROFILE|DEPLOY\w*|TARGET|CONFIG(URATION)?)(_NAME|_TYPE)?$")
MODE_VALUES = ("production", "prod", "PRODUCTION")
OFF_VALUES = ("False", "0", "false", "no", "off", "")
MAX_SWITCH_TRIES = 10


class Choice:
    """The settings taken: `resolved` at stage "settings", where the module came from, and the image's switches."""

    def __init__(self, resolved, origin, configuration_origin=None):
        self.resolved = resolved
        self.origin = origin
        self.configuration_origin = configuration_origin
        self.switches = []

    @property
    def module(self):
        return self.resolved.result["module"]

    @property
    def configuration(self):
        return self.resolved.result["configuration"]


def choose(project):
    """The best `Choice`, or one that failed, for its errors."""
    first = None
    for module, configuration, origin in candidates(project):
        resolved = project.resolve("settings", module, configuration)
        choice = Choice(resolved, origin, origin)
        if module:
            choice.switches.append(switch("DJANGO_SETTINGS_MODULE", module, f"named by {origin}, not by manage.py"))
        first = first or choice
        if resolved.ok:
            return to_production(project, choice) if resolved.debug else choice
        if resolved.result["module"] and "settings" in resolved.result["errors"] and origin == "manage.py":
            break  # manage.py names one that exists and fails: its error is the answer
    return first or Choice(project.resolve("settings"), "nothing")


def switch(name, value, why):
    return {"name": name, "value": value, "why": why}


def candidates(project):
    """(module, configuration, origin); a module of None means: whatever manage.py sets."""
    if project.manage:
        seen = project.attempt({}, "manage")
        if seen["module"] or "manage" in seen["errors"]:
            yield None, None, project.relative(project.manage)
    for file in entry_files(project):
        module, configuration = source.settings_module_named(file)
        if module and module_exists(project, module):
            yield module, configuration, project.relative(file)
    for file in source.python_files(project.base):
        if re.search(r"^\s*INSTALLED_APPS\s*=", read(file), re.M) and "ROOT_URLCONF" in read(file):
            yield module_name(project, file), None, "the search for INSTALLED_APPS"
    if project.manage:
        yield None, None, project.relative(project.manage)


def read(file):
    with open(file, encoding="utf-8", errors="replace") as text:
        return text.read(400_000)


def entry_files(project):
    found = []
    for name in ("wsgi.py", "asgi.py"):
        found += sorted(glob.glob(os.path.join(glob.escape(project.base), "*", name)))
        found += sorted(glob.glob(os.path.join(glob.escape(project.base), name)))
    return found


def module_name(project, file):
    path = os.path.relpath(file, project.base)[:-3]
    return path.replace(os.sep, ".").removesuffix(".__init__")


def module_exists(project, module):
    path = os.path.join(project.base, *module.split("."))
    return os.path.isfile(path + ".py") or os.path.isfile(os.path.join(path, "__init__.py"))


def to_production(project, choice):
    """Another choice, in which DEBUG is off, or the same one when none is found."""
    for find in (by_entry_file, by_mode_switch, by_sibling, by_debug_variable):
        found = find(project, choice)
        if found:
            found.switches = choice.switches + found.switches
            return found
    return choice


def is_better(resolved):
    return resolved.ok and not resolved.debug


def by_entry_file(project, choice):
    for file in entry_files(project):
        module, configuration = source.settings_module_named(file)
        if not module or module == choice.module or not module_exists(project, module):
            continue
        resolved = project.resolve("settings", module, configuration)
        if is_better(resolved):
            found = Choice(resolved, project.relative(file), project.relative(file))
            found.switches = [
                switch("DJANGO_SETTINGS_MODULE", module, f"{project.relative(file)} names it, manage.py does not")
            ]
            return found
    return None


def by_mode_switch(project, choice):
    for name, value, why in itertools.islice(mode_switches(project, choice), MAX_SWITCH_TRIES):
        resolved = project.resolve("settings", given={name: value}, settings=choice.resolved.settings)
        if is_better(resolved):
            found = Choice(resolved, choice.origin, choice.configuration_origin)
            found.switches = [switch(name, value, why)]
            return found
    return None


def mode_switches(project, choice):
    """(name, value, why): constants compared in the code first, then names that sound like it."""
    result = choice.resolved.result
    files = [os.path.join(project.root, f) for f in result["loaded"]]
    files = [*([project.manage] if project.manage else []), *entry_files(project), *files]
    given, others = [], []
    for file in dict.fromkeys(files):
        for name, constant, line in source.compared_constants(file):
            where = f"{project.relative(file)}:{line}"
            if re.match("prod", constant, re.I):
                given.append((name, constant, f"compared in {where}"))
            elif len(constant) > 2 and re.match("live$", constant, re.I):
                others.append((name, constant, f"compared in {where}"))
    names = [n for n, r in result["reads"].items() if not r["library"] and MODE_NAME.search(n.upper())]
    names = [n for n in names if n not in ("DJANGO_CONFIGURATION", "DJANGO_SETTINGS_MODULE")]
    for name in names:
        places = result["reads"][name]["places"]
        where = f", read in {places[0][0]}:{places[0][1]}" if places else ""
        others += [(name, value, f"tried, because of its name{where}") for value in MODE_VALUES]
    seen = set()
    for name, value, why in given + others:
        if (name, value) not in seen:
            seen.add((name, value))
            yield name, value, why


def by_sibling(project, choice):
    configuration = choice.configuration
    if configuration:
        classes = (choice.resolved.facts or {}).get("configurations", [])
        for name in [c for c in classes if PRODUCTION.match(c) and c != configuration]:
            resolved = project.resolve("settings", choice.resolved.settings, name)
            if is_better(resolved):
                found = Choice(resolved, choice.origin, f"sibling of {configuration}")
                found.switches = [switch("DJANGO_CONFIGURATION", name, f"the production sibling of {configuration}")]
                return found
    for module in sibling_modules(project, choice.module):
        resolved = project.resolve("settings", module)
        if is_better(resolved):
            found = Choice(resolved, f"production sibling of {choice.module}")
            found.switches = [switch("DJANGO_SETTINGS_MODULE", module, f"the production sibling of {choice.module}")]
            return found
    return None


def sibling_modules(project, module):
    """Modules called production beside the settings or, when they are a package, inside."""
    path = os.path.join(project.base, *module.split("."))
    folders = [path] if os.path.isdir(path) else [os.path.dirname(path)]
    for folder in folders:
        for file in sorted(glob.glob(os.path.join(glob.escape(folder), "*.py"))):
            words = re.split(r"[_.]", os.path.basename(file)[:-3])
            named = [w for w in words if w not in ("settings", "config", "conf")]
            if len(named) == 1 and PRODUCTION.match(named[0]):
                yield module_name(project, file)


def by_debug_variable(project, choice):
    """A table of what each value does, never a guess."""
    result = choice.resolved.result
    names = []
    for file in result["loaded"]:
        for target, read_names, _uses, _line in source.assignments(os.path.join(project.root, file)):
            if target == "DEBUG":
                names += [n for n in read_names if n not in names]
    names += [
        n for n, r in result["reads"].items() if re.search(r"(^|_)DEBUG$", n) and not r["library"] and n not in names
    ]
    for name in names[:2]:
        table, best = {}, None
        for value in OFF_VALUES:
            resolved = project.resolve(
                "settings", choice.resolved.settings, choice.resolved.configuration, given={name: value}
            )
            table[value] = resolved.debug if resolved.ok else "error"
            if is_better(resolved):
                best = (value, resolved)
                break
        if best:
            found = Choice(best[1], choice.origin, choice.configuration_origin)
            said = ", ".join(
                f"{v!r}: {'DEBUG on' if d is True else 'DEBUG off' if d is False else d}" for v, d in table.items()
            )
            found.switches = [switch(name, best[0], f"tried: {said}")]
            return found
    return None
