"""What every try needs, loaded once before they are forked: Django's own modules, none of the project's.

None of these asks for the settings while it is imported.
"""

import contextlib
import gc
import importlib
import importlib._bootstrap_external as import_machinery
import os

MODULES = (
    "django.core.management", "django.apps", "django.conf.urls", "django.core.cache", "django.core.checks",
    "django.core.files.storage", "django.core.mail", "django.core.validators", "django.db.migrations",
    "django.db.models", "django.forms", "django.http", "django.middleware.csrf", "django.shortcuts",
    "django.template.response", "django.urls", "django.utils.autoreload", "django.utils.translation",
    "django.views.generic", "django.contrib.auth.hashers", "django.contrib.messages",
    "django.contrib.sessions.backends.base", "logging.config", "zoneinfo",
)  # fmt: skip


def load(base):
    """Does nothing when the project brings a Django of its own, or when there is none: then each try finds out."""
    if any(os.path.exists(os.path.join(base, name)) for name in ("django", "django.py")):
        return
    for name in MODULES:  # not all exist in every version
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the tries share these objects as long as nothing touches them


def keep_bytecode_apart(is_project_file):
    """Bytecode is kept when there is a folder for it, except the project's: what is read is the source itself."""
    find = import_machinery.cache_from_source

    def cache_from_source(path, *arguments, **options):
        if is_project_file(path):
            raise NotImplementedError  # the import goes on without
        return find(path, *arguments, **options)

    import_machinery.cache_from_source = cache_from_source
