"""One kind of resource a file; a file dropped into this folder is found by its name."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["built_in_trackers", "default_kinds", "kind_names"]

# Their trackers say the same by ``severity``, but which are on is asked before any is imported.
_OFF_BY_DEFAULT = frozenset({"environment", "memory", "temp_paths"})


@cache
def kind_names() -> tuple[str, ...]:
    """Return the names of the kinds in this folder, in alphabetical order."""
    names = set()
    with suppress(OSError):
        files = os.listdir(__path__[0])  # noqa: PTH208 - nothing else here needs pathlib
        names = {file.removesuffix(".py") for file in files if file.endswith(".py")}
    if not names:  # the package lies in an archive, or was installed without its sources
        import pkgutil

        names = {module.name for module in pkgutil.iter_modules(__path__)}
    return tuple(sorted(name for name in names if not name.startswith("_")))


def default_kinds() -> frozenset[str]:
    """Return the names of the built-in kinds that are on unless somebody says otherwise."""
    return frozenset(kind_names()) - _OFF_BY_DEFAULT


def built_in_trackers(kinds: frozenset[str] | None = None) -> list[Tracker]:
    """Make one tracker of each built-in kind, or of those named; others are not imported."""
    trackers = []
    for name in kind_names():
        if kinds is None or name in kinds:
            module = importlib.import_module(f"{__name__}.{name}")
            trackers.append(module.make_tracker())
    return trackers
