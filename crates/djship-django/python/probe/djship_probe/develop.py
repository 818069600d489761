"""The developer's view of a project: its own development settings, and the services that they lead to."""

import os
import re

from . import choice, development_report, markers, source, sqlite_default
from .connections import Connections, uses_of_variables
from .families import family_of
from .services import effective, gather
from .supplies import ENGINES, HOSTS

MAIL_TLS = re.compile(r"(E?MAIL|SMTP)_?(USE_?)?(TLS|SSL)$")
OPEN_HOSTS = ("*", "localhost", ".localhost")
MOST_NAMES = 4
HOST_FORMS = (HOSTS, HOSTS.replace(",", " "), '["localhost", "127.0.0.1", "[::1]"]', "localhost")


def develop(project):
    chosen = choice.choose(project, choice.DEVELOPMENT)
    chosen = with_engine(project, chosen)
    if not chosen.resolved.ok:
        return development_report.compose_failed(project, chosen)
    project.prove(chosen.resolved, "settings", sure=chosen.resolved.sure, look_again=False)
    view = View(project, chosen)
    view.let_in_localhost()
    view.give_database()
    view.look_for_services()
    return development_report.compose(view)


def with_engine(project, chosen):
    """A database engine that is asked for and not understood in its usual spelling is tried in others."""
    result = chosen.resolved.result
    if project.supplies.server != "postgres" or (chosen.resolved.ok and is_usable(chosen.resolved.facts)):
        return chosen
    names = [n for n in chosen.resolved.values if family_of(n) == ("database", "engine") and n not in project.given]
    names = names or [n for n in result["reads"] if result["reads"][n]["hard"] and is_engine(n, project)]
    for name in names[:1]:
        files = [os.path.join(project.root, file) for file in result["loaded"]]
        spelled = [c for file in files for n, c, _ in source.compared_constants(file) if n == name]
        spellings = dict.fromkeys([*(c for c in spelled if re.search(r"postg|psql", c, re.I)), *ENGINES])
        trials = [
            (chosen.resolved.settings, chosen.resolved.configuration, {**switched(chosen), name: spelling})
            for spelling in spellings
        ]
        for resolved in project.resolve_each("settings", trials):
            if resolved.ok and is_usable(resolved.facts):
                resolved.needed[name] = "engine"
                chosen.resolved = resolved
                return chosen
    return chosen


def is_engine(name, project):
    return family_of(name) == ("database", "engine") and name not in project.given


def switched(chosen):
    return {s["name"]: s["value"] for s in chosen.switches if not s["name"].startswith("DJANGO_")}


def is_usable(facts):
    database = facts["databases"].get("default")
    return database is None or facts["engines"].get("default", False) and "dummy" not in database["ENGINE"]


