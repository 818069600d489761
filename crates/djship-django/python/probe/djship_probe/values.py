"""Throw-away values: what shape of value a variable wants by its name, and one value for each shape.

A value here exists in the builder process alone. Text is unmistakable (`djship` with a word that no project
has), so that it can be searched for in whatever was written with it; hosts end in `.invalid`, so nothing
answers there.
"""

import os
import re
import tempfile

from .modules import has_module

WORD = "djshipprobe"
HOST = f"{WORD}.invalid"
SECRET = "djship-probe-kL3vQ9xT2mZ7bN4cR8wY1pF6hJ5sD0gA-uE_iOaXzKqMnBvC"  # over 50 characters, as Django asks for
FOLDER = os.path.join(tempfile.gettempdir(), "djship-probe-folder")


def database_scheme():
    if has_module("psycopg") or has_module("psycopg2"):
        return "postgres"
    if has_module("MySQLdb") or has_module("pymysql"):
        return "mysql"
    return "sqlite"


def database_url(scheme=None, word=WORD, host=HOST, port=None):
    scheme = scheme or database_scheme()
    if scheme == "sqlite":
        return "sqlite:///:memory:"
    return f"{scheme}://{word}:{word}@{host}:{port or {'mysql': 3306}.get(scheme, 5432)}/{word}"


def database_engine():
    return "django.db.backends." + {"postgres": "postgresql", "mysql": "mysql"}.get(database_scheme(), "sqlite3")


VALUES = {
    "amqp": f"amqp://{WORD}:{WORD}@{HOST}:5672//",
    "base64": "ZGpzaGlwcHJvYmVkanNoaXBwcm9iZWRqc2hpcHByb2I=",  # 32 bytes, as a Fernet key has
    "bool": "False",
    "bool_digit": "0",
    "cache": f"redis://{HOST}:6379/0",
    "database": database_url(),
    "dsn": f"https://0123456789abcdef0123456789abcdef@{HOST}/1",
    "email": f"{WORD}@{HOST}",
    "engine": database_engine(),
    "host": HOST,
    "hosts": "localhost,127.0.0.1",
    "int": "1",
    "json": "{}",
    "json_list": "[]",
    "json_hosts": '["localhost"]',
    "language": "en-us",
    "level": "INFO",
    "path": FOLDER,
    "people": f"Probe <{WORD}@{HOST}>",
    "port": "5432",
    "region": "us-east-1",
    "secret": SECRET,
    "smtp": f"smtp://{WORD}:{WORD}@{HOST}:25",
    "text": WORD,
    "time_zone": "UTC",
    "url": f"https://{HOST}",
    "urls": f"https://{HOST},http://localhost",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class Throwaway:
    """Values for what is missing while an image is built."""

    def value(self, name, shape):
        return VALUES[shape]


# The first that matches the upper-case name decides.
BY_NAME = [
    (re.compile(pattern), shape)
    for pattern, shape in [
        (r"SENTRY.*DSN|^DSN$", "dsn"),
        (r"(EMAIL|MAIL|SMTP)_(URL|URI|DSN)$", "smtp"),
        (r"(AMQP|RABBIT\w*)_?(URL|URI)$", "amqp"),
        (r"(REDIS|CACHE|BROKER|CELERY|CHANNEL|QUEUE|HUEY|RQ)\w*(URL|URI|LOCATION|BACKEND|SERVER)S?$", "cache"),
        (r"((DATABASE|POSTGRES\w*|PG|MYSQL|SQL|(^|_)DB)_?(\w*_)?(URL|URI|DSN)|DATABASE_SERVER)$", "database"),
        (r"(DB|DATABASE|SQL)_?(ENGINE|BACKEND)$", "engine"),
        (r"(ORIGINS|TRUSTED_URLS)$", "urls"),
        (r"(HOSTS|HOSTNAMES|DOMAINS)$", "hosts"),
        (r"(^|_)(DEBUG|TESTING)$|(^|_)(ENABLED?|DISABLED?|USE|IS|ALLOW|HAS|WITH)(_|$)", "bool"),
        (r"_(HTTPS|SSL|TLS|SECURE|REDIRECT|VERIFY|HTTPONLY)$|HSTS_(INC|PRE)", "bool"),
        (r"PORT$", "port"),
        (r"(SECONDS|TIMEOUT|AGE|LIMIT|SIZE|COUNT|WORKERS|THREADS|MAX|MIN|DAYS|HOURS|MINUTES|INTERVAL)$", "int"),
        (r"(TTL|RETRIES|_RATE|_NUM|LENGTH|REDIS_DB|CACHE_DB)$", "int"),
        (r"ENCRYPTION_KEY|FERNET", "base64"),
        (r"(KEY_ID|CLIENT_ID|APP_ID|USERNAME|USER|LOGIN)$", "text"),
        (r"SECRET|(^|_)KEYS?$|TOKEN|PASSW|(^|_)(PASS|PWD|SALT|PEPPER)|CREDENTIAL", "secret"),
        (r"^(ADMINS|MANAGERS)$", "people"),
        (r"HOST(NAME)?$|DOMAIN$|SERVER$|FQDN$", "host"),
        (r"(^|_)E?MAIL(_FROM|_ADDRESS)?$|_FROM$", "email"),
        (r"(PATH|DIR|DIRECTORY|FOLDER|ROOT|FILE)$", "path"),
        (r"(URL|URI|ENDPOINT|WEBHOOK|_SITE)$", "url"),
        (r"TIME_?ZONE$|^TZ$", "time_zone"),
        (r"LEVEL$", "level"),
        (r"LANG(UAGE(_CODE)?)?$|LOCALE$", "language"),
        (r"REGION(_NAME)?$", "region"),
        (r"(JSON|CONFIG)$", "json"),
    ]
]

# What a reader's method or type says about the value ("env.int", "cast=bool", "IntegerValue", "int(...)").
BY_CAST = {
    "bool": "bool",
    "boolean": "bool",
    "booleanvalue": "bool",
    "strtobool": "bool",
    "int": "int",
    "integer": "int",
    "float": "int",
    "decimal": "int",
    "integervalue": "int",
    "positiveintegervalue": "int",
    "floatvalue": "int",
    "list": "hosts",
    "tuple": "hosts",
    "csv": "hosts",
    "split": "hosts",
    "listvalue": "hosts",
    "tuplevalue": "hosts",
    "json": "json",
    "loads": "json",
    "dict": "json",
    "db": "database",
    "db_url": "database",
    "dj_db_url": "database",
    "databaseurlvalue": "database",
    "cache": "cache",
    "cache_url": "cache",
    "cacheurlvalue": "cache",
    "email_url": "smtp",
    "emailurlvalue": "smtp",
    "path": "path",
    "pathvalue": "path",
    "url": "url",
    "urlvalue": "url",
    "uuid": "uuid",
    "emailvalue": "email",
    "log_level": "level",
}

# A name may say more than a type does: a list may be of URLs, a port is an integer of its own kind.
REFINES = {"int": {"port"}, "hosts": {"urls", "people"}, "url": {"cache", "amqp", "dsn", "database"}}


def shape_by_name(name):
    upper = name.upper()
    return next((shape for pattern, shape in BY_NAME if pattern.search(upper)), None)


def shape_of(name, hint=None):
    """The shape to try first; `hint` is the shape that the reading code asks for."""
    by_name = shape_by_name(name)
    if hint and by_name not in REFINES.get(hint, ()):
        return hint
    return by_name or "text"


def is_secret(name):
    return shape_by_name(name) in ("secret", "base64", "dsn", "database", "cache", "amqp", "smtp")
