"""Which variables lead the settings to which services: each gets a marker as value, and the uses are searched for it.

Database URLs get a try each, because a URL usually switches the single parts off.
"""

import os
import re

from . import choice as choices
from . import service_urls, source
from .families import family_of
from .values import shape_of

FIRST_PORT = 47000
TEXT_SHAPES = {"text", "host", "hosts", "secret"}
URL_KINDS = {"cache": "redis", "amqp": "amqp", "smtp": "smtp"}
PARTS = ("host", "port", "user", "password", "name", "virtual_host")
BOOLEAN = re.compile(r"(true|false|yes|no|on|off|0|1)$", re.I)
ROUNDS = 4


class Candidate:
    """A variable that may lead somewhere. `form`: what its value looks like (url, place, port or text)."""

    def __init__(self, name, shape, form, example=None, scheme=None):
        self.name = name
        self.shape = shape
        self.form = form
        self.example = example
        self.scheme = scheme

    def marked(self, number):
        """(the value to set, the mark and the port to look for)."""
        mark, port = f"mk{number:03d}x", FIRST_PORT + number
        if self.form == "url":
            if self.example:
                return service_urls.with_place(self.example, mark, port), mark, port
            return f"{self.scheme}://{mark}:{port}", mark, port
        value = {"database": database_url(self.scheme, mark, port), "place": f"{mark}:{port}", "port": str(port)}
        return value.get(self.form, mark), mark, port


def database_url(scheme, mark, port):
    return f"{scheme}://{mark}:{mark}@{mark}:{port}/{mark}"


def candidates(project, result, values, fixed):
    """[Candidate] among the variables that were read. `fixed`: names that are not ours to set."""
    found = []
    compared = compared_names(project, result)
    for name, read in sorted(result["reads"].items()):
        if read["library"] or name in fixed or name in project.given or is_from_file(name, read, result):
            continue
        if name in ("DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION") or name.endswith("_FILE"):
            continue
        shape = shape_of(name, read["hint"])
        example = values.get(name) or read["example"] or ""
        candidate = candidate_for(name, shape, example, project.supplies.server or "postgres")
        if candidate and not (candidate.form == "text" and is_mode(name, compared)):
            found.append(candidate)
    if gives_parts_of_a_database(project, result):
        # Who names the user or the password means the parts: a URL of ours would hide them.
        found = [candidate for candidate in found if candidate.form != "database"]
    return found


def gives_parts_of_a_database(project, result):
    families = [family_of(name) for name in project.given if name in result["reads"]]
    return any(family and family[0] == "database" and family[1] not in ("url", "engine") for family in families)


def candidate_for(name, shape, example, server):
    family = family_of(name)
    if shape == "database":
        return Candidate(name, shape, "database", scheme=server)
    if service_urls.kind_of(example):
        return Candidate(name, shape, "url", example)
    if re.fullmatch(r"[\w.-]+:\d+", example):
        return Candidate(name, shape, "place", example)
    if shape in URL_KINDS or (family and family[1] == "url" and shape in ("url", "text")):
        service = family[0] if family and family[0] != "database" else URL_KINDS.get(shape)
        return Candidate(name, shape, "url", scheme=scheme_of(service)) if service else None
    if shape == "port" or (family and family[1] == "port"):
        return Candidate(name, shape, "port", example)
    return Candidate(name, shape, "text", example) if shape in TEXT_SHAPES and not BOOLEAN.match(example) else None


def scheme_of(kind):
    """What a variable that says nothing takes: Redis for a broker too, where it can be reached."""
    if kind == "redis" and not service_urls.has_package("redis") and service_urls.has_package("amqp"):
        return "amqp"
    return "memcache" if kind == "memcached" else kind


def is_from_file(name, read, result):
    """Does a file of the project's say it? Then the developer did."""
    return read["from_file"] or bool(result["written"].get(name, {}).get("via"))


def compared_names(project, result):
    files = [os.path.join(project.root, file) for file in result["loaded"]]
    return {name for file in files for name, _constant, _line in source.compared_constants(file)}


def is_mode(name, compared):
    return name in compared or bool(choices.MODE_NAME.search(name.upper()))


class Feeds:
    """`parts`: {use: {part: Candidate}}; a `Candidate` whose form is an address stands under "url" alone."""

    def __init__(self):
        self.parts = {}
        self.allowed_hosts = None

    def of(self, use):
        return self.parts.get(use, {})

    def note(self, facts, marked):
        for entry in facts["endpoints"]:
            for candidate, mark, port in marked:
                for part in PARTS:
                    value = entry[part]
                    hit = value == port if part == "port" else mark in str(value or "")
                    if not hit:
                        continue
                    whole = candidate.form in ("database", "url", "place")
                    self.parts.setdefault(entry["use"], {}).setdefault("url" if whole else part, candidate)
        for candidate, mark, _port in marked:
            if any(mark in host for host in facts["allowed_hosts"]):
                self.allowed_hosts = self.allowed_hosts or candidate.name


def find(project, chosen, values, upto, found):
    """`Feeds` of these candidates."""
    feeds = Feeds()
    urls = [c for c in found if c.form == "database"]
    others = [c for c in found if c.form != "database"]
    sets = [[c] for c in urls]
    if others:
        sets.insert(0, others)
    marks = [[(c, *c.marked(i)) for i, c in enumerate(one)] for one in sets]
    results = project.tries.each([job(project, chosen, values, upto, marked) for marked in marks])
    for one, marked, result in zip(sets, marks, results):
        for number in range(ROUNDS):
            if result["ok"] or "facts" in result or len(one) < 2:
                break
            one = fewer(one, next(iter(result["errors"].values())), only_named=number == 1)
            marked = [(c, *c.marked(i)) for i, c in enumerate(one)]
            result = next(project.tries.each([job(project, chosen, values, upto, marked)]))
        if "facts" in result:
            feeds.note(result["facts"], [(c, mark, port) for c, _value, mark, port in marked])
    return feeds


def job(project, chosen, values, upto, marked):
    values = {**values, **{c.name: value for c, value, _mark, _port in marked}}
    return project.job(values, upto, chosen.resolved.settings, chosen.resolved.configuration)


def fewer(candidates_marked, error, only_named):
    """Without what the failure blames; without blame, or the second time, those that are services' by their names."""
    named = [c for c in candidates_marked if family_of(c.name) or c.form in ("url", "place")]
    if only_named and named and len(named) < len(candidates_marked):
        return named
    blamed = [n for n in error["names"] if any(c.name == n for c in candidates_marked)][:1]
    if blamed:
        return [c for c in candidates_marked if c.name not in blamed]
    return named if named and len(named) < len(candidates_marked) else candidates_marked[: len(candidates_marked) // 2]
