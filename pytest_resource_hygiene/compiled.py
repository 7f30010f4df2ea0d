"""The parts in C, if they were compiled for this interpreter; each has its twin in Python.

The environment variable ``RESOURCE_HYGIENE_PURE_PYTHON`` leaves them out.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["speedups"]

speedups: ModuleType | None = None

if not os.environ.get("RESOURCE_HYGIENE_PURE_PYTHON"):
    # It is missing where no compiler was, and refuses an interpreter within another.
    with suppress(ImportError):
        speedups = importlib.import_module("pytest_resource_hygiene._speedups")
