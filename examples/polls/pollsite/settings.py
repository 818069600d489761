"""Settings, as one class for each place where the site runs."""

import os
import sys
from pathlib import Path

import dj_database_url
from configurations import Configuration, values

PROJECT = Path(__file__).resolve().parent.parent


def database(user=None, password=None):
    """The database: DATABASE_URL when it is set, otherwise PostgreSQL put together from POSTGRES_*.

    `user` and `password` are what to use when their variables are unset; None makes the variable required.
    """
    if os.environ.get("DATABASE_URL"):
        return dj_database_url.config(conn_max_age=60, conn_health_checks=True)

    user = os.environ.get("POSTGRES_USER") or user
    password = os.environ.get("POSTGRES_PASSWORD") or password
    for name, value in (("POSTGRES_USER", user), ("POSTGRES_PASSWORD", password)):
        if not value:
            raise ValueError(f"Set {name}, or DATABASE_URL in place of all POSTGRES_ variables.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "USER": user,
        "PASSWORD": password,
        "HOST": os.environ.get("POSTGRES_HOST", "db"),
        "PORT": os.environ.get("POSTGRES_PORT", "5432"),
        # PostgreSQL itself calls a user's first database like the user.
        "NAME": os.environ.get("POSTGRES_DB", user),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


class Common(Configuration):
    """What is the same everywhere."""

    INSTALLED_APPS = [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "polls",
    ]
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]
    TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
            },
        },
    ]
    ROOT_URLCONF = "pollsite.urls"
    WSGI_APPLICATION = "pollsite.wsgi.application"
    ASGI_APPLICATION = "pollsite.asgi.application"
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

    LANGUAGE_CODE = "en"
    TIME_ZONE = "UTC"
    USE_TZ = True

    STATIC_URL = "/static/"
    STATIC_ROOT = PROJECT / "staticfiles"


class Dev(Common):
    """A developer's machine: everything has a default, errors are shown in the browser."""

    DEBUG = True
    SECRET_KEY = "for-a-developer-machine-only"
    ALLOWED_HOSTS = ["*"]
    INTERNAL_IPS = ["127.0.0.1"]

    # The toolbar refuses to run under the test runner.
    TOOLBAR = "test" not in sys.argv
    if TOOLBAR:
        INSTALLED_APPS = [*Common.INSTALLED_APPS, "debug_toolbar"]
        MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware", *Common.MIDDLEWARE]

    @property
    def DATABASES(self):
        return {"default": database(user="postgres", password="postgres")}


class Production(Common):
    """A server: no debugging, nothing secret has a default."""

    DEBUG = False
    SECRET_KEY = values.SecretValue()  # DJANGO_SECRET_KEY
    ALLOWED_HOSTS = values.ListValue(["localhost", "127.0.0.1"])  # DJANGO_ALLOWED_HOSTS
    CSRF_TRUSTED_ORIGINS = values.ListValue([])  # DJANGO_CSRF_TRUSTED_ORIGINS

    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }

    # Behind a proxy that speaks HTTPS, and says so in this header: DJANGO_HTTPS=yes.
    HTTPS = values.BooleanValue(False)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = values.IntegerValue(0)  # DJANGO_SECURE_HSTS_SECONDS

    @property
    def SECURE_SSL_REDIRECT(self):
        return self.HTTPS

    @property
    def SESSION_COOKIE_SECURE(self):
        return self.HTTPS

    @property
    def CSRF_COOKIE_SECURE(self):
        return self.HTTPS

    @property
    def DATABASES(self):
        return {"default": database()}
