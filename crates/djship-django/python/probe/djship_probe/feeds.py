"""Which variables feed which settings: each gets a marker of its own as value, and the markers are looked for.

Database URLs get a run each, because a URL usually switches the single parts off.
"""

import re

from . import values

UNMARKED = {
    "bool",
    "bool_digit",
    "json",
    "json_list",
    "json_hosts",
    "level",
    "time_zone",
    "language",
    "uuid",
    "base64",
    "dsn",
    "region",
}
FIRST_PORT = 47000
URL_MARK = "mk900x"
PARTS = {"ENGINE": "engine", "NAME": "name", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}


def marker_for(number, shape):
    """(the value to set, the texts to look for)."""
    mark, port = f"mk{number:03d}x", str(FIRST_PORT + number)
    value = {
        "amqp": f"amqp://{mark}:5672//",
        "cache": f"redis://{mark}:6379/0",
        "email": f"{mark}@example.org",
        "engine": f"django.db.backends.{mark}",
        "int": port,
        "path": f"{values.FOLDER}/{mark}",
        "people": f"{mark} <{mark}@example.org>",
        "port": port,
        "secret": mark * 9,
        "smtp": f"smtp://{mark}:25",
        "url": f"https://{mark}",
        "urls": f"https://{mark}",
    }.get(shape, mark)
    return value, (mark, port)


def find_feeds(project, chosen, given):
    """{"database": {NAME: part or "url"}, "parts": {alias: {part: NAME}}, "allowed_hosts": NAME or None}."""
    reads = chosen.resolved.result["reads"]
    names = {
        n: values.shape_of(n, r["hint"])
        for n, r in reads.items()
        if not r["library"] and n not in given and not n.startswith("DJANGO_SETTINGS") and n != "DJANGO_CONFIGURATION"
    }
    urls = sorted(n for n, shape in names.items() if shape == "database")
    others = sorted(
        n for n, shape in names.items() if shape not in UNMARKED and shape != "database" and not n.endswith("_FILE")
    )
    found = {"database": {}, "parts": {}, "allowed_hosts": None}
    facts, marks = mark_all(project, chosen, {n: names[n] for n in others})
    if facts:
        look_for_parts(facts, marks, found)
    for name, result in zip(urls, project.tries.each([job_with_url(project, chosen, name) for name in urls])):
        look_for_url(name, result, found)
    return found


def mark_all(project, chosen, names):
    """(facts, {name: texts}) of a run in which every name has its marker; names that break it are left out."""
    for _ in range(6):
        if not names:
            break
        marked = {name: marker_for(i, names[name]) for i, name in enumerate(sorted(names))}
        result = project.attempt(
            {**chosen.resolved.values, **{n: v for n, (v, _) in marked.items()}},
            "settings", chosen.resolved.settings, chosen.resolved.configuration,
        )  # fmt: skip
        if result["ok"]:
            return result["facts"], {n: texts for n, (_, texts) in marked.items()}
        error = next(iter(result["errors"].values()))
        blamed = [n for n in error["names"] if n in names][:1]
        keep = [n for n in sorted(names) if n not in blamed] if blamed else sorted(names)[: len(names) // 2]
        names = {n: names[n] for n in keep}
    return None, {}


def look_for_parts(facts, marks, found):
    for name, texts in marks.items():
        for alias, database in facts["databases"].items():
            for part, word in PARTS.items():
                if any(text in database[part] for text in texts):
                    found["database"].setdefault(name, word)
                    found["parts"].setdefault(alias, {}).setdefault(word, name)
        if any(text in host for text in texts for host in facts["allowed_hosts"]):
            found["allowed_hosts"] = found["allowed_hosts"] or name


def job_with_url(project, chosen, name):
    scheme = "mysql" if values.database_scheme() == "mysql" else "postgres"
    url = values.database_url(scheme, URL_MARK, f"{URL_MARK}.invalid", str(FIRST_PORT + 900))
    return project.job(
        {**chosen.resolved.values, name: url}, "settings", chosen.resolved.settings, chosen.resolved.configuration
    )


def look_for_url(name, result, found):
    if not result["ok"]:
        return
    for alias, database in result["facts"]["databases"].items():
        if URL_MARK in database["HOST"] and URL_MARK in database["NAME"]:
            found["database"][name] = "url"
            found["parts"].setdefault(alias, {})["url"] = name


def find_alternatives(project, chosen, needed, upto):
    """{NAME: [other names, any one of which makes it unnecessary]}: DATABASE_URL in place of POSTGRES_USER."""
    reads = chosen.resolved.result["reads"]
    urls = [
        n
        for n, r in reads.items()
        if not r["library"] and values.shape_of(n, r["hint"]) == "database" and n not in needed
    ]
    found = {}
    for url in urls:
        family = [n for n in needed if re.search(r"DB|DATABASE|SQL|POSTGRES|PG|MYSQL", n.upper())]
        if not family:
            continue
        with_url = {**chosen.resolved.values, url: values.VALUES["database"]}
        rest = {n: v for n, v in with_url.items() if n not in family}
        result = project.attempt(rest, upto, chosen.resolved.settings, chosen.resolved.configuration)
        for name in family if result["ok"] else ():
            found.setdefault(name, []).append(url)
    return found
