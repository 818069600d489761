"""Which settings: the module that manage.py itself chooses, and what turns it into the form that is wanted.

A default that leaves DEBUG on is a developer's, one that leaves it off a server's. Where the other form is wanted, the
project's own ways to it are tried, each taken only if it is seen to work. Nothing is taken on its name alone.
"""

import glob
import itertools
import os
import re

from . import source

MODE_NAME = re.compile(r"(^|_)(ENV|ENVIRONMENT|STAGE|MODE|PROFILE|DEPLOY\w*|TARGET|CONFIG(URATION)?)(_NAME|_TYPE)?$")
MAX_SWITCH_TRIES = 10


class Form:
    """What is wanted: DEBUG on or off, and by which words a project calls that.

    `called`: a sibling module or class. `compared` and `also_compared`: constants, the surer ones first.
    """

    def __init__(self, name, debug, called, compared, also_compared, mode_values, debug_values):
        self.name = name
        self.debug = debug
        self.called = re.compile(called, re.I)
        self.compared = re.compile(compared, re.I)
        self.also_compared = re.compile(also_compared, re.I)
        self.mode_values = mode_values
        self.debug_values = debug_values

    def is_reached(self, resolved):
        return resolved.ok and resolved.debug == self.debug


PRODUCTION = Form(
    "production",
    debug=False,
    called=r"^(prod(uction)?|prd|live|deploy(ed|ment)?)$",
    compared=r"prod",
    also_compared=r"live$",
    mode_values=("production", "prod", "PRODUCTION"),
    debug_values=("False", "0", "false", "no", "off", ""),
)
DEVELOPMENT = Form(
    "development",
    debug=True,
    called=r"^(local|dev(el(op(ment|er)?)?)?)$",
    compared=r"dev|local",
    also_compared=r"debug$",
    mode_values=("development", "dev", "local", "DEVELOPMENT"),
    debug_values=("True", "1", "true", "on", "yes"),
)


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


def choose(project, form):
    """The best `Choice`, or one that failed, for its errors."""
    first = unnamed = None
    for module, configuration, origin in candidates(project):
        seen = None
        if module is None:
            seen = project.attempt({}, "settings")
            if not seen["module"] and "manage" not in seen["errors"]:
                unnamed = seen
                continue
        resolved = project.resolve("settings", module, configuration, first=seen)
        choice = Choice(resolved, origin, origin)
        if module:
            choice.switches.append(switch("DJANGO_SETTINGS_MODULE", module, f"named by {origin}, not by manage.py"))
        first = first or choice
        if resolved.ok:
            return choice if form.is_reached(resolved) else to_form(project, choice, form)
        if resolved.result["module"] and "settings" in resolved.result["errors"] and module is None:
            break  # manage.py names one that exists and fails: its error is the answer
    return first or Choice(project.resolve("settings", first=unnamed), "nothing")


def switch(name, value, why):
    return {"name": name, "value": value, "why": why}


def candidates(project):
    """(module, configuration, origin); a module of None means: whatever the environment says or manage.py sets."""
    if project.named_settings:
        module, origin = project.named_settings
        yield module, None, origin
        return
    if "DJANGO_SETTINGS_MODULE" in project.given:
        yield None, None, "DJANGO_SETTINGS_MODULE"
        return
    if project.manage:
        yield None, None, project.relative(project.manage)
    for file in entry_files(project):
        module, configuration = source.settings_module_named(file)
        if module and module_exists(project, module):
            yield module, configuration, project.relative(file)
    for file in source.python_files(project.base):
        if re.search(r"^\s*INSTALLED_APPS\s*=", read(file), re.M) and "ROOT_URLCONF" in read(file):
            yield module_name(project, file), None, "the search for INSTALLED_APPS"


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


def to_form(project, choice, form):
    """Another choice, of the form that is wanted, or the same one when none is found."""
    if form is PRODUCTION:
        ways = (by_entry_file, by_mode_switch, by_sibling, by_debug_variable)
    elif any(name in project.given for name in debug_variables(project, choice)):
        return choice  # the developer decided
    else:
        ways = (by_debug_variable, by_mode_switch, by_sibling)
    for find in ways:
        found = find(project, choice, form)
        if found:
            found.switches = choice.switches + found.switches
            return found
    return choice


def by_entry_file(project, choice, form):
    if project.named_settings:
        return None
    for file in entry_files(project):
        module, configuration = source.settings_module_named(file)
        if not module or module == choice.module or not module_exists(project, module):
            continue
        resolved = project.resolve("settings", module, configuration)
        if form.is_reached(resolved):
            found = Choice(resolved, project.relative(file), project.relative(file))
            found.switches = [
                switch("DJANGO_SETTINGS_MODULE", module, f"{project.relative(file)} names it, manage.py does not")
            ]
            return found
    return None


