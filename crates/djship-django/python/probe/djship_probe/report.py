"""The document that the builder reads (README.md beside the probe describes it field by field)."""

import os
import re

from . import source
from .values import FOLDER, SECRET, VALUES, WORD, shape_of

HINTS = {
    "ModuleNotFoundError": "add the distribution that holds it to the project's requirements",
    "SyntaxError": "mend this line; the Python version of the image may be older than the one it was written for",
    "LookupError": "is this a Django project? No manage.py, wsgi.py or settings file names a settings module",
    "Timeout": "something in the settings waits, probably for the network",
}
# Drivers of databases that are missing: what a failure says, and the distribution to add.
DRIVERS = [
    (re.compile(r"psycopg2 or psycopg module|No module named '?psycopg\b|no pq wrapper available"), "psycopg[binary]"),
    (re.compile(r"psycopg2 module|No module named '?psycopg2\b"), "psycopg2-binary"),
    (re.compile(r"MySQLdb module|No module named '?MySQLdb\b"), "mysqlclient"),
]
PLACEHOLDER = "(hidden)"


def compose(project, choice, final, feeds, alternatives, with_celery=None):
    """`choice` at stage "settings"; `final` the resolved run up to django.setup(); `with_celery` the facts of one that also
    looked for Celery's application."""
    result, facts = final.result, final.facts or choice.resolved.facts
    document = {
        "version": 1,
        "settings_module": origin_of(choice.module, choice.origin),
        "configuration": origin_of(choice.configuration, choice.configuration_origin),
        "switches": choice.switches,
        "required": required(choice, final, alternatives),
        "read": read_names(result, choice),
        "throwaway": {n: final.values[n] for n in sorted(final.needed) if n in final.values},
        "errors": [error_of_the_path(project, result, e) for e in errors(result)],
        "warnings": warnings(project, result, final, facts),
    }
    document.update(live(project, facts, feeds, result) if facts else nothing_live())
    document["celery"] = celery(with_celery)
    if facts and facts["celery"] and failed_celery(with_celery):
        document["warnings"].append(failed_celery(with_celery))
    return hide(document, (facts or {}).get("secrets", []), set(final.values.values()) | set(VALUES.values()))


def origin_of(value, origin):
    return {"value": value, "origin": origin} if value else None


def place_of(read):
    file, line = read["places"][0] if read and read["places"] else (None, None)
    return {"file": file, "line": line}


def required(choice, final, alternatives):
    reads = {**choice.resolved.result["reads"], **final.result["reads"]}
    return [
        {"name": n, "kind": final.needed[n], "unless": sorted(alternatives.get(n, [])), **place_of(reads.get(n))}
        for n in sorted(final.needed)
    ]


def read_names(result, choice):
    switched = {s["name"] for s in choice.switches}
    return [
        {
            "name": n,
            "kind": "switch" if n in switched else shape_of(n, r["hint"]),
            "default": own(r["default"]),
            **place_of(r),
        }
        for n, r in sorted(result["reads"].items())
        if not r["library"] and n not in ("DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION")
    ]


def errors(result, where="under [tool.djship.build-env]", only_with_reason=False):
    """`where`: where the user gives values. `only_with_reason`: of the variables that may be behind a failure."""
    found = []
    for stage, e in result["errors"].items():
        hint = HINTS.get("SyntaxError" if "SyntaxError" in e["everything"] and not e["mendable"] else e["type"])
        if e["missing_module"]:
            hint = HINTS["ModuleNotFoundError"]
        hint = driver_hint(e["everything"]) or hint
        touched = result["database"] and "no database while" in e["everything"]
        if touched:
            hint = "move the query out of what is imported: into a view, a command, or a lazy object"
        if "no network while" in e["everything"]:
            hint = "settings are read at build time too, where there is no network: make the call when it is needed"
        names = ", ".join((e["names"][: e["with_reason"]] if only_with_reason else e["names"])[:4])
        if hint is None and names and e["mendable"]:
            hint = f"variables that may be behind it: {names}; give real values {where}"
        found.append(
            {
                "stage": stage,
                "file": e["file"],
                "line": e["line"],
                "type": e["type"],
                "message": e["message"],
                "hint": hint,
            }
        )
    return found


def error_of_the_path(project, result, error):
    """A module that lies in the project's folder, above that of manage.py, is in no distribution."""
    name = (result["errors"][error["stage"]]["missing_module"] or "").partition(".")[0]
    here = name and any(os.path.exists(os.path.join(project.root, name + end)) for end in (".py", "/__init__.py"))
    if here and project.base != project.root:
        manage = project.relative(project.manage or project.base)
        hint = f"{name} lies above {manage}, where Python does not look: move it beside manage.py, or add its folder to sys.path there"
        return {**error, "hint": hint}
    return error


def driver_hint(text):
    """What to add when the driver of a database cannot be imported, or None."""
    found = next((distribution for pattern, distribution in DRIVERS if pattern.search(text)), None)
    return found and f"add {found} to the project's requirements: Django talks to the database with it"


