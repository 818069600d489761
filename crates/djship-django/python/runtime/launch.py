"""Runs a module of what djship supplies, as `python -m` would: `launch.py MODULE [ARGUMENT...]`.

The project's own folder comes first on the path, /opt/djship/lib last: a package that the project installs
itself always wins over a supplied one, and /venv stays as it was installed.
"""

import importlib.util
import os
import runpy
import sys

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: launch.py MODULE [ARGUMENT...]")
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.getcwd()
    sys.path.append(os.path.join(here, "lib"))
    del sys.argv[0]
    module = sys.argv[0]
    if module == "gunicorn" and importlib.util.find_spec("gunicorn.__main__") is None:
        module = "gunicorn.app.wsgiapp"  # before version 20.1
    runpy.run_module(module, run_name="__main__", alter_sys=True)
