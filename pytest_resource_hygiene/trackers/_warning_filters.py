"""The list of warning filters: one slot, for what counts is all of it and its order."""

from __future__ import annotations

import warnings
from typing import Any

from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._warning_spy import is_spy

__all__ = ["FILTERS", "describe_filters", "list_filters", "put_back_filters"]

FILTERS = "warnings.filters"


def list_filters() -> tuple[Any, ...]:
    """Return the filters but for our own, which matches nothing and hears everything."""
    return tuple(one for one in warnings.filters if not is_spy(one))


def put_back_filters(old: tuple[Any, ...]) -> None:
    """Have these filters in force, behind our own."""
    filters: Any = warnings.filters
    filters[:] = [*(one for one in filters if is_spy(one)), *old]
    mutated = getattr(warnings, "_filters_mutated", None)
    if mutated is not None:  # what was decided by the other filters is cached
        mutated()


def describe_filters(value: tuple[Any, ...], old: tuple[Any, ...] | None) -> Description:
    """Say which filters were added, and which removed."""
    before = old or ()
    added = [_shown(entry) for entry in value if entry not in before]
    gone = [_shown(entry) for entry in before if entry not in value]
    words = [f"{', '.join(added)} added"] if added else []
    words += [f"{', '.join(gone)} removed"] if gone else []
    return Description(
        summary=f"{FILTERS}: {'; '.join(words) or 'order changed'}",
        target=f"{FILTERS} {', '.join(added or gone)}".strip(),
        details={"added": added, "removed": gone},
        hint="change filters in a `with warnings.catch_warnings():` block",
    )


def _shown(entry: Any) -> str:
    """Write a filter as the command line takes it: ``action:message:category:module:line``."""
    action, message, category, module, line = entry
    texts = [action, getattr(message, "pattern", message) or "", category.__name__]
    if module or line:
        texts.append(getattr(module, "pattern", module) or "")
    return ":".join([*texts, str(line)] if line else texts)
