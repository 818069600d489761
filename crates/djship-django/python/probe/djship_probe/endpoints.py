"""Which services the live settings lead to, seen in the child: one entry for every use.

An entry: {"use", "kind", "host", "port", "user", "password", "name", "virtual_host", "url", "lasting"}. `url` is the
text it comes from, None for single parts; `lasting`: what the service holds must survive its crash.
"""

import re
from urllib.parse import ParseResult, SplitResult

from . import service_urls
from .modules import has_module

DEPTH, NODES = 5, 20_000
# Read below, each in its own way.
KNOWN = {"DATABASES", "CACHES", "CHANNEL_LAYERS", "RQ_QUEUES", "HUEY", "CACHEOPS_REDIS", "CONSTANCE_REDIS_CONNECTION",
         "SESSION_REDIS", "MAILERS", "DRAMATIQ_BROKER", "Q_CLUSTER"}  # fmt: skip
QUEUE_NAME = re.compile(r"BROKER|QUEUE|CELERY|RESULT|SESSION|TASK|JOB|DRAMATIQ|HUEY")
CELERY_NAME = re.compile(r"^(CELERY_.*|BROKER_\w+)$")
PAIR_NAME = re.compile(r"^(.*_)?(REDIS|VALKEY|RABBITMQ|AMQP|MEMCACHED?)_(HOST|HOSTNAME|SERVER)$")
PAIR_KIND = {"REDIS": "redis", "VALKEY": "redis", "RABBITMQ": "amqp", "AMQP": "amqp"}


def database_kind(engine, settings=None):
    """The kind of server behind a database engine, None for a file or what djship does not run."""
    engine = str(engine or "")
    behind = engine + str(getattr(settings, "ORIGINAL_BACKEND", "")) if "tenant" in engine else engine
    if "postgis" in behind:
        return "postgis"
    if re.search(r"postg|psql|psycopg|timescale", engine):
        return "postgres"
    return "mysql" if re.search(r"mysql|mariadb", engine) else None


def collect(settings, celery):
    seen = Endpoints(settings, celery)
    seen.databases()
    seen.caches()
    seen.channel_layers()
    seen.queues()
    seen.mail()
    seen.celery_configuration()
    seen.other_settings()
    return seen.found


