"""Addresses of services: which kind a URL is of, and what it says."""

from urllib.parse import parse_qs, unquote, urlsplit

from .modules import has_module

KIND_BY_SCHEME = {
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "redis+socket", "unix+redis", "rediscache"), "redis"),
    **dict.fromkeys(("amqp", "amqps", "pyamqp", "librabbitmq", "rabbitmq"), "amqp"),
    **dict.fromkeys(("memcache", "memcached", "pymemcache", "pymemcached", "pylibmc", "locmemcached"), "memcached"),
    **dict.fromkeys(("smtp", "smtps", "smtp+tls", "smtp+ssl"), "smtp"),
}
DATABASE_SCHEMES = {
    **dict.fromkeys(("postgres", "postgresql", "psql", "pgsql"), "postgres"),
    "postgis": "postgis",
    **dict.fromkeys(("mysql", "mariadb", "mysql2"), "mysql"),
}
PORTS = {
    "postgres": 5432, "postgis": 5432, "mysql": 3306, "redis": 6379, "amqp": 5672, "memcached": 11211, "smtp": 1025,
}  # fmt: skip
# Without encryption, and by way of the network.
PLAIN_SCHEMES = {
    "rediss": "redis", "valkeys": "valkey", "amqps": "amqp", "unix+redis": "redis", "redis+socket": "redis",
    "smtps": "smtp", "smtp+tls": "smtp", "smtp+ssl": "smtp",
}  # fmt: skip
# Where nothing says a port. Mail is the one service whose usual port is not ours.
DEFAULT_PORTS = {**PORTS, "smtp": 25}
# A service is used by one of these; an address that none of them can open is only text.
PACKAGES = {
    "redis": ("redis", "valkey", "django_redis", "channels_redis", "aioredis", "coredis"),
    "amqp": ("kombu", "pika", "aio_pika", "amqp"),
    "memcached": ("pymemcache", "pylibmc", "memcache", "bmemcached"),
}


def has_package(kind):
    return kind not in PACKAGES or any(has_module(name) for name in PACKAGES[kind])


def kind_of(text):
    """The kind of service that a URL leads to, or None."""
    scheme, separator, _ = text.partition("://")
    return KIND_BY_SCHEME.get(scheme.lower()) if separator else None


def parse(text):
    """{"kind", "host", "port", "user", "password", "name", "virtual_host"} of a URL, or None.

    A socket's path stands as host.
    """
    kind = kind_of(text)
    if kind is None or len(text) > 2000 or "\n" in text:
        return None
    first = text.partition(";")[0]  # of several addresses
    try:
        parts = urlsplit(first)
        # Of several hosts in one address, the first.
        place = parts.netloc.rpartition("@")[2].partition(",")[0]
        host, port = split_host(place)
    except ValueError:
        return None
    path = unquote(parts.path)
    found = {
        "kind": kind, "host": host, "port": port, "user": None, "password": None, "name": None, "virtual_host": None,
    }  # fmt: skip
    if "@" in parts.netloc:
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        found["user"], found["password"] = unquote(user) or None, unquote(password) or None
    if kind == "redis":
        if not host and path.strip("/") and not path.strip("/").isdigit():
            found["host"] = path  # a socket
        found["host"] = found["host"] or "localhost"
        found["password"] = found["password"] or parse_qs(parts.query).get("password", [None])[0]
    elif kind == "amqp":
        found["host"] = host or "localhost"
        found["virtual_host"] = path[1:] or "/"
    else:
        found["host"] = host or "localhost"
    return found


def split_host(text):
    """(host, port or None) of `host`, `host:port`, `[::1]:port`."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    return host, int(port) if port else None


def with_place(url, address, port):
    """The same URL at another host; encryption, which our services do not have, is left out."""
    scheme, _, rest = url.partition("://")
    scheme = PLAIN_SCHEMES.get(scheme.lower(), scheme)
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if not host and scheme == "redis":  # it was a socket
        slash, path = "/", "0"
    return f"{scheme}://{user}{at}{address}:{port}{slash}{path}"
