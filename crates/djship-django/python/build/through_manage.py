"""Runs a function where manage.py would run a command: what manage.py does before that (load a file, change the
path, choose settings, install an importer) has then happened as it always does."""

import os
import runpy
import sys


def record_reads():
    """Before any code of the project runs: what this step depends on, when the caller asks for it (reads.py)."""
    if "DJSHIP_READS" in os.environ:
        try:
            import reads
        except ImportError:
            return
        reads.start()


def run(function, command):
    """Calls `function` in place of `manage.py COMMAND`, in the current folder."""
    record_reads()
    import django.core.management as management

    management.execute_from_command_line = lambda argv=None: function()
    sys.path[0] = os.getcwd()
    sys.argv = ["manage.py", command]
    runpy.run_path("manage.py", run_name="__main__")
