"""Development's values for what nobody sets: our services where a name is about one, else something that works."""

import os
import tempfile
from urllib.parse import quote

from . import service_urls, values
from .families import family_of

HOSTS = "localhost,127.0.0.1,[::1]"
SECRET = "development-only-d7Qm2xV9kTz4bRn8wLs1pYhF6jGc3uAe5oXi0Za-Kq_MvBnCtWyE"  # no secret: the same for everybody
ENGINES = ("django.db.backends.postgresql", "postgresql", "postgres", "psql")
VALUES = {
    **values.VALUES,
    "email": "developer@example.org",
    "host": "localhost",
    "hosts": HOSTS,
    "json_hosts": '["localhost", "127.0.0.1", "[::1]"]',
    "path": tempfile.gettempdir(),
    "people": "Developer <developer@example.org>",
    "secret": SECRET,
    "text": "development",
    "url": "http://localhost:8000",
    "urls": "http://localhost,http://127.0.0.1",
}


class Offer:
    """Where our services will listen, each on its usual port, and what to call a database when nothing else decides."""

    def __init__(self, address, database, user, password):
        self.address = address
        self.database = database
        self.user = user
        self.password = password

    def url(self, kind, name=None):
        port, secret = service_urls.PORTS[kind], f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        place = f"{self.address}:{port}"
        return {
            "postgres": f"postgres://{secret}@{place}/{quote(name or self.database, safe='')}",
            "postgis": f"postgis://{secret}@{place}/{quote(name or self.database, safe='')}",
            "mysql": f"mysql://{secret}@{place}/{quote(name or self.database, safe='')}",
            "redis": f"redis://{place}/0",
            "amqp": f"amqp://{secret}@{place}//",
            "memcached": f"memcache://{place}",
            "smtp": f"smtp://{place}",
        }[kind]


class Supplies:
    """`engine`: what to answer when an engine is asked for; the flow tries others when that is not understood."""

    def __init__(self, offer, base):
        self.offer = offer
        self.base = base
        self.server = {"mysql": "mysql", "postgres": "postgres"}.get(values.database_scheme())
        self.engine = values.database_engine()

    def value(self, name, shape):
        return self.for_service(name, shape) or VALUES[shape]

    def for_service(self, name, shape):
        family = family_of(name)
        if shape == "database":
            return self.database_url()
        if shape == "engine" or family == ("database", "engine"):
            return self.engine if shape in ("engine", "text") else None
        if shape in ("cache", "amqp", "smtp"):
            kind = {"cache": "redis"}.get(shape, shape)
            if shape == "cache" and family and family[0] in ("amqp", "memcached"):
                kind = family[0]
            if shape == "cache" and kind == "redis" and not service_urls.has_package("redis"):
                kind = "amqp" if service_urls.has_package("amqp") else "redis"
            return self.offer.url(kind)
        if family is None or shape not in ("text", "host", "port", "secret", "int", "url", "hosts"):
            return None
        service, part = family
        kind = (self.server or "postgres") if service == "database" else service
        if part == "url":
            return self.database_url() if service == "database" else self.offer.url(kind)
        if service == "smtp" and part in ("user", "password"):
            return None
        return {
            "host": f"{self.offer.address}:11211" if kind == "memcached" and shape == "hosts" else self.offer.address,
            "port": str(service_urls.PORTS[kind]),
            "user": self.offer.user,
            "password": self.offer.password,
            "name": "0" if shape == "int" else self.offer.database if service == "database" else None,
            "virtual_host": "/",
        }[part]

    def database_url(self):
        if self.server is None:
            return "sqlite:///" + os.path.join(self.base, "db.sqlite3")
        return self.offer.url(self.server)
