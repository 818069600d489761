"""Whether a module can be imported, without importing it."""

import importlib.util
import sys


def has_module(name):
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a parent that is no package; kombu and celery stand in sys.modules without a spec
        return False
