"""What went wrong, in the project's own words, and which variables may be behind it.

`explain` runs in the child that failed. `next_values` runs in the parent: which value to try next.
"""

import ast
import re
import sys
import traceback

from . import source
from .values import shape_of

# What an exception's text says about the value that was wanted.
BY_MESSAGE = [
    (re.compile(pattern, re.I), shapes)
    for pattern, shapes in [
        (r"invalid literal for int|convert string to float|int\(\) argument|float\(\) argument|an integer|valid integer", ("int", "port")),
        (r"fernet|32 url-safe|padding|base64", ("base64",)),
        (r"jsondecode|expecting value|error parsing value|valid list|valid json|JSON object must be", ("json_hosts", "json_list", "json")),
        (r"truth value|boolean|not a bool|\btrue\b.*\bfalse\b", ("bool", "bool_digit")),
        (r"hexadecimal UUID|valid uuid", ("uuid",)),
        (r"baddsn|invalid dsn|unsupported scheme|missing public key", ("dsn",)),
        (r"valid e-?mail", ("email",)),
        (r"no such file|not a directory|does not exist", ("path",)),
        (r"zoneinfo|time ?zone", ("time_zone",)),
        (r"unknown level|log level", ("level",)),
        (r"database.*(url|scheme)|scheme .*unknown", ("database",)),
        (r"redis", ("cache",)),
        (r"must start with http|valid url|scheme|invalid url", ("url", "cache", "database")),
        (r"not enough values to unpack|index out of range", ("urls", "hosts", "url")),
        (r"available backend|isn't an available", ("engine",)),
    ]
]  # fmt: skip
LADDER = [
    "text",
    "int",
    "bool",
    "url",
    "hosts",
    "json",
    "json_list",
    "path",
    "secret",
    "email",
    "bool_digit",
    "database",
    "cache",
]
TRIES_PER_NAME = 6
UNMENDABLE = {"SyntaxError", "IndentationError", "TabError", "ModuleNotFoundError", "NameError"}


def explain(recorder, error, printed=""):
    """{"type", "message", "file", "line", "names": most likely first, "with_reason", "mendable"} of an exception."""
    chain = []
    while error is not None and len(chain) < 5:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    first = chain[0]
    message = str(first)
    if isinstance(first, SystemExit):
        message = " ".join(printed.split())[-400:] or f"the settings exit with {first.code!r}"
        if isinstance(first.code, str):
            message = first.code
    place = own_place(recorder, chain)
    everything = " | ".join(f"{type(e).__name__}: {e}" for e in chain) + " " + printed[-400:]
    kinds = {type(e).__name__ for e in chain}
    names, with_reason = suspects(recorder, chain, everything, place)
    missing = next((e.name for e in chain if isinstance(e, ModuleNotFoundError)), None)
    return {
        "type": type(first).__name__,
        "message": message[:600],
        "everything": everything[:1500],
        "file": place[0] and recorder.relative(place[0]),
        "line": place[1],
        "names": names,
        "with_reason": with_reason,
        "missing_module": missing,
        "mendable": not kinds & UNMENDABLE,
    }


def own_place(recorder, chain):
    """(file, line) in the project: of a syntax error, else of the innermost of its own frames."""
    for error in reversed(chain):
        if isinstance(error, SyntaxError) and error.filename and recorder.is_project_file(error.filename):
            return error.filename, error.lineno
    for error in chain:
        frames = own_frames(recorder, error)
        if frames:
            return frames[-1]
    return None, None


def own_frames(recorder, error):
    walk = traceback.walk_tb(error.__traceback__)
    return [(f.f_code.co_filename, line) for f, line in walk if recorder.is_project_file(f.f_code.co_filename)]


def suspects(recorder, chain, text, place):
    """Names that may be behind the failure, and how many of them for a reason: the others were only read last.

    The message itself is the best witness, in its own order.
    """
    reads = {n: r for n, r in recorder.reads.items() if not r["library"]}
    found = []

    def add(names):
        found.extend(n for n in names if n not in found and n not in recorder.banned)

    spelled = [
        (m.start(), n) for n in reads if (m := re.search(rf"(?<![A-Za-z0-9_]){re.escape(n)}(?![A-Za-z0-9_])", text))
    ]
    add(n for _, n in sorted(spelled))

    frames = [frame for error in chain for frame in reversed(own_frames(recorder, error))]
    for file, line in frames[:4]:
        statement = source.statement_at(file, line)
        if statement is None:
            continue
        at = [recorder.relative(file), statement.lineno, statement.end_lineno or statement.lineno]
        spelled_here = [n for n in source.constants_in(statement) if n in reads] if not is_block(statement) else []
        add(spelled_here)
        add(
            n
            for n, r in reads.items()
            if any(p[0] == at[0] and at[1] <= p[1] <= at[2] for p in r["places"]) and not is_block(statement)
        )
        # Variables used in the failing statement stand for the names that they were assigned from.
        used = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)} if not is_block(statement) else set()
        for target, names, _uses, _line in source.assignments(file):
            if target in used:
                add(n for n in names if n in reads)

    # A setting named by the failure stands for the names that feed it.
    for file in project_files(recorder):
        for target, names, _uses, _line in source.assignments(file):
            if len(target) > 3 and target.isupper() and re.search(rf"\b{re.escape(target)}\b", text):
                add(n for n in names if n in reads)

    with_reason = len(found)
    # Last: what was read last and answered with nothing.
    add(n for n, r in reversed(reads.items()) if not r["present"] and r["default"] is None)
    return found[:12], min(with_reason, 12)


def is_block(statement):
    return isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.With, ast.Try))


def project_files(recorder):
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({f for f in files if isinstance(f, str) and f.endswith(".py") and recorder.is_project_file(f)})


def next_values(error, reads, tried):
    """[(name, shape)] to try next for a failure, or [] when nothing is left. `tried`: {name: [shapes]}."""
    if not error["mendable"]:
        return []
    wanted = [s for pattern, shapes in BY_MESSAGE if pattern.search(error["everything"]) for s in shapes]
    for name in error["names"]:
        if name == "DJANGO_SETTINGS_MODULE" or name.endswith("_FILE"):
            continue
        first = shape_of(name, reads.get(name, {}).get("hint"))
        done = tried.get(name, [])
        if len(done) >= TRIES_PER_NAME:
            continue
        # A value that was never tried starts with its name's shape; one that was refused follows the message.
        order = [first, *wanted, *LADDER] if not done else [*wanted, first, *LADDER]
        shape = next((s for s in order if s not in done), None)
        if shape:
            return [(name, shape)]
    return []
