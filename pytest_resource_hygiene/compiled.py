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

speedups: ModuleType | None = None

if not os.environ.get("RESOURCE_HYGIENE_PURE_PYTHON"):
    try:
        speedups = importlib.import_module("pytest_resource_hygiene._speedups")
    except ImportError:  # no compiler was there, or this is an interpreter within another
        pass
