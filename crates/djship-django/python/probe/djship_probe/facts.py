"""Facts from the live settings, collected in the child once they are imported."""

import glob
import os
import sys

from .modules import has_module

PARTS = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD")


def collect(plan, is_set_up, celery=None):
    import django
    from django.conf import settings

    base = plan["base"]
    databases = {
        alias: {part: text(database.get(part)) for part in PARTS} for alias, database in settings.DATABASES.items()
    }
    facts = {
        "debug": bool(settings.DEBUG),
        "django_version": django.get_version(),
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "installed_apps": [str(app) for app in settings.INSTALLED_APPS],
        "middleware": [str(m) for m in settings.MIDDLEWARE],
        "allowed_hosts": [str(h) for h in settings.ALLOWED_HOSTS],
        "wsgi": application(base, settings, "wsgi"),
        "asgi": application(base, settings, "asgi"),
        "static": static_files(base, settings, is_set_up),
        "media_root": folder(base, settings.MEDIA_ROOT),
        "databases": databases,
        "folders": written_folders(base, settings),
        "celery": uses_celery(plan["root"], settings),
        "configurations": configurations(),
        "secrets": secrets(settings),
    }
    if plan["develop"]:
        facts.update(for_development(settings, celery))
    elif celery:
        facts.update(celery_app=celery, beat=has_schedule(settings))
    return facts


def has_schedule(settings):
    return bool(getattr(settings, "CELERY_BEAT_SCHEDULE", None) or getattr(settings, "CELERYBEAT_SCHEDULE", None))


def for_development(settings, celery):
    from . import endpoints

    return {
        "endpoints": endpoints.collect(settings, celery),
        "celery_app": celery,
        "beat": has_schedule(settings),
        "engines": {alias: has_engine(database) for alias, database in settings.DATABASES.items()},
        "tls": {alias: tls_mode(database) for alias, database in settings.DATABASES.items()},
        "names_databases": settings.is_overridden("DATABASES"),
        "https_only": bool(settings.SECURE_SSL_REDIRECT),
        "mail_tls": mail_tls(settings),
        "channels": version_of("channels"),
    }


def mail_tls(settings):
    mailers = getattr(settings, "MAILERS", None)
    if mailers:
        options = [mailer.get("OPTIONS") or {} for mailer in mailers.values()]
        return any(one.get("use_tls") or one.get("use_ssl") for one in options)
    return bool(getattr(settings, "EMAIL_USE_TLS", False) or getattr(settings, "EMAIL_USE_SSL", False))


def has_engine(database):
    try:
        engine = str(database.get("ENGINE")).removesuffix("_psycopg2")  # Django still knows that name
        return has_module(f"{engine}.base")
    except Exception:  # a package on the way that is not there, or wants what is not there
        return False


def tls_mode(database):
    return text((database.get("OPTIONS") or {}).get("sslmode"))


def version_of(distribution):
    import importlib.metadata

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def text(value):
    return "" if value is None else str(value)


def folder(base, value):
    return os.path.abspath(os.path.join(base, os.fspath(value))) if value else None


def application(base, settings, kind):
    """ "package.wsgi:application": what the settings name, else the module beside the settings, else any."""
    named = getattr(settings, f"{kind.upper()}_APPLICATION", None)
    if named and "." in str(named):
        module, _, attribute = str(named).rpartition(".")
        return f"{module}:{attribute}"
    package = (os.environ._data.get(b"DJANGO_SETTINGS_MODULE", b"").decode()).split(".")[0]
    files = [os.path.join(base, package, f"{kind}.py"), *sorted(glob.glob(os.path.join(base, "*", f"{kind}.py")))]
    for file in [*files, os.path.join(base, f"{kind}.py")]:
        if "application" in source_of(file):
            return os.path.relpath(file, base)[:-3].replace(os.sep, ".") + ":application"
    return None


def source_of(file):
    if not os.path.isfile(file):
        return ""
    with open(file, encoding="utf-8", errors="replace") as text:
        return text.read()


