"""One rule a file, found by the name of the file; nothing else has to be told of a new one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.lint.rule import Rule

__all__ = ["all_rules"]


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return the rules, by code."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name[:2] == "rh")
    return tuple(importlib.import_module(f"{__name__}.{name}").RULE for name in names)
