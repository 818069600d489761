"""Runs a function where manage.py would run a command: what manage.py does before that (load a file, change the
path, choose settings, install an importer) has then happened as it always does."""

import os
import runpy
import sys

import django.core.management as management


def run(function, command):
    """Calls `function` in place of `manage.py COMMAND`, in the current folder."""
    management.execute_from_command_line = lambda argv=None: function()
    sys.path[0] = os.getcwd()
    sys.argv = ["manage.py", command]
    runpy.run_path("manage.py", run_name="__main__")
