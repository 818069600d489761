"""Whether a module can be imported, without importing it."""

import importlib.util
import sys


def has_module(name):
    if name in sys.modules:  # asked first: kombu and celery stand there without a spec
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (Exception, SystemExit):  # a parent is imported for it, and does what it likes
        return False
