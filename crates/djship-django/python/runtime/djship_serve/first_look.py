"""`djship run --try`: an image that is ready for the internet, looked at on http://localhost.

With DJSHIP_TRY=1, and for that run only: localhost is among the allowed hosts, and nothing asks for HTTPS.
The settings are changed when Django builds its request handler: they are complete by then, and no middleware
has read them yet. (`start` says so, once for all server processes.)
"""

import os

HOSTS = ["localhost", "127.0.0.1", "[::1]"]
HTTPS_ONLY = ["SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"]


def relax(settings):
    if "*" not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, *HOSTS]
    for name in HTTPS_ONLY:
        if getattr(settings, name, False):
            setattr(settings, name, False)


def prepare():
    if os.environ.get("DJSHIP_TRY") != "1":
        return
    from django.core.handlers.base import BaseHandler

    load_middleware = BaseHandler.load_middleware

    def relax_then_load(self, *args, **kwargs):
        from django.conf import settings

        relax(settings)
        return load_middleware(self, *args, **kwargs)

    BaseHandler.load_middleware = relax_then_load
