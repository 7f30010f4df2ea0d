"""Numbers for things in a list that stay theirs while others come and go.

A configuration that is run again replaces handlers one for one: each new one takes a number that is
free, and with it the place of an old one. But one that is taken out gives its number to nobody who
was there before.
"""

from __future__ import annotations

import weakref
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

__all__ = ["PlacesInLists"]


class PlacesInLists:
    """Remembers, weakly, which number a thing had in the last listing."""

    def __init__(self) -> None:
        """Know none."""
        self._last: dict[Hashable, dict[int, Callable[[], Any]]] = {}
        self._next: dict[Hashable, dict[int, Callable[[], Any]]] = {}

    def begin(self) -> None:
        """Begin a listing: what it does not ask for is forgotten."""
        self._last, self._next = self._next, {}

    def numbered(self, key: Hashable, things: Iterable[Any]) -> list[tuple[int, Any]]:
        """Return things that are alike, each with its number.

        Args:
            key: of the list and what is alike in it; once in a listing.
            things: in their order.
        """
        before = self._last.get(key, {})
        known = {
            id(thing): number for number, find in before.items() if (thing := find()) is not None
        }
        listed = {id(thing): thing for thing in things}
        kept = {known[one] for one in listed if one in known}
        free = (number for number in count(1) if number not in kept)
        result = [(known.get(one) or next(free), thing) for one, thing in listed.items()]
        self._next[key] = {number: _weakly(thing) for number, thing in result}
        return result


def _weakly(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:  # it goes by its place
        return _nothing


def _nothing() -> None:
    """Be gone."""
