"""The values of variables that make the settings lead to our services."""

from . import service_urls
from .endpoints import PAIR_NAME
from .families import family_of
from .markers import Candidate
from .services import LIBPQ, POSTGRES, effective, is_local
from .values import shape_of

# Databases that a server has for itself: none for a project's tables.
MAINTENANCE = {"postgres", "template0", "template1", "mysql", "information_schema"}
DATABASES = (*POSTGRES, "mysql")
# Celery's own variables, stronger than its configuration, by the end of the use.
CELERY = {"BROKER_URL": "CELERY_BROKER_URL", "RESULT_BACKEND": "CELERY_RESULT_BACKEND"}


class Connections:
    """`found`: {NAME: {"value", "service", "part"}}; `led`: {use: the names that lead it}."""

    def __init__(self, project, values):
        self.offer = project.supplies.offer
        self.given = project.given
        self.values = values
        self.found = {}
        self.led = {}

    def environment(self):
        return {name: one["value"] for name, one in self.found.items()}

    def lead(self, entry, feeds, gis):
        """Chooses the variables for one use: its address as a whole, else its parts, else a client library's own."""
        parts = feeds.of(entry["use"])
        kind = "postgis" if gis and entry["kind"] == "postgres" and self.is_supplied(parts) else entry["kind"]
        if "url" in parts:
            self.add(entry, parts["url"], kind, "url")
        elif "host" in parts:
            for part, candidate in parts.items():
                self.add(entry, candidate, kind, part)
        elif entry["kind"] in POSTGRES and not entry["host"]:
            self.lead_libpq(entry)
        else:  # the host is fixed: what was supplied stays as it is
            for part, candidate in parts.items():
                if candidate.name in self.values:
                    self.note(entry, candidate.name, self.values[candidate.name], kind, part)

    def lead_celery(self, entries, result):
        """What is fixed to this machine is led by Celery's own variables: then no port of the machine's is needed.
        Not when something else is fixed to the same place, nor when the developer gave it."""
        free = [e for e in entries if e["use"] not in self.led]
        for entry in free:
            name = celery_variable(entry)
            if name is None or name in self.given or not is_local(entry["host"]):
                continue
            shared = any(place_of(e) == place_of(entry) and not celery_variable(e) for e in free)
            if not shared and not is_given(entry, result, self.given):
                self.add(entry, Candidate(name, "url", "url", entry["url"], "amqp"), entry["kind"], "url")

    def is_supplied(self, parts):
        return "url" in parts and parts["url"].name in self.values

    def add(self, entry, candidate, kind, part):
        if candidate.form == "url" and not candidate.example and entry["kind"] not in DATABASES:
            # The variable decides: there was only a library's default.
            kind = service_urls.KIND_BY_SCHEME[candidate.scheme]
        value = self.value_for(entry, candidate, kind, part)
        if value is not None:
            self.note(entry, candidate.name, value, kind, part)

    def note(self, entry, name, value, kind, part):
        self.found.setdefault(name, {"value": value, "service": kind, "part": part})
        self.led.setdefault(entry["use"], []).append(name)

    def value_for(self, entry, candidate, kind, part):
        port = service_urls.PORTS[kind]
        if candidate.form == "database":
            return self.offer.url(kind, self.own_name(entry))
        if candidate.form == "url":
            if candidate.example and service_urls.kind_of(candidate.example) == kind:
                return service_urls.with_place(candidate.example, self.offer.address, port)
            return self.offer.url(kind)
        if candidate.form == "place":
            return f"{self.offer.address}:{port}"
        if part == "host":
            return self.offer.address
        if part == "port":
            return str(port)
        if kind in DATABASES:
            return {"user": self.offer.user, "password": self.offer.password, "name": self.own_name(entry)}.get(part)
        if kind == "amqp" and part in ("user", "password"):
            return self.offer.user if part == "user" else self.offer.password
        return self.values.get(candidate.name)  # what was supplied; a default is as good as ours

    def own_name(self, entry):
        """What the settings call the database, or our word for it."""
        name = entry["name"] or ""
        free = name and name not in MAINTENANCE and "/" not in name and ":" not in name
        return name if free and name not in self.values.values() else self.offer.database

    def lead_libpq(self, entry):
        seen = effective(entry, self.given)
        if seen["host"] != "localhost":
            return  # PGHOST is given
        wanted = {"host": self.offer.address, "port": "5432", "user": self.offer.user, "password": self.offer.password}
        for part, value in wanted.items():
            if not entry[part] and LIBPQ[part] not in self.given:
                self.note(entry, LIBPQ[part], value, entry["kind"], part)

    def forget(self, uses):
        """Takes back what does not lead anywhere."""
        names = {name for use in uses for name in self.led.pop(use, [])}
        kept = {name for led in self.led.values() for name in led}
        for name in names - kept:
            self.found.pop(name, None)


def place_of(entry):
    return entry["kind"], entry["host"], entry["port"] or service_urls.DEFAULT_PORTS[entry["kind"]]


def is_given(entry, result, given):
    """Does a variable that the developer gave, and that the project read, lead there?"""
    for name in result["reads"]:
        parsed = service_urls.parse(given.get(name, ""))
        if given.get(name) == entry["host"] or (parsed and parsed["host"] == entry["host"]):
            return True
    return False


def celery_variable(entry):
    return next((name for end, name in CELERY.items() if entry["use"].upper().endswith(end)), None)


def uses_of_variables(result, values, given, entries):
    """Uses that no setting shows: a variable with the address of a service, which the project read."""
    found = []
    known = {place_of(e) for e in entries}
    for name, read in sorted(result["reads"].items()):
        value = given.get(name) or values.get(name) or read["example"] or ""
        if read["library"] or not value:
            continue
        parsed = service_urls.parse(value)
        family = family_of(name)
        if parsed is None and family and family[0] in ("redis", "amqp", "memcached") and family[1] == "host":
            parsed = of_host(name, value, read, result, values, given, family[0])
        if parsed is None or parsed["kind"] == "smtp" or not service_urls.has_package(parsed["kind"]):
            continue
        place = place_of(parsed)
        if place not in known:
            known.add(place)
            lasting = parsed["kind"] == "amqp"
            found.append({**parsed, "use": name, "url": value if "://" in value else None, "lasting": lasting})
    return found


def of_host(name, value, read, result, values, given, kind):
    """A host of its own variable, with a port beside it."""
    if shape_of(name, read["hint"]) not in ("host", "text") or "/" in value or " " in value:
        return None
    if not PAIR_NAME.match(name.upper()):
        return None
    host, _, port = value.partition(":")
    for other, beside in result["reads"].items():
        if family_of(other) == (kind, "port") and not port:
            port = given.get(other) or values.get(other) or beside["example"] or ""
    virtual_host = "/" if kind == "amqp" else None
    return {"kind": kind, "host": host, "port": int(port) if port.isdigit() else None, "user": None, "password": None,
            "name": None, "virtual_host": virtual_host}  # fmt: skip
