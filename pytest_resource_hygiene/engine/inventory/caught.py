"""What trackers caught in the act, because it is gone when its owner is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.engine.inventory.told import is_about

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.tracker import Captured, Tracker

__all__ = ["take_caught", "told_once"]


def take_caught(ledger: Ledger, owner: Owner) -> list[Entry]:
    """Take what an owner is to be judged with, as entries owned by whoever made them."""
    entries = [_entry_of(ledger, *one, owner) for one in owner.caught]
    owner.caught = ()
    return entries


def _entry_of(ledger: Ledger, tracker: Tracker, item: Captured, nodeid: str, owner: Owner) -> Entry:
    maker = _maker(ledger, tracker, item, owner)
    if maker is not owner:
        nodeid = maker.nodeid or nodeid
    entry = Entry(
        tracker,
        item.key,
        item.value,
        owner=maker,
        creation=item.creation,
        change=item.change,
        made_during=nodeid,
    )
    entry.description = item.description
    entry.severity, entry.code = item.severity, item.code
    if item.abandoned and entry.is_gone:
        entry.severity = "note"
    entry.waited = item.waited
    return entry


def _maker(ledger: Ledger, tracker: Tracker, item: Captured, owner: Owner) -> Owner:
    """Charge whoever made it, though he may have ended before it was seen.

    A dropped file is freed at any time; what a fixture left on a wider loop is there when the
    loop is closed.
    """
    known: Owner | None = item.creation.owner if item.creation is not None else None
    if known is None or (tracker.kind != "unclosed" and known.info.type != "fixture"):
        return owner
    return ledger.attribution.owner_of(item.creation, known) or owner


def told_once(
    caught: list[Entry], left: list[Entry], freed: list[Entry]
) -> tuple[list[Entry], list[Entry]]:
    """Tell nothing twice.

    Args:
        caught: in the act.
        left: what the ledger has after the grace period.
        freed: what only the collector freed.

    Returns:
        Of what was caught, what the ledger does not have as well, without the warnings about what
        the collector freed; and of what was freed, what was not caught in the act.
    """
    in_the_act = {entry.key for entry in caught}
    freed = [entry for entry in freed if entry.key not in in_the_act]
    listed = {entry.key for entry in left}
    collected = {entry.creation.stack for entry in freed if entry.creation is not None}
    others = [one for one in [*left, *freed] if one.tracker.kind == "processes"]
    others += [one for one in freed if one.tracker.kind == "loops"]

    def is_known(warning: Entry) -> bool:
        made = warning.creation
        if made is not None and made.stack in collected:
            return True
        return any(is_about(warning, one) for one in others)

    told = [
        entry
        for entry in caught
        if entry.key not in listed and not (entry.tracker.kind == "unclosed" and is_known(entry))
    ]
    return told, freed
