"""What a Python is, as one line of JSON: `python3 -I -S -c THIS`."""

import json
import platform
import sys
import sysconfig

print(
    json.dumps(
        {
            "implementation": sys.implementation.name,
            "version": platform.python_version(),
            "include": sysconfig.get_path("include"),
            "library": sysconfig.get_path("stdlib"),
        }
    )
)
