"""One kind of resource a file; a file dropped into this folder is found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["built_in_trackers", "kind_names"]


def kind_names() -> list[str]:
    """Return the names of the kinds in this folder, in alphabetical order."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def built_in_trackers(kinds: frozenset[str] | None = None) -> list[Tracker]:
    """Make one tracker of each built-in kind, or of those named; others are not imported."""
    trackers = []
    for name in kind_names():
        if kinds is None or name in kinds:
            module = importlib.import_module(f"{__name__}.{name}")
            trackers.append(module.make_tracker())
    return trackers
