"""Keeps pyfakefs away from our own modules: they look at the real process under any file system.

While a fake one is on, whatever is imported gets it, and is imported once more when it is off: two
classes of one name, neither of which is an instance of the other. So all of our modules that are
otherwise loaded when they are needed are loaded before, and pyfakefs is told to leave them alone.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

import pytest_resource_hygiene
from pytest_resource_hygiene import engine, pytest_plugin, reports, trackers

__all__ = ["tell_pyfakefs"]


def tell_pyfakefs() -> None:
    """Load our modules, and have pyfakefs skip them."""
    from pyfakefs.fake_filesystem_unittest import Patcher

    for package in (engine, trackers, reports, pytest_plugin):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)
    own = f"{pytest_resource_hygiene.__name__}."
    Patcher.SKIPMODULES.update(
        module for name, module in sys.modules.items() if name.startswith(own)
    )
