"""Takes a test's arguments away while it is judged, and gives back those that live on.

What only they keep was never leaked: pytest drops them after the last report. But hooks of others may
look at them until then, such as one that takes a picture of a page when the teardown is reported.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PLAIN", "put_back", "take"]

_TAKEN = pytest.StashKey[dict[str, "weakref.ref[Any]"]]()
PLAIN = frozenset({str, bytes, int, float, complex, bool, type(None)})
"""Classes of what keeps nothing."""


def take(item: pytest.Item | None, leads: Callable[[Any], bool]) -> None:
    """Drop the arguments that may keep a suspect."""
    arguments = getattr(item, "funcargs", None)
    if item is None or not isinstance(arguments, dict):
        return
    taken = item.stash.setdefault(_TAKEN, {})
    for name, value in list(arguments.items()):
        if type(value) in PLAIN or not leads(value):
            continue
        try:
            taken[name] = weakref.ref(value)
        except TypeError:  # such as a list: whether anything else has it, nobody tells
            taken.pop(name, None)
        del arguments[name]


def put_back(item: pytest.Item | None) -> None:
    """Give back what has been taken and is still there."""
    taken = item.stash.get(_TAKEN, None) if item is not None else None
    arguments = getattr(item, "funcargs", None)
    if not taken or not isinstance(arguments, dict):
        return
    for name, reference in taken.items():
        value = reference()
        if value is not None:
            arguments[name] = value
    taken.clear()
