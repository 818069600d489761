#!/usr/bin/env python
"""The site's command line: migrations, tests, the development server."""

import os
import sys

if __name__ == "__main__":
    production = os.environ.get("ENVIRONMENT") == "PRODUCTION"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pollsite.settings")
    os.environ.setdefault("DJANGO_CONFIGURATION", "Production" if production else "Dev")

    from configurations.management import execute_from_command_line

    execute_from_command_line(sys.argv)
