"""Collects static files into a folder: `collectstatic.py FOLDER`, in the folder of manage.py.

STATIC_ROOT is set to FOLDER where the settings have none or another.
"""

import sys

from through_manage import run

folder = sys.argv[1]


def collect():
    from django.conf import settings

    # Before setup: the storage reads it when it is first used.
    if str(settings.STATIC_ROOT or "") != folder:
        settings.STATIC_ROOT = folder

    import django
    from django.core.management import call_command

    django.setup()
    call_command("collectstatic", interactive=False, verbosity=1)


run(collect, "collectstatic")
