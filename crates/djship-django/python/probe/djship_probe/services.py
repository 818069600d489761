"""From the uses that the final settings show to services: which run here, which are elsewhere."""

from . import service_urls

LOCAL = {"localhost", "::1", "0.0.0.0"}
# libpq's own variables, for what the settings leave empty.
LIBPQ = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "name": "PGDATABASE"}
POSTGRES = ("postgres", "postgis")
ORDER = ("postgis", "postgres", "mysql", "redis", "amqp", "memcached", "smtp")


def effective(entry, environment):
    """The use as the client will see it: with libpq's variables, and the usual host and port where nothing is said."""
    filled = dict(entry)
    if entry["kind"] in POSTGRES:
        for part, name in LIBPQ.items():
            if not filled[part] and environment.get(name):
                filled[part] = environment[name]
    filled["host"] = filled["host"] or "localhost"
    port = str(filled["port"] or "")
    filled["port"] = int(port) if port.isdigit() else service_urls.DEFAULT_PORTS[entry["kind"]]
    return filled


def is_ours(host, address):
    """Is it where we can put a service: our address, this machine, or an alias?"""
    return host == address or is_local(host) or not ("." in host or ":" in host or "/" in host)


def is_local(host):
    return host in LOCAL or host.startswith("127.")


def gather(entries, address):
    """(services, external): one for each server, with all uses of it."""
    servers = {}
    for entry in entries:
        group = "postgres" if entry["kind"] in POSTGRES else entry["kind"]
        servers.setdefault((group, entry["host"], entry["port"]), []).append(entry)
    services, external = [], []
    for (_group, host, port), uses in servers.items():
        kind = "postgis" if any(u["kind"] == "postgis" for u in uses) else uses[0]["kind"]
        names = list(dict.fromkeys(u["use"] for u in uses))
        if not is_ours(host, address):
            external.append({"kind": kind, "host": host, "port": port, "uses": names})
            continue
        services.append(service(kind, host, port, uses, names, address))
    by_kind = {kind: number for number, kind in enumerate(ORDER)}
    services.sort(key=lambda s: (by_kind[s["kind"]], s["host"] != address, s["host"], s["port"]))
    external.sort(key=lambda e: (by_kind[e["kind"]], e["host"], e["port"]))
    return services, external


def service(kind, host, port, uses, names, address):
    def first(part):
        return next((u[part] for u in uses if u[part]), None)

    is_database = kind in (*POSTGRES, "mysql")
    databases = list(dict.fromkeys(u["name"] for u in uses if u["name"])) if is_database else []
    lasting = is_database or kind == "amqp" or (kind == "redis" and any(u["lasting"] for u in uses))
    return {
        "kind": kind, "host": host, "port": port, "user": first("user"), "password": first("password"),
        "name": databases[0] if databases else None, "names": databases, "uses": names,
        "hard_coded": host != address, "lasting": lasting, "virtual_host": first("virtual_host"),
    }  # fmt: skip


def quarrels(entries, services):
    """Uses of one server that it cannot serve together: (use, what differs, the other use)."""
    found = []
    for one in services:
        uses = [e for e in entries if e["use"] in one["uses"] and (e["host"], e["port"]) == (one["host"], one["port"])]
        for entry in uses[1:]:
            for part in ("user", "password"):
                if entry[part] and entry[part] != one[part]:
                    found.append((entry["use"], part, uses[0]["use"]))
    return found
