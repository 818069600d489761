"""What a variable's name says: which service it is about, and which part of its address."""

import re

DATABASE = r"DB|DATABASES?|SQL|POSTGRES(?:QL)?|POSTGIS|PG(?:SQL)?|MYSQL|MARIADB|RDS"
REDIS = r"REDIS|VALKEY|CACHE|CHANNELS?|CHANNEL_LAYERS?|BROKER|CELERY|QUEUE|HUEY|RQ"
SERVICES = [
    ("memcached", r"MEMCACHED?"),
    ("amqp", r"RABBIT(?:_?MQ)?|AMQP|MQ"),
    ("smtp", r"E?MAIL|SMTP"),
    ("redis", REDIS),
    ("database", DATABASE),
]
PARTS = [
    ("url", r"URLS?|URI|DSN|LOCATION"),
    ("virtual_host", r"V_?HOST|VIRTUAL_HOST"),
    ("host", r"HOST|HOSTNAME|HOST_?NAME|SERVERS?|ADDR|ADDRESS"),
    ("port", r"PORT(?:_NUMBER)?"),
    ("user", r"(?:HOST_)?USER(?:NAME|_NAME)?|LOGIN|USR"),
    ("password", r"(?:HOST_)?PASS(?:WORD|WD)?|PWD|PW|SECRET"),
    ("engine", r"ENGINE|TYPE|DRIVER|ADAPTER|VENDOR|DIALECT"),
    ("name", r"NAME|DB|DATABASE|DBNAME|DB_NAME|DATABASE_NAME"),
]
# Other databases and services with words of these families in their names.
FOREIGN = re.compile(
    r"MONGO|CLICKHOUSE|ELASTIC|INFLUX|NEO4J|LDAP|TEST|CASSANDRA|ORACLE|MSSQL|SNOWFLAKE|BIGQUERY|SQLITE|ARANGO|DYNAMO|IMAP|POP3"
)
PATTERNS = [
    (service, part, re.compile(rf"(?:^|_)(?:{family})(?:_\w+?)??_?(?:{words})$"))
    for service, family in SERVICES
    for part, words in PARTS
]


def family_of(name):
    """(service, part) such as ("redis", "host"), or None. The service "database" is any of them."""
    upper = name.upper()
    if FOREIGN.search(upper):
        return None
    if upper in ("DB", "DATABASE"):
        return "database", "name"
    return next(((service, part) for service, part, pattern in PATTERNS if pattern.search(upper)), None)
