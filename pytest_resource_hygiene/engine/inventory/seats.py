"""Seats that were taken and are free: of what is closed and opened again, and nobody's leak.

What the pool of the whole session closes between two tests and opens again in the next is not the
next one's, and will be closed and opened again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["Seats"]


class Seats:
    """Counts the free seats of each kind; see `Tracker.seat`."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        """Have none free.

        Args:
            ask: see `Ledger.ask`.
        """
        self._ask = ask
        # Of what the session had open before any test, and of what was reported already, though
        # nobody saw it opened.
        self._free: Counter[tuple[Tracker, Hashable]] = Counter()
        self._free_unseen: Counter[tuple[Tracker, Hashable]] = Counter()

    def _seat_of(self, entry: Entry) -> Hashable | None:
        tracker = entry.tracker
        seat: Hashable | None = self._ask(tracker, "naming a seat", None, tracker.seat, entry.key)
        return seat

    def leave(self, entry: Entry) -> None:
        """Count the seat of what is gone as free, if it may be taken again."""
        if entry.owner is None:
            free = self._free
        elif entry.owner.closed and entry.creation is None:
            free = self._free_unseen
        else:
            return
        seat = self._seat_of(entry)
        if seat is not None:
            free[entry.tracker, seat] += 1

    def take(self, entry: Entry) -> bool:
        """Return whether an entry replaces what the session had open; if so, it is the session's."""
        seat = self._seat_of(entry) if entry.change == "added" else None
        if seat is None:
            return False
        place = entry.tracker, seat
        seats = self._free if self._free[place] else self._free_unseen
        if not seats[place] or (seats is not self._free and entry.creation):
            return False
        seats[place] -= 1
        entry.give_to(None)
        return True