class View:
    """What is known so far. `values`: of variables, all of them ours; `final`: the last try, as far as it goes."""

    def __init__(self, project, chosen):
        self.project = project
        self.chosen = chosen
        self.values = dict(chosen.resolved.values)
        self.needed = dict(chosen.resolved.needed)
        self.connections = Connections(project, self.values)
        self.final = chosen.resolved
        self.sqlite = {}  # variables that would lead from SQLite to a server, with such a value
        self.feeds = markers.Feeds()

    @property
    def address(self):
        return self.project.supplies.offer.address

    def environment(self):
        """As a client library will see it."""
        return {**self.values, **self.connections.environment(), **self.project.given}

    def fixed(self):
        return {s["name"] for s in self.chosen.switches}

    def job(self, values, upto):
        return self.project.job(values, upto, self.chosen.resolved.settings, self.chosen.resolved.configuration)

    def let_in_localhost(self):
        """Hosts that are asked for must hold localhost, in whatever form the project splits them."""
        facts = self.chosen.resolved.facts
        if allows_localhost(facts):
            return
        names = [n for n in self.hosts_variables() if n not in self.project.given]
        for name in names[:1]:
            results = self.project.tries.each([self.job({**self.values, name: h}, "settings") for h in HOST_FORMS])
            for hosts, result in zip(HOST_FORMS, results):
                if result["ok"] and allows_localhost(result["facts"]):
                    self.values[name] = hosts
                    self.needed.setdefault(name, "hosts")
                    self.chosen.resolved.result = result
                    break

    def give_database(self):
        """A database that only a variable gives an engine (dj_database_url.config()) gets that variable."""
        facts = self.chosen.resolved.facts
        if not facts["names_databases"] or is_usable(facts):
            return
        url = self.project.supplies.database_url()
        names = development_report.database_variables(self.chosen.resolved.result["reads"], self.environment())
        for name in names[:MOST_NAMES]:
            result = next(self.project.tries.each([self.job({**self.values, name: url}, "settings")]))
            if result["ok"] and is_usable(result["facts"]):
                self.values[name] = url
                self.needed.setdefault(name, "database")
                self.chosen.resolved.result = result
                return

    def hosts_variables(self):
        reads = self.chosen.resolved.result["reads"]
        found = []
        for file in self.chosen.resolved.result["loaded"]:
            for target, names, _uses, _line in source.assignments(os.path.join(self.project.root, file)):
                if target.endswith("ALLOWED_HOSTS"):
                    found += [n for n in names if n in reads]
        return found + [n for n in reads if n.endswith("ALLOWED_HOSTS")]

    def look_for_services(self):
        upto, result, seen = "settings", self.chosen.resolved.result, set()
        for _ in range(2):
            entries = self.uses(result)
            new = [e for e in entries if e["use"] not in seen]
            seen.update(e["use"] for e in new)
            led = self.lead(new, result, upto)
            if self.final is not self.chosen.resolved and not led:
                break  # this was all seen before
            self.settle()
            upto, result = "celery", self.final.result
            if "facts" not in result:
                break

    def uses(self, result):
        """Every use of a service; plain mail settings count only if the project has something to do with them."""
        found = [e for e in result["facts"]["endpoints"] if not is_default_mail(e) or mail_variables(result)]
        values = {**self.values, **self.connections.environment()}
        return found + uses_of_variables(result, values, self.project.given, found)

    def lead(self, entries, result, upto):
        """Finds the variables behind these uses and their values; whether there are any."""
        before = len(self.connections.found)
        candidates = markers.candidates(self.project, result, self.values, self.fixed())
        if entries and candidates:
            feeds = markers.find(self.project, self.chosen, self.values, upto, candidates)
            by_name = {c.name: c for c in candidates}
            gis = "django.contrib.gis" in result["facts"]["installed_apps"]
            for entry in entries:
                if entry["use"] in by_name:  # the variable is the use
                    own = by_name[entry["use"]]
                    feeds.parts.setdefault(own.name, {"host" if own.form == "text" else "url": own})
                if entry["kind"] == "smtp":
                    self.without_tls(entry, feeds, result)
                self.connections.lead(entry, feeds, gis)
            self.feeds.allowed_hosts = self.feeds.allowed_hosts or feeds.allowed_hosts
        else:
            for entry in entries:
                self.connections.lead(entry, markers.Feeds(), False)
        self.connections.lead_celery(entries, result)
        return len(self.connections.found) > before

    def without_tls(self, entry, feeds, result):
        """Our mail catcher does not encrypt."""
        if not (result["facts"]["mail_tls"] and feeds.of(entry["use"])):
            return
        for name, read in result["reads"].items():
            if MAIL_TLS.search(name.upper()) and name not in self.project.given and not read["library"]:
                self.connections.note(entry, name, "0" if read["hint"] == "int" else "False", "smtp", "tls")

    def settle(self):
        """The last try: Django set up, with all values. Connections that break it or lead nowhere are taken back."""
        checks = sqlite_default.checks(self) if not self.sqlite else []
        values = {**self.values, **self.connections.environment()}
        results = self.project.tries.each([self.job(values, "celery"), *(job for _, _, job in checks)])
        first = next(results)
        self.sqlite.update(sqlite_default.judge(checks, list(results)))
        self.final = self.resolve(values, first)
        if "facts" not in self.final.result and self.connections.found:
            uses = [use for use in self.connections.led if not use.startswith("DATABASES")]
            for dropped in (uses, list(self.connections.led)):
                self.connections.forget(dropped)
                self.final = self.resolve({**self.values, **self.connections.environment()})
                if "facts" in self.final.result:
                    break
        if "facts" in self.final.result:
            lost = self.led_nowhere()
            if lost:
                self.connections.forget(lost)
                self.final = self.resolve({**self.values, **self.connections.environment()})
        for name, shape in self.final.needed.items():
            self.values[name] = self.final.values[name]
            self.needed[name] = shape

    def resolve(self, values, first=None):
        chosen = self.chosen.resolved
        return self.project.resolve("celery", chosen.settings, chosen.configuration, given=values, first=first)

    def led_nowhere(self):
        by_use = {}
        for entry in self.final.facts["endpoints"]:
            by_use.setdefault(entry["use"], []).append(effective(entry, self.environment()))
        return [
            use
            for use in self.connections.led
            if use not in self.connections.found
            and self.leads_the_host(use)
            and not any(e["host"] == self.address for e in by_use.get(use, []))
        ]

    def leads_the_host(self, use):
        parts = {self.connections.found[n]["part"] for n in self.connections.led[use] if n in self.connections.found}
        return bool(parts & {"url", "host"})

    def services(self):
        """(services, external, the uses they come from) that the last try shows."""
        if "facts" not in self.final.result:
            return [], [], []
        result = self.final.result
        given_mail = any(name in self.project.given for name in mail_variables(result))
        entries = [
            effective(e, self.environment())
            for e in self.uses(result)
            if not is_default_mail(e) or e["use"] in self.connections.led or given_mail
        ]
        return (*gather(entries, self.address), entries)


def is_default_mail(entry):
    return entry["kind"] == "smtp" and entry["host"] == "localhost" and entry["port"] == 25


def mail_variables(result):
    parts = (("smtp", "host"), ("smtp", "port"), ("smtp", "url"))
    return [n for n, r in result["reads"].items() if family_of(n) in parts and not r["library"]]


def allows_localhost(facts):
    hosts = facts["allowed_hosts"]
    return any(host in OPEN_HOSTS for host in hosts) or (not hosts and facts["debug"])