def static_files(base, settings, is_set_up):
    backend = (getattr(settings, "STORAGES", None) or {}).get("staticfiles", {}).get("BACKEND")
    backend = backend or getattr(settings, "STATICFILES_STORAGE", None)
    wsgi = application(base, settings, "wsgi")
    by_whitenoise = any("whitenoise" in str(m).lower() for m in settings.MIDDLEWARE) or names_whitenoise(base, wsgi)
    return {
        "root": folder(base, settings.STATIC_ROOT),
        "url": settings.STATIC_URL,
        "storage": backend,
        "app": any(str(app).startswith("django.contrib.staticfiles") for app in settings.INSTALLED_APPS),
        "served_by": "whitenoise" if by_whitenoise else None,
        "file_system": is_file_system(backend) if is_set_up else None,
    }


def names_whitenoise(base, target):
    file = os.path.join(base, *(target or "").partition(":")[0].split(".")) + ".py"
    return "whitenoise" in source_of(file).lower()


def is_file_system(backend):
    from django.core.files.storage import FileSystemStorage
    from django.utils.module_loading import import_string

    try:
        return issubclass(import_string(backend), FileSystemStorage)
    except Exception:
        return None


def written_folders(base, settings):
    """[(folder, why)] that Django itself will write to, by the settings."""
    found = []

    def add(value, why):
        if isinstance(value, (str, os.PathLike)) and os.fspath(value):
            found.append((folder(base, value), why))

    add(settings.MEDIA_ROOT, "MEDIA_ROOT")
    for alias, database in settings.DATABASES.items():
        name = os.fspath(database.get("NAME") or "") if str(database.get("ENGINE", "")).find("sqlite") >= 0 else ""
        name = name.removeprefix("file:").partition("?")[0]
        if name and ":memory:" not in name and "mode=memory" not in name:
            file = os.path.join(base, name)
            add(os.path.dirname(file), f"SQLite file {os.path.basename(file)} of DATABASES[{alias!r}]")
    for alias, cache in (getattr(settings, "CACHES", None) or {}).items():
        if "filebased" in str(cache.get("BACKEND", "")):
            add(cache.get("LOCATION"), f"files of CACHES[{alias!r}]")
    for name, handler in ((getattr(settings, "LOGGING", None) or {}).get("handlers") or {}).items():
        file = handler.get("filename") if isinstance(handler, dict) else None
        if isinstance(file, (str, os.PathLike)):
            file = os.path.join(base, os.fspath(file))
            add(os.path.dirname(file), f"log file {os.path.basename(file)} of LOGGING handler {name!r}")
    for setting in ("SESSION_FILE_PATH", "EMAIL_FILE_PATH", "FILE_UPLOAD_TEMP_DIR"):
        add(getattr(settings, setting, None), setting)
    return found


def uses_celery(root, settings):
    if not has_module("celery"):
        return False
    named = any(name.startswith("CELERY") for name in dir(settings))
    return named or "celery" in sys.modules or bool(glob.glob(os.path.join(root, "**", "celery.py"), recursive=True))


def configurations():
    """Names of the configuration classes in the settings module."""
    base = getattr(sys.modules.get("configurations"), "Configuration", None)
    module = sys.modules.get((os.environ._data.get(b"DJANGO_SETTINGS_MODULE", b"")).decode())
    if base is None or module is None:
        return []
    return sorted(
        n
        for n, c in vars(module).items()
        if isinstance(c, type) and issubclass(c, base) and c.__module__ == module.__name__
    )


def secrets(settings):
    """Values that no message may repeat."""
    found = [
        settings.SECRET_KEY,
        *getattr(settings, "SECRET_KEY_FALLBACKS", []),
        getattr(settings, "EMAIL_HOST_PASSWORD", None),
    ]
    found += [database.get("PASSWORD") for database in settings.DATABASES.values()]
    return sorted({str(s) for s in found if s and len(str(s)) >= 6})
