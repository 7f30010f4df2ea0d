"""What libraries have made once and keep: the first is a note, another from the same place is growth."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.references.holders import executor_of, has_seat
from pytest_resource_hygiene.engine.references.made_in_c import is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.stacks import StackReader
    from pytest_resource_hygiene.engine.references.made_in_c import SingletonsInC
    from pytest_resource_hygiene.engine.suspects.groups import Group
    from pytest_resource_hygiene.model import Holder

__all__ = ["Growth"]


class Growth:
    """Remembers what was made at which place.

    Args:
        ledger: to ask what still lives.
        reader: reads creation records.
        in_c: knows which singletons of C extensions are new.
    """

    def __init__(self, ledger: Ledger, reader: StackReader, in_c: SingletonsInC) -> None:
        """Remember nothing yet."""
        self._ledger = ledger
        self._reader = reader
        self._in_c = in_c
        self._made: dict[tuple[object, ...], list[Entry]] = {}

    @contextmanager
    def on_trial(self, window: Owner) -> Iterator[None]:
        """Have what is asked of an owner inside be answered the same way once more."""
        made = self._made.copy()
        try:
            with self._in_c.keeping(window):
                yield
        finally:
            self._made = made

    def note_unless_grown(self, group: Group, *more: object) -> None:
        """Make the group a note, unless its place has made one before that still lives.

        Args:
            group: made by a library.
            more: what else tells its place from others.
        """
        key = (*more, *self._key(group))
        owner = group.primary.owner
        # What was caught in the act, as its loop was closed, was there all the same.
        earlier = [
            one
            for one in self._made.get(key, ())
            if one.owner is owner or self._ledger.is_live(one)
        ]
        self._made[key] = [*earlier, *group.entries]
        alike = [one for one in self._made[key] if one.tracker is group.primary.tracker]
        if earlier and not self._have_seats(alike) and not self._are_of_one_pool(alike):
            group.why = "made again at a place that made one before: it grows"
        else:
            group.severity = "note"

    def _key(self, group: Group) -> tuple[object, ...]:
        made: object = None
        if group.primary.creation is None:
            made = group.holder
        elif not group.site:
            made = self._reader.origin(group.primary.creation)
        # Not by names: two classes of a library have a method `start` each, and a singleton each.
        site = tuple(self._reader.library_codes(group.primary.creation))
        return group.primary.tracker.kind, site, made

    def _have_seats(self, entries: list[Entry]) -> bool:
        """Return whether each is a singleton of its own, e.g. one for each class of a library."""
        objects = [self._ledger.anchor_of(one) for one in entries]
        with self._ledger.recorder.mute():
            return all(one is not None and has_seat(one) for one in objects)

    def _are_of_one_pool(self, entries: list[Entry]) -> bool:
        """Return whether all are workers of one executor, which has as many as it may have."""
        if any(entry.tracker.kind != "threads" for entry in entries):
            return False
        objects = [self._ledger.anchor_of(one) for one in entries]
        with self._ledger.recorder.mute():
            pools = [executor_of(one) if one is not None else None for one in objects]
        return pools[0] is not None and all(one is pools[0] for one in pools)

    def excuse_made_in_c(self, groups: list[Group], window: Owner) -> None:
        """Excuse what C code opened for a singleton that has come in the same window."""
        if not any(is_unseen(group.primary) for group in groups):
            return
        new = self._in_c.new_of(window)
        unseen = [one for one in groups if is_unseen(one.primary) and one.severity == "fail"]
        if not new or not unseen:
            return
        # Nothing tells which of several it is for: one that has made nothing yet is no growth.
        holder = next((one for one in new if not self._made_for(one)), new[0])
        earlier = self._made_for(holder)
        made = (one for group in unseen for one in group.entries)
        self._made[_in_c(holder)] = [*earlier, *made]
        for group in unseen:
            group.holder = holder
            if earlier:
                group.why = "made again for a singleton of a C extension: it grows"
            else:
                group.severity = "note"
                group.why = "opened by C code for a singleton, which its library keeps"

    def _made_for(self, holder: Holder) -> list[Entry]:
        """Return what C code has opened for a singleton earlier, and is still open."""
        return [one for one in self._made.get(_in_c(holder), ()) if self._ledger.is_live(one)]


def _in_c(holder: Holder) -> tuple[object, ...]:
    return "in C", *holder.path
