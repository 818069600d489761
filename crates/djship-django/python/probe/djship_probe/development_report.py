"""The document for development (README.md beside the probe describes it field by field)."""

import re

from . import report
from .connections import CELERY
from .services import LIBPQ, POSTGRES, quarrels
from .values import is_secret, shape_of

WHERE = "in .env"
# Favourite passwords that are also words of our messages.
OPEN_WORDS = {"postgres", "localhost", "password", "secret", "user", "development", "any", "set"}


def compose_failed(project, chosen):
    """The settings cannot be imported: what keeps them from it."""
    result = chosen.resolved.result
    document = {
        **nothing_seen(),
        **choice_of(chosen),
        "read": report.read_names(result, chosen),
        "errors": report.errors(result, WHERE, only_with_reason=True),
        "warnings": folders_as_warnings(project),
        "folders": folders(project),
    }
    return hide(project, document, [], {})


def compose(view):
    project, chosen, final = view.project, view.chosen, view.final
    facts = final.facts or chosen.resolved.facts
    services, external, entries = view.services()
    result = final.result
    reads = {**chosen.resolved.result["reads"], **result["reads"]}
    document = {
        **nothing_seen(),
        **choice_of(chosen),
        "debug": facts["debug"],
        "supplied": supplied(view, reads),
        "connections": view.connections.found,
        "services": services,
        "external": external,
        "databases": databases(facts),
        "celery": report.celery(facts),
        "runserver": runserver(facts),
        "wsgi": facts["wsgi"],
        "asgi": facts["asgi"],
        "read": read(view, reads, facts),
        "allowed_hosts": facts["allowed_hosts"],
        "allowed_hosts_env": view.feeds.allowed_hosts or next(iter(view.hosts_variables()), None),
        "installed_apps": facts["installed_apps"],
        "django_version": facts["django_version"],
        "python_version": facts["python_version"],
        "has_migrations": report.has_migrations(project),
        "folders": folders(project),
        "errors": [e for e in report.errors(result, WHERE, only_with_reason=True) if not is_of_probe(result, e)],
        "warnings": warnings(view, facts, services, entries, reads),
    }
    return hide(project, document, entries, facts)


def nothing_seen():
    return {
        "version": 1, "mode": "develop", "debug": None, "supplied": [], "connections": {}, "services": [],
        "external": [], "databases": {}, "celery": None, "runserver": "django", "wsgi": None, "asgi": None,
        "allowed_hosts": [], "allowed_hosts_env": None, "installed_apps": [], "django_version": None,
        "python_version": None, "has_migrations": False,
    }  # fmt: skip


def choice_of(chosen):
    return {
        "settings_module": report.origin_of(chosen.module, chosen.origin),
        "configuration": report.origin_of(chosen.configuration, chosen.configuration_origin),
        "switches": chosen.switches,
    }


def read(view, reads, facts):
    """Every variable that the project reads, and those that libraries read on its behalf, where that matters."""
    found = report.read_names({**view.final.result, "reads": reads}, view.chosen)
    known = {one["name"] for one in found}
    more = {n for n, r in reads.items() if r["library"] and n in view.project.given}
    for entry in facts["endpoints"]:
        if entry["kind"] in POSTGRES:
            more |= {name for part, name in LIBPQ.items() if not entry[part]}
    if facts["celery_app"]:
        more |= set(CELERY.values())
    found += [
        {"name": n, "kind": shape_of(n), "default": None, "file": None, "line": None}
        for n in more - known
        if not n.startswith("DJANGO_SETTINGS")
    ]
    return sorted(found, key=lambda one: one["name"])


def supplied(view, reads):
    return [
        {"name": n, "value": view.values[n], "kind": view.needed[n], **report.place_of(reads.get(n))}
        for n in sorted(view.needed)
        if n not in view.connections.found
    ]


def databases(facts):
    parts = ("ENGINE", "NAME", "HOST", "PORT", "USER")
    return {alias: {p.lower(): d[p] for p in parts} for alias, d in facts["databases"].items()}


def runserver(facts):
    """Whose command it is. Before version 4, channels brought its own, which is daphne's."""
    apps = {app.partition(".")[0] for app in facts["installed_apps"]}
    old_channels = "channels" in apps and re.match(r"[23]\.", facts["channels"] or "")
    return "daphne" if "daphne" in apps or old_channels else "django"


def folders(project):
    """What must exist before the settings are read, as they are: made here in a copy."""
    return [
        {"path": path, "file": place.get("file"), "line": place.get("line")}
        for path, place in sorted(project.made_folders.items())
    ]


def folders_as_warnings(project):
    return [
        warning(f"the folder {project.relative(f['path'])} must exist before the settings are read", f)
        for f in folders(project)
    ]