class Endpoints:
    def __init__(self, settings, celery):
        self.settings = settings
        self.celery = celery
        self.found = []
        self.nodes = 0

    def get(self, name, default=None):
        try:
            return getattr(self.settings, name, default)
        except Exception:  # a setting that only fails when it is used
            return default

    def add(self, kind, use, host, port=None, user=None, password=None, **more):
        """`more`: name, virtual_host, url, lasting."""
        if not service_urls.has_package(kind):
            return
        entry = {
            "kind": kind, "use": use, "host": plain(host) or "", "port": number(port), "user": plain(user),
            "password": plain(password), "name": plain(more.get("name")), "virtual_host": more.get("virtual_host"),
            "url": more.get("url"), "lasting": more.get("lasting", False),
        }  # fmt: skip
        if entry not in self.found:
            self.found.append(entry)

    def add_url(self, use, url, lasting=False):
        parsed = service_urls.parse(url)
        if parsed:
            self.add(**parsed, use=use, url=url, lasting=lasting or parsed["kind"] == "amqp")

    def add_redis(self, use, value, lasting=False):
        """Whatever names a Redis: a URL, (host, port), a dictionary, a client, or a list of these."""
        if isinstance(value, (ParseResult, SplitResult)):
            value = value.geturl()
        if isinstance(value, str):
            self.add_url(use, value if "://" in value else f"redis://{value}", lasting)
        elif isinstance(value, (list, tuple)):
            if len(value) == 2 and isinstance(value[0], str) and str(value[1]).isdigit():
                self.add("redis", use, value[0], value[1], lasting=lasting)
            else:
                for one in value:
                    self.add_redis(use, one, lasting)
        elif isinstance(value, dict):
            lower = {str(k).lower(): v for k, v in value.items()}
            url = lower.get("url") or lower.get("address")
            if url:
                self.add_redis(use, url, lasting)
            elif "sentinels" not in lower and "connection_pool" not in lower:
                host = lower.get("host") or lower.get("unix_socket_path") or "localhost"
                port, user, password = (lower.get(part) for part in ("port", "username", "password"))
                self.add("redis", use, host, port, user, password, lasting=lasting)
        else:
            self.add_client(use, value, lasting)

    def add_client(self, use, value, lasting=False):
        """A client or a pool of connections that the settings made themselves."""
        if type(value).__module__.partition(".")[0] not in ("redis", "valkey"):
            return
        pool = getattr(value, "connection_pool", value)
        options = getattr(pool, "connection_kwargs", None)
        if isinstance(options, dict):
            self.add_redis(use, {"host": options.get("path"), **options}, lasting)

    def databases(self):
        for alias, database in self.settings.DATABASES.items():
            kind = database_kind(database.get("ENGINE"), self.settings)
            if kind:
                place = (database.get(part) for part in ("HOST", "PORT", "USER", "PASSWORD"))
                self.add(kind, f"DATABASES[{alias!r}]", *place, name=database.get("NAME"), lasting=True)

    def caches(self):
        session_alias = None
        if str(self.get("SESSION_ENGINE", "")).endswith(".cache"):
            session_alias = self.get("SESSION_CACHE_ALIAS", "default")
        for alias, cache in (self.get("CACHES") or {}).items():
            backend, location = str(cache.get("BACKEND", "")).lower(), cache.get("LOCATION")
            use, lasting = f"CACHES[{alias!r}]", alias == session_alias
            places = re.split(r"[;,]\s*", location) if isinstance(location, str) else location
            places = places if isinstance(places, (list, tuple)) else [location]
            if "redis" in backend or "valkey" in backend:
                for place in places:
                    if place:
                        self.add_redis(use, place, lasting)
            elif re.search(r"(?<!loc)memcache|pylibmc", backend):
                for place in places:
                    host, port = self.memcached_place(place)
                    self.add("memcached", use, host, port, url=place if isinstance(place, str) else None)

    def memcached_place(self, place):
        if isinstance(place, (list, tuple)) and len(place) == 2:
            return place
        place = str(place or "localhost")
        if place.startswith(("/", "unix:")):
            return place.removeprefix("unix:"), None
        try:
            return service_urls.split_host(place.rpartition("://")[2])
        except ValueError:
            return place, None

    def channel_layers(self):
        for alias, layer in (self.get("CHANNEL_LAYERS") or {}).items():
            backend, config = str(layer.get("BACKEND", "")).lower(), layer.get("CONFIG") or {}
            use = f"CHANNEL_LAYERS[{alias!r}]"
            if "redis" in backend:
                self.add_redis(use, config.get("hosts") or [("localhost", 6379)])
            elif "rabbitmq" in backend:
                self.add_url(use, str(config.get("host") or "amqp://localhost"))

    def queues(self):
        for name, queue in (self.get("RQ_QUEUES") or {}).items():
            alias = queue.get("USE_REDIS_CACHE")
            if alias:
                location = (self.get("CACHES") or {}).get(alias, {}).get("LOCATION")
                self.add_redis(f"RQ_QUEUES[{name!r}]", location, lasting=True)
            else:
                self.add_redis(f"RQ_QUEUES[{name!r}]", queue, lasting=True)
        for name, lasting in (("CACHEOPS_REDIS", False), ("SESSION_REDIS", True)):
            if self.get(name):
                self.add_redis(name, self.get(name), lasting)
        if self.get("CONSTANCE_REDIS_CONNECTION") and "redis" in str(self.get("CONSTANCE_BACKEND", "redis")).lower():
            self.add_redis("CONSTANCE_REDIS_CONNECTION", self.get("CONSTANCE_REDIS_CONNECTION"), lasting=True)
        cluster = self.get("Q_CLUSTER")
        if isinstance(cluster, dict) and cluster.get("redis") and not cluster.get("sync"):
            self.add_redis("Q_CLUSTER", cluster["redis"], lasting=True)
        self.huey()
        self.dramatiq()

    def huey(self):
        huey = self.get("HUEY")
        if isinstance(huey, dict):
            # Its own rule: at once and in memory, unless told otherwise, while DEBUG is on.
            immediate = huey.get("immediate", huey.get("always_eager", bool(self.settings.DEBUG)))
            named = str(huey.get("huey_class") or huey.get("backend_class") or "RedisHuey")
            if not immediate and "Redis" in named:
                self.add_redis("HUEY", huey.get("url") or huey.get("connection") or {}, lasting=True)
        elif type(huey).__module__.partition(".")[0] == "huey" and not getattr(huey, "immediate", False):
            self.add_client("HUEY", getattr(getattr(huey, "storage", None), "pool", None), lasting=True)

    def dramatiq(self):
        broker = self.get("DRAMATIQ_BROKER")
        if isinstance(broker, dict):
            options, named = broker.get("OPTIONS") or {}, str(broker.get("BROKER", ""))
            if named.endswith("RedisBroker"):
                self.add_redis("DRAMATIQ_BROKER", options, lasting=True)
            elif named.endswith("RabbitmqBroker"):
                self.add_url("DRAMATIQ_BROKER", str(options.get("url") or "amqp://guest:guest@localhost"))

    def mail(self):
        mailers = self.get("MAILERS")
        if mailers:
            for alias, mailer in mailers.items():
                options = mailer.get("OPTIONS") or {}
                if "smtp" in str(mailer.get("BACKEND", "")).lower():
                    self.add_mail(f"MAILERS[{alias!r}]", options.get("host"), options.get("port"),
                                  options.get("username"), options.get("password"))  # fmt: skip
        elif "smtp" in str(self.get("EMAIL_BACKEND", "")).lower():
            self.add_mail("EMAIL_HOST", self.get("EMAIL_HOST"), self.get("EMAIL_PORT"), self.get("EMAIL_HOST_USER"),
                          self.get("EMAIL_HOST_PASSWORD"))  # fmt: skip

    def add_mail(self, use, host, port, user, password):
        self.add("smtp", use, host or "localhost", port or 25, user, password)

    def celery_configuration(self):
        """What the application itself says, beside Django's settings."""
        if not self.has_celery_app() or self.eager():
            return
        broker = self.celery["broker"] or "amqp://guest:guest@localhost//"  # Celery's own default
        for option, url in (("broker_url", broker), ("result_backend", self.celery["backend"])):
            named = [n for n in dir(self.settings) if n.isupper() and n.endswith(option.upper())]
            if url and service_urls.kind_of(url):
                self.add_url(named[0] if named else f"Celery's {option}", url, lasting=True)

    def has_celery_app(self):
        return bool(self.celery and self.celery["app"])

    def eager(self):
        names = ("CELERY_TASK_ALWAYS_EAGER", "CELERY_ALWAYS_EAGER", "TASK_ALWAYS_EAGER")
        return bool(self.celery and self.celery["always_eager"]) or any(self.get(name) for name in names)

    def other_settings(self):
        names = (n for n in dir(self.settings) if n.isupper() and not n.startswith("EMAIL_"))
        for name in sorted(set(names) - KNOWN):
            if CELERY_NAME.match(name) and (self.eager() or not has_module("celery")):
                continue
            if self.has_celery_app() and name.endswith(("BROKER_URL", "RESULT_BACKEND")):
                continue  # the application says what it makes of it
            value = self.get(name)
            self.walk(name, value, bool(QUEUE_NAME.search(name)), DEPTH)
            pair = PAIR_NAME.match(name)
            if pair and isinstance(value, str) and value and "://" not in value:
                self.pair(name, value, *pair.groups())

    def walk(self, use, value, lasting, depth):
        self.nodes += 1
        if depth < 0 or self.nodes > NODES:
            return
        if isinstance(value, (ParseResult, SplitResult)):
            value = value.geturl()
        if isinstance(value, str):
            if "://" in value and service_urls.kind_of(value) not in (None, "smtp"):
                self.add_url(use, value, lasting)
        elif isinstance(value, dict):
            for key, one in list(value.items()):
                self.walk(f"{use}[{key!r}]" if isinstance(key, (str, int)) else use, one, lasting, depth - 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for one in value:
                self.walk(use, one, lasting, depth - 1)
        elif type(value).__module__.startswith("pydantic"):
            self.walk(use, str(value), lasting, 0)
        else:
            self.add_client(use, value, lasting)

    def pair(self, setting, host, prefix, family, word):
        """REDIS_HOST, with REDIS_PORT and the like beside it."""
        start = setting[: -len(word)]
        kind = PAIR_KIND.get(family, "memcached")

        def beside(*words):
            values = (self.get(start + w) for w in words)
            return next((v for v in values if isinstance(v, (str, int)) and v != ""), None)

        port = beside("PORT")
        if ":" in host and port is None:
            host, _, port = host.partition(":")
        virtual_host = (beside("VHOST", "VIRTUAL_HOST") or "/") if kind == "amqp" else None
        self.add(kind, setting, host, port, beside("USER", "USERNAME"), beside("PASSWORD", "PASS"),
                 virtual_host=virtual_host, lasting=kind == "amqp" or bool(QUEUE_NAME.search(setting)))  # fmt: skip


def plain(value):
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def number(value):
    try:
        return int(value) if value not in (None, "") else None
    except (TypeError, ValueError):
        return None
