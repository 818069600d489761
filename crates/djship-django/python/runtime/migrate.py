"""Runs the project's migrations, one container at a time: `migrate.py [ARGUMENT of manage.py migrate...]`.

Several containers started together would otherwise migrate at once. The lock belongs to a connection of its
own, so it ends with this process, however that ends: PostgreSQL's advisory session lock, MySQL's GET_LOCK;
other databases have none. (Behind a pooler that shares sessions, point DATABASE_URL at the server itself.)
"""

import contextlib
import hashlib
import json
import os
import runpy
import sys
import time

# Any fixed number will do, as long as nothing else locks it: the first eight bytes of a digest.
KEY = int.from_bytes(hashlib.sha256(b"djship migrate").digest()[:8], "big", signed=True)


def say(text):
    print(f"djship: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def postgresql_lock(cursor, database):
    # Asked again and again: a statement that waits in the server keeps its snapshot, and the other container's
    # CREATE INDEX CONCURRENTLY would wait for that one to end. For the same reason, outside any transaction.
    cursor.db.set_autocommit(True)
    waiting = False
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [KEY])
        if cursor.fetchone()[0]:
            break
        if not waiting:
            say("another container is migrating this database; waiting for it")
            waiting = True
        time.sleep(1)
    yield


@contextlib.contextmanager
def mysql_lock(cursor, database):
    # GET_LOCK's names belong to the whole server and have 64 characters at most.
    name = "djship-migrate-" + hashlib.sha256(database.encode()).hexdigest()[:32]
    seconds = 0
    while True:
        cursor.execute("SELECT GET_LOCK(%s, %s)", [name, seconds])
        if cursor.fetchone()[0] == 1:
            break
        if seconds == 0:
            say("another container is migrating this database; waiting for it")
        seconds = 60
    yield


LOCKS = {"postgresql": postgresql_lock, "mysql": mysql_lock}


@contextlib.contextmanager
def migration_lock(alias):
    from django.db import connections

    connection = connections[alias].copy(alias)
    lock = LOCKS.get(connection.vendor)
    if lock is None:
        yield
        return
    try:
        with connection.cursor() as cursor, lock(cursor, str(connection.settings_dict.get("NAME"))):
            yield
    finally:
        connection.close()


def database_alias(arguments):
    """The alias that `migrate` itself will work on."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--database="):
            return argument.partition("=")[2]
        if argument == "--database" and position + 1 < len(arguments):
            return arguments[position + 1]
    return "default"


def run_migrate(arguments):
    import django
    from django.core.management import ManagementUtility

    django.setup()
    with migration_lock(database_alias(arguments)):
        ManagementUtility(["manage.py", "migrate", "--noinput", *arguments]).execute()


def main():
    arguments = sys.argv[1:]
    sys.path[0] = os.getcwd()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.json"), encoding="utf-8") as file:
        app = json.load(file)

    # manage.py may do more than name the settings (load a file, change the path): it is run, and only what
    # it hands over to Django at its end is ours.
    manage = app.get("manage") or "manage.py"
    if os.path.isfile(manage):
        import django.core.management as management

        management.execute_from_command_line = lambda argv=None: run_migrate(arguments)
        sys.argv = ["manage.py", "migrate", *arguments]
        runpy.run_path(manage, run_name="__main__")
    else:
        if app.get("settings_module"):
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", app["settings_module"])
        run_migrate(arguments)


if __name__ == "__main__":
    main()