def warning(message, place=None):
    return {"message": message, "file": (place or {}).get("file"), "line": (place or {}).get("line")}


def is_of_probe(result, error):
    """A failure that only the probe makes: in development there is a database and a network."""
    if error["stage"] != "setup":
        return False
    everything = result["errors"]["setup"]["everything"]
    return "no database while" in everything or "no network while" in everything


def warnings(view, facts, services, entries, reads):
    result, project = view.final.result, view.project
    found = []

    def warn(message, place=None):
        found.append(warning(message, place))

    if not facts["debug"]:
        names = [n for n in reads if n in project.given and re.search(r"(^|_)DEBUG$", n)]
        names = names or [n for n in ("DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION") if n in project.given]
        said = f"{names[0]} is set so" if names else "no way of the project's own to turn it on was found"
        warn(f"DEBUG is off: {said}", report.place_of(reads.get(names[0])) if names else None)
    for name, value in view.sqlite.items():
        warn(sqlite_message(name, value, project.supplies), report.place_of(reads.get(name)))
    for entry in result["database"]:
        warn(f"the database {entry['alias']!r} is used while the project is loaded, before it is migrated", entry)
    if "no network while" in result["errors"].get("setup", {}).get("everything", ""):
        for entry in result["network"]:
            warn(f"the network is used while the project is loaded: {entry['target']}", entry)
    found.extend(folders_as_warnings(project))
    failed = (facts["celery_app"] or {}).get("error")
    if failed:
        warn(f"the Celery application cannot be imported: {failed['type']}: {failed['message']}", failed)
    for alias, mode in facts["tls"].items():
        ours = any(f"DATABASES[{alias!r}]" in s["uses"] for s in services)
        if ours and mode in ("require", "verify-ca", "verify-full"):
            warn(f"DATABASES[{alias!r}] asks for TLS (sslmode={mode}), which the development server does not speak")
    if facts["mail_tls"] and any(s["kind"] == "smtp" for s in services):
        warn("mail is to be sent with TLS, which the development server does not speak")
    if facts["https_only"]:
        warn("SECURE_SSL_REDIRECT is on: the development server does not speak HTTPS")
    for use, part, other in quarrels(entries, services):
        warn(f"{use} has another {part} than {other}, on the same server")
    for alias, database in facts["databases"].items():
        if facts["names_databases"] and ("dummy" in database["ENGINE"] or not database["ENGINE"]):
            name = next(iter(database_variables(reads, view.environment())), None)
            warn(no_engine_message(alias, name, project.supplies), report.place_of(reads.get(name)))
    for name in sorted(view.needed):
        if project.supplies.server is None and view.values[name].startswith("sqlite:"):
            warn(sqlite_file_message(name), report.place_of(reads.get(name)))
    return found


def database_variables(reads, known):
    """The variables for the address of a database that nobody sets."""
    return [n for n, r in reads.items() if not r["library"] and n not in known and shape_of(n, r["hint"]) == "database"]


def no_engine_message(alias, name, supplies):
    if name is None:
        return f"DATABASES[{alias!r}] has no engine until a variable gives it one"
    ways = f"write {name}=sqlite:///db.sqlite3 into .env for a file, or {name}=postgres://USER:PASSWORD@HOST/NAME"
    if supplies.server is None:
        driver = f"add psycopg[binary] to the requirements, and djship runs PostgreSQL and sets {name} by itself"
        ways = f"{driver}; or {ways}"
    return f"{name} is unset, so DATABASES[{alias!r}] has no engine: {ways}"


def sqlite_file_message(name):
    return (
        f"{name} is unset, so the database is an SQLite file; with psycopg[binary] among the requirements, "
        f"djship runs PostgreSQL and sets {name} by itself"
    )


def sqlite_message(name, value, supplies):
    server, word = {"mysql": ("MySQL", "mysql")}.get(supplies.server, ("PostgreSQL", "postgres"))
    if "://" in value:
        shop = supplies.offer.database
        value = f"a URL such as {word}://{shop}:{shop}@db/{shop}"
    elif value == supplies.offer.address:
        value = "db"
    return f"{name} is unset, so this project uses SQLite; set it to {value} to develop with {server}"


def hide(project, document, entries, facts):
    """No message repeats a password. Words that also stand for something open, like a user's name, are none."""
    open_words = {e[part] for e in entries for part in ("user", "name", "host", "kind")} | OPEN_WORDS
    secrets = {e["password"] for e in entries} | set(facts.get("secrets", [])) | {project.supplies.offer.password}
    secrets |= {value for name, value in project.given.items() if is_secret(name)}
    return report.hide(document, [s for s in secrets if s and len(s) >= 3 and s not in open_words], set())