def by_mode_switch(project, choice, form):
    switches = list(itertools.islice(mode_switches(project, choice, form), MAX_SWITCH_TRIES))
    trials = [(choice.resolved.settings, None, {name: value}) for name, value, _ in switches]
    for (name, value, why), resolved in zip(switches, project.resolve_each("settings", trials)):
        if form.is_reached(resolved):
            found = Choice(resolved, choice.origin, choice.configuration_origin)
            found.switches = [switch(name, value, why)]
            return found
    return None


def mode_switches(project, choice, form):
    """(name, value, why): constants compared in the code first, then names that sound like it."""
    result = choice.resolved.result
    files = [os.path.join(project.root, f) for f in result["loaded"]]
    files = [*([project.manage] if project.manage else []), *entry_files(project), *files]
    given, others = [], []
    for file in dict.fromkeys(files):
        for name, constant, line in source.compared_constants(file):
            where = f"{project.relative(file)}:{line}"
            if form.compared.match(constant):
                given.append((name, constant, f"compared in {where}"))
            elif len(constant) > 2 and form.also_compared.match(constant):
                others.append((name, constant, f"compared in {where}"))
    names = [n for n, r in result["reads"].items() if not r["library"] and MODE_NAME.search(n.upper())]
    names = [n for n in names if n not in ("DJANGO_CONFIGURATION", "DJANGO_SETTINGS_MODULE")]
    for name in names:
        places = result["reads"][name]["places"]
        where = f", read in {places[0][0]}:{places[0][1]}" if places else ""
        others += [(name, value, f"tried, because of its name{where}") for value in form.mode_values]
    seen = set(project.given)
    for name, value, why in given + others:
        if name not in seen and (name, value) not in seen:
            seen.add((name, value))
            yield name, value, why


def by_sibling(project, choice, form):
    configuration = choice.configuration
    if configuration and "DJANGO_CONFIGURATION" not in project.given:
        classes = (choice.resolved.facts or {}).get("configurations", [])
        for name in [c for c in classes if form.called.match(c) and c != configuration]:
            resolved = project.resolve("settings", choice.resolved.settings, name)
            if form.is_reached(resolved):
                found = Choice(resolved, choice.origin, f"sibling of {configuration}")
                found.switches = [switch("DJANGO_CONFIGURATION", name, f"the {form.name} sibling of {configuration}")]
                return found
    if project.named_settings or "DJANGO_SETTINGS_MODULE" in project.given:
        return None
    for module in sibling_modules(project, choice.module, form):
        resolved = project.resolve("settings", module)
        if form.is_reached(resolved):
            found = Choice(resolved, f"{form.name} sibling of {choice.module}")
            found.switches = [switch("DJANGO_SETTINGS_MODULE", module, f"the {form.name} sibling of {choice.module}")]
            return found
    return None


def sibling_modules(project, module, form):
    """Modules called like the form beside the settings or, when they are a package, inside."""
    path = os.path.join(project.base, *module.split("."))
    folders = [path] if os.path.isdir(path) else [os.path.dirname(path)]
    for folder in folders:
        for file in sorted(glob.glob(os.path.join(glob.escape(folder), "*.py"))):
            words = re.split(r"[_.]", os.path.basename(file)[:-3])
            named = [w for w in words if w not in ("settings", "config", "conf")]
            if len(named) == 1 and form.called.match(named[0]) and module_name(project, file) != module:
                yield module_name(project, file)


def debug_variables(project, choice):
    """Names that DEBUG is made of, then names that sound like it."""
    result = choice.resolved.result
    names = []
    for file in result["loaded"]:
        for target, read_names, _uses, _line in source.assignments(os.path.join(project.root, file)):
            if target == "DEBUG":
                names += [n for n in read_names if n not in names]
    names += [
        n for n, r in result["reads"].items() if re.search(r"(^|_)DEBUG$", n) and not r["library"] and n not in names
    ]
    return names


def by_debug_variable(project, choice, form):
    """A table of what each value does, never a guess."""
    for name in debug_variables(project, choice)[:2]:
        table, best = {}, None
        trials = [
            (choice.resolved.settings, choice.resolved.configuration, {name: value}) for value in form.debug_values
        ]
        for value, resolved in zip(form.debug_values, project.resolve_each("settings", trials)):
            table[value] = resolved.debug if resolved.ok else "error"
            if form.is_reached(resolved):
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
