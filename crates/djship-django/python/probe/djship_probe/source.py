"""What the project's source text says: the statement at a line, types around a name, constants compared."""

import ast
import os
import re

from .values import BY_CAST

_TREES = {}
READERS = re.compile(r"env|getenv|config|secret", re.I)


def tree_of(file):
    """The file's syntax tree, each node with its parent in `.up`; empty when it is not Python."""
    if file not in _TREES:
        try:
            with open(file, encoding="utf-8", errors="replace") as text:
                tree = ast.parse(text.read())
        except (OSError, SyntaxError, ValueError, RecursionError):
            tree = ast.Module([], [])
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                child.up = node
        _TREES[file] = tree
    return _TREES[file]


def parents(node):
    while (node := getattr(node, "up", None)) is not None:
        yield node


def statement_at(file, line):
    """The innermost statement that covers the line."""
    found = None
    for node in ast.walk(tree_of(file)):
        covers = isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
        if covers and (found is None or node.lineno >= found.lineno):
            found = node
    return found


def constants_in(node):
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def spells(file, line, name):
    """Does the statement spell the name, or the end of it (a reader may add a prefix)?"""
    statement = statement_at(file, line)
    if statement is None:
        return False
    return any(len(text) > 1 and name.upper().endswith(text.upper()) for text in constants_in(statement))


def type_around(file, line, name):
    """The shape that the user's statement asks for: `int(...)`, `json.loads(...)`, `....split(",")`."""
    statement = statement_at(file, line)
    for node in ast.walk(statement) if statement is not None else ():
        if not (isinstance(node, ast.Constant) and node.value == name):
            continue
        for up in parents(node):
            if isinstance(up, ast.stmt):
                break
            if isinstance(up, ast.Call):
                called = call_name(up).lower()
                if called in BY_CAST and called not in ("db", "cache", "path", "url", "dict"):
                    return BY_CAST[called]
    return None


def call_name(call):
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def calls(file, line, suffix):
    """Does the statement call something whose name ends like this?"""
    statement = statement_at(file, line)
    calls_in = [n for n in ast.walk(statement) if isinstance(n, ast.Call)] if statement is not None else []
    return any(call_name(call).endswith(suffix) for call in calls_in)


def survives_absence(file, line):
    """Is the line in a `try` whose handler goes on without the value? Then a value would change the branch."""
    node = statement_at(file, line)
    while node is not None:
        up = getattr(node, "up", None)
        if isinstance(up, ast.Try) and node in up.body:
            for handler in up.handlers:
                caught = "" if handler.type is None else ast.unparse(handler.type)
                leaves = any(isinstance(n, (ast.Raise, ast.Call)) and ends(n) for n in ast.walk(handler))
                if (
                    not caught
                    or re.search("KeyError|LookupError|Exception|UndefinedValue|ImproperlyConfigured|EnvError", caught)
                ) and not leaves:
                    return True
        node = up
    return False


def ends(node):
    return isinstance(node, ast.Raise) or call_name(node) in ("exit", "_exit", "abort")


def names_read(node):
    """Variable names that an expression reads, as far as they are spelled: `os.environ["X"]`, `env("X")`."""
    names = []
    for n in ast.walk(node):
        key = None
        if isinstance(n, ast.Subscript) and READERS.search(ast.unparse(n.value)):
            key = n.slice
        elif isinstance(n, ast.Call) and n.args and READERS.search(ast.unparse(n.func)):
            key = n.args[0]
        elif (
            isinstance(n, ast.Compare)
            and isinstance(n.ops[0], ast.In)
            and READERS.search(ast.unparse(n.comparators[0]))
        ):
            key = n.left
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value not in names:
            names.append(key.value)
    return names


def assignments(file):
    """(variable, the names its value reads, the variables its value uses, line) of every assignment.

    A function with a setting's name counts as one: django-configurations' properties.
    """
    found = []
    for node in ast.walk(tree_of(file)):
        targets, value = [], None
        if isinstance(node, ast.Assign):
            targets, value = [ast.unparse(t) for t in node.targets], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [ast.unparse(node.target)], node.value
        elif isinstance(node, ast.FunctionDef) and node.name.isupper():
            targets, value = [node.name], node
        if value is None:
            continue
        uses = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
        for target in targets:
            found.append((target, names_read(value), uses, node.lineno))
    return found


def compared_constants(file):
    """(name, constant, line) for every variable compared with a text: `environ["ENV"] == "prod"`, `in (...)`,
    `.startswith(...)`, a `match`, a dict's keys looked up with it."""
    variables = {}
    for target, names, _uses, _line in assignments(file):
        if len(names) == 1:
            variables.setdefault(target, names[0])

    def names_of(node):
        direct = names_read(node)
        used = [variables[n.id] for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in variables]
        return direct or used

    found = []
    for node in ast.walk(tree_of(file)):
        sides = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            sides = [(a, b) for a in parts for b in parts if a is not b]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("startswith", "endswith", "get"):
            sides = [(node.func.value, a) for a in node.args] + [(a, node.func.value) for a in node.args]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            sides = [(node.slice, node.value)]
        elif isinstance(node, getattr(ast, "Match", ())):  # since Python 3.10
            sides = [(node.subject, case.pattern) for case in node.cases]
        for variable, constant in sides:
            for name in names_of(variable):
                texts = [t for t in constants_in(constant) if t != name]
                found += [(name, t, node.lineno) for t in texts if (name, t, node.lineno) not in found]
    return found


def settings_module_named(file):
    """(module, configuration) that a manage.py, wsgi.py or asgi.py spells, either may be None."""
    named = {}
    for node in ast.walk(tree_of(file)):
        key = value = None
        if isinstance(node, ast.Call) and call_name(node) == "setdefault" and len(node.args) == 2:
            key, value = node.args
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            key, value = node.targets[0].slice, node.value
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
            named.setdefault(key.value, value.value)
    return named.get("DJANGO_SETTINGS_MODULE"), named.get("DJANGO_CONFIGURATION")


SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__", "venv", "env", "tests", "test"}


def python_files(root, limit=4000):
    """The project's Python files, sorted, without environments and hidden folders."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            f
            for f in folders
            if not f.startswith(".")
            and f not in SKIPPED_FOLDERS
            and not os.path.exists(os.path.join(folder, f, "pyvenv.cfg"))
        )
        found += [os.path.join(folder, f) for f in sorted(files) if f.endswith(".py")]
        if len(found) > limit:
            break
    return found[:limit]
