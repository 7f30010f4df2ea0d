"""The parts in C, if they were compiled for this interpreter; each has its twin in Python.

The environment variable ``RESOURCE_HYGIENE_PURE_PYTHON`` leaves them out.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["speedups"]

_NAME = "pytest_resource_hygiene._speedups"
_INTERFACE = 14  # the same as in the source; a checkout may keep what an older one was compiled to


def _load() -> ModuleType | None:
    if os.environ.get("RESOURCE_HYGIENE_PURE_PYTHON"):
        return None
    try:
        module = importlib.import_module(_NAME)
    except ImportError:  # no compiler was there, or this is an interpreter within another
        return None
    return module if getattr(module, "INTERFACE", None) == _INTERFACE else None


speedups = _load()
