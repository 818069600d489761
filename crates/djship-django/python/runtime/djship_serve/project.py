"""The project's application, as /opt/djship/app.json describes it.

app.json, written at build time:
    settings_module   "site.settings"
    configuration     "Production", with django-configurations, otherwise null
    wsgi, asgi        "site.wsgi:application", or null where the project has none
    static            {"whitenoise": true, "root": "/app/staticfiles", "url": "/static/"}, or null
"""

import importlib
import json
import os
from functools import wraps
from pathlib import Path
from urllib.parse import urlsplit

from . import first_look

APP_FILE = Path(__file__).resolve().parents[2] / "app.json"


def read_app():
    return json.loads(APP_FILE.read_text(encoding="utf-8"))


def load_application(app, kind):
    """The WSGI or ASGI application (`kind`: "wsgi" or "asgi"): the project's own, otherwise Django's plain one."""
    first_look.prepare()
    prepare_static_root(app)
    if app.get(kind):
        # The project's own module decides about settings, as it does everywhere else.
        module, _, attribute = app[kind].partition(":")
        return getattr(importlib.import_module(module), attribute or "application")

    if app.get("settings_module"):
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", app["settings_module"])
    package = f"django.core.{kind}"
    if app.get("configuration"):
        os.environ.setdefault("DJANGO_CONFIGURATION", app["configuration"])
        package = f"configurations.{kind}"
    return getattr(importlib.import_module(package), f"get_{kind}_application")()


def prepare_static_root(app):
    """STATIC_ROOT is where the image has the collected files, whatever the settings say or leave out.

    The settings are changed when Django is set up: they are complete by then, and neither an application, a
    storage nor WhiteNoise's middleware has read them yet.
    """
    root = (app.get("static") or {}).get("root")
    if not root:
        return
    import django

    set_up = django.setup

    @wraps(set_up)
    def set_root_then_set_up(*args, **kwargs):
        from django.conf import settings

        found = settings.STATIC_ROOT
        if not found or os.path.abspath(found) != os.path.abspath(root):
            # What was a Path stays one: the project may join names to it.
            settings.STATIC_ROOT = Path(root) if isinstance(found, Path) else root
        return set_up(*args, **kwargs)

    django.setup = set_root_then_set_up


def static_prefix(app):
    """The path below which static files are served: what the templates link to now, not at build time."""
    from django.conf import settings

    url = getattr(settings, "STATIC_URL", None) or app["static"].get("url") or "/static/"
    return "/" + urlsplit(url).path.strip("/") + "/"
