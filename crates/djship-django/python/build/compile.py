"""Byte-compiles files, each to the same bytes whatever else is compiled with it.

Standard input: one file a line, SOURCE <tab> PATH_IN_THE_IMAGE <tab> OUTPUT. The path in the image becomes
`co_filename`; the output holds the source's hash and is never checked against it at run time (unchecked-hash).
Standard output: one JSON object a line for each file that could not be compiled, {"path", "source", "line",
"column", "type", "message"}; that is no failure of this program: a dependency may ship templates of code.
Exit code: 0, or 1 when a file could not be read or written (said on standard error).

marshal marks an object that is referred to more than once, and strings are shared with everything else in the
process: the bytes depend on what the process did before. So each file is compiled in a child of its own, forked
from a parent that never compiles, two at a time. The order of set constants depends on PYTHONHASHSEED: 0.
"""

import importlib._bootstrap_external as bootstrap
import json
import os
import sys
import warnings
from importlib.util import source_hash

PARALLEL = 2


def compile_one(source, in_image, output):
    """In a child: compile and write; the exit code for the parent."""
    with open(source, "rb") as file:
        text = file.read()
    try:
        code = compile(text, in_image, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        report(source, in_image, error)
        return 0
    data = bootstrap._code_to_hash_pyc(code, source_hash(text), False)
    unfinished = f"{output}.{os.getpid()}.tmp"
    os.makedirs(os.path.dirname(output), exist_ok=True)
    with open(unfinished, "wb") as file:
        file.write(data)
    os.replace(unfinished, output)
    return 0


def report(source, in_image, error):
    line = {
        "path": in_image,
        "source": source,
        "line": getattr(error, "lineno", None),
        "column": getattr(error, "offset", None),
        "type": type(error).__name__,
        "message": str(getattr(error, "msg", None) or error)[:500],
    }
    # One write: lines of two children do not mix.
    os.write(1, (json.dumps(line) + "\n").encode())


def start_child(line):
    fields = line.decode("utf-8", "surrogateescape").rstrip("\n").split("\t")
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if len(fields) != 3:
            raise ValueError(f"expected three fields, found {len(fields)}: {line!r}")
        status = compile_one(*fields)
    except BaseException as error:
        os.write(2, f"compile.py: {fields[0]}: {error}\n".encode("utf-8", "surrogateescape"))
    finally:
        os._exit(status)


def main():
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The seed is read when the interpreter starts.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-S", "-s", "-B", *sys.argv])
    warnings.simplefilter("ignore")
    failed = running = 0
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        if running == PARALLEL:
            failed |= os.wait()[1]
            running -= 1
        start_child(line)
        running += 1
    while running:
        failed |= os.wait()[1]
        running -= 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