def warnings(project, result, final, facts):
    found = []

    def warn(message, place=None):
        found.append({"message": message, "file": (place or {}).get("file"), "line": (place or {}).get("line")})

    if facts and facts["debug"]:
        warn("DEBUG stays on with everything that was tried")
    if final.ok and not final.proved:
        warn("too many variables are missing to prove each of them necessary")
    for entry in result["database"]:
        warn(f"the database {entry['alias']!r} is used while the project is loaded; refused", entry)
    for entry in result["network"]:
        warn(f"the network is used while the project is loaded: {entry['target']}; refused", entry)
    for folder, place in sorted(project.made_folders.items()):
        warn(f"the folder {project.relative(folder)} must exist before the settings are read", place)
    for alias, database in (facts or {}).get("databases", {}).items():
        if not database["ENGINE"] or database["ENGINE"] == "django.db.backends.dummy":
            warn(f"DATABASES[{alias!r}] has no engine until a variable gives it one")
    return found


def live(project, facts, feeds, result):
    databases = {
        alias: {
            **{k.lower(): own(d[k]) for k in ("ENGINE", "NAME", "HOST", "PORT", "USER")},
            "env": feeds["parts"].get(alias, {}),
        }
        for alias, d in facts["databases"].items()
    }
    return {
        "debug": facts["debug"],
        "wsgi": facts["wsgi"],
        "asgi": facts["asgi"],
        "static": facts["static"],
        "media_root": facts["media_root"],
        "databases": databases,
        "database_env": feeds["database"],
        "allowed_hosts": facts["allowed_hosts"],
        "allowed_hosts_env": feeds["allowed_hosts"],
        "installed_apps": facts["installed_apps"],
        "middleware": facts["middleware"],
        "django_version": facts["django_version"],
        "python_version": facts["python_version"],
        "has_migrations": has_migrations(project),
        "writable": writable(project, facts, result),
    }


def celery(facts):
    """What `celery -A` takes, and whether there is work for a worker and for beat; None without an application."""
    app = (facts or {}).get("celery_app")
    if not app or not app["app"]:
        return None
    worker = not app["always_eager"] and not (app["broker"] or "").startswith("memory:")
    scheduled = app["beat"] or facts["beat"] or "django_celery_beat" in facts["installed_apps"]
    return {"app": app["app"], "worker": worker, "beat": worker and bool(scheduled)}


def failed_celery(facts):
    error = ((facts or {}).get("celery_app") or {}).get("error")
    if not error:
        return None
    message = f"Celery's application does not import ({error['type']}), so the image has no worker: {error['message']}"
    return {"message": message, "file": error["file"], "line": error["line"]}


def own(value):
    """None for a value that is the probe's, not the project's."""
    return None if value is None or WORD in str(value) or SECRET in str(value) else value


def nothing_live():
    static = {"root": None, "url": None, "storage": None, "app": False, "served_by": None, "file_system": None}
    return {
        "debug": None, "wsgi": None, "asgi": None, "static": static, "media_root": None, "databases": {},
        "database_env": {}, "allowed_hosts": [], "allowed_hosts_env": None, "installed_apps": [], "middleware": [],
        "django_version": None, "python_version": None, "has_migrations": False, "writable": [],
    }  # fmt: skip


def has_migrations(project):
    return any(
        os.path.basename(os.path.dirname(f)) == "migrations" and re.match(r"\d", os.path.basename(f))
        for f in source.python_files(project.root)
    )


def writable(project, facts, result):
    """Folders that the running project writes to, outside STATIC_ROOT, each once with every reason."""
    reasons = {}

    def add(path, why):
        static = facts["static"]["root"]
        ours = path.startswith(FOLDER) or (static and (path == static or path.startswith(static + os.sep)))
        if not ours and why not in reasons.setdefault(path, []):
            reasons[path].append(why)

    for path, why in facts["folders"]:
        add(path, why)
    for entry in result["files"]:
        where = f"{entry['file']}:{entry['line']}"
        path = entry["path"] if entry["kind"] == "folder" else os.path.dirname(entry["path"])
        if (
            path.startswith(project.root + os.sep)
            or path == project.root
            or not path.startswith(("/tmp", "/usr", "/dev"))
        ):
            add(path, f"folder made by {where}" if entry["kind"] == "folder" else f"file written by {where}")
    for path, place in project.made_folders.items():
        add(path, f"must exist for {place.get('file')}:{place.get('line')}")
    return [{"path": path, "why": "; ".join(why)} for path, why in sorted(reasons.items())]


def hide(document, secrets, throwaway):
    """No message repeats a real secret; throw-away values are no secrets."""
    real = [s for s in secrets if s not in throwaway]
    if not real:
        return document
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(s)}(?!\w)" for s in sorted(real, key=len, reverse=True)))
    for key in ("errors", "warnings", "read", "switches"):
        for entry in document[key]:
            for field in ("message", "default", "why"):
                if isinstance(entry.get(field), str):
                    entry[field] = pattern.sub(PLACEHOLDER, entry[field])
    return document
