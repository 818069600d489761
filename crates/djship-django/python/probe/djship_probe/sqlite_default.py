"""A project that uses SQLite as long as a variable is unset: which variable, and what value leads it to a server.

SQLite it stays, as nothing asks for the server; but the developer is told.
"""

import os
import re

from . import source
from .families import family_of
from .markers import candidates
from .supplies import ENGINES

AT_MOST = 4


def checks(view):
    """[(name, value, job)] to try; empty when there is no driver for a server, or no SQLite."""
    project, result = view.project, view.chosen.resolved.result
    database = view.chosen.resolved.facts["databases"].get("default")
    if project.supplies.server is None or not (database and "sqlite" in database["ENGINE"]):
        return []
    free = [n for n, r in result["reads"].items() if not r["library"] and n not in project.given]
    url = project.supplies.offer.url(project.supplies.server)
    found = [
        (c.name, {c.name: url}) for c in candidates(project, result, view.values, view.fixed()) if c.form == "database"
    ]
    parts = {n: project.supplies.value(n, "text") for n in free if (family_of(n) or ("", ""))[0] == "database"}
    switches = constants_for_a_server(project, result, free)
    engines = [n for n in parts if family_of(n)[1] == "engine" and n not in switches]
    found += [(n, {**parts, n: constant}) for n, constant in switches.items()]
    found += [(n, {**parts, n: engine}) for n in engines for engine in ENGINES[:2]]
    if not engines:
        found += [(n, parts) for n in parts if family_of(n)[1] == "host"]
    return [(n, values[n], view.job({**view.values, **values}, "settings")) for n, values in found[:AT_MOST]]


def constants_for_a_server(project, result, names):
    """{name: constant}: variables that the code compares with a word for PostgreSQL."""
    found = {}
    for file in result["loaded"]:
        for name, constant, _line in source.compared_constants(os.path.join(project.root, file)):
            if name in names and re.search(r"postg|psql|pgsql", constant, re.I):
                found.setdefault(name, constant)
    return found


def judge(tried, results):
    """{name: value} of those that do lead to a server."""
    found = {}
    for (name, value, _job), result in zip(tried, results):
        entries = result.get("facts", {}).get("endpoints", [])
        if any(entry["use"] == "DATABASES['default']" for entry in entries):
            found.setdefault(name, value)
    return found
