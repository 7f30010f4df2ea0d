"""The far ends of connections that others hold open: no fault of the fixture that serves them.

A client that a test forgets keeps the server's side busy: its socket, the thread or task that waits
for the next request, a timer. The leak is told at the test; who has set up the server could end
none of it. So does a client of a fixture that is torn down after the server's; it is judged then.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.reachable import reachable
from pytest_resource_hygiene.objects import attribute_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_resource_hygiene.engine.entries import Entry
    from pytest_resource_hygiene.engine.ledger import Ledger
    from pytest_resource_hygiene.engine.owners import Owner

__all__ = ["far_ends"]

_KIND = "sockets"
_NEAR = 2_000  # objects within which something belongs to a connection
_SERVING = frozenset({"threads", "tasks", "timers"})


def far_ends(suspects: Iterable[Entry], fixture: Owner, ledger: Ledger) -> dict[Entry, Owner]:
    """Return what serves connections that others hold open, and who does.

    Args:
        suspects: what a wider fixture is asked about.
        fixture: its owner; what it has made in its own setup is its own in any case.
        ledger: knows the sockets that were reported already, and those of other fixtures.
    """
    made_later = [
        entry
        for entry in suspects
        if entry.creation is None or entry.creation.window is not fixture
    ]
    sockets = [entry for entry in made_later if entry.tracker.kind == _KIND]
    if not sockets:
        return {}
    left = _held_open(ledger, fixture)
    found = {entry: left[far] for entry in sockets if (far := _ends(entry)[::-1]) in left}
    return found | dict(_serving(made_later, found, ledger)) if found else {}


def _ends(entry: Entry) -> tuple[str, ...]:
    return entry.tracker.ends(entry.key, entry.value) or ()


def _held_open(ledger: Ledger, fixture: Owner) -> dict[tuple[str, ...], Owner]:
    """Return the connections that were judged with somebody else or will be, by their addresses."""
    left = {}
    for shelf in ledger.shelves:
        for entry in shelf.entries.values() if shelf.tracker.kind == _KIND else ():
            owner = entry.owner
            if owner is None or owner is fixture or entry.severity == "note":
                continue  # a far end itself excuses nobody
            if owner.closed or owner.info.type == "fixture":
                left[_ends(entry)] = owner
    left.pop((), None)
    return left


def _serving(
    suspects: Iterable[Entry], sockets: dict[Entry, Owner], ledger: Ledger
) -> Iterator[tuple[Entry, Owner]]:
    """Yield the threads, tasks and timers that have one of these sockets at hand."""
    found = {entry: ledger.anchor_of(entry) for entry in sockets}  # alive, so that ids stay theirs
    anchors = {id(anchor): entry for entry, anchor in found.items() if anchor is not None}
    numbers = {entry.value: entry for entry in sockets}
    for entry in suspects:
        if entry.tracker.kind in _SERVING:
            thing = ledger.anchor_of(entry)
            held = reachable([thing, *_locals(thing)], anchors, numbers, _NEAR, loops=())
            for one in held:
                yield entry, sockets[anchors.get(one) or numbers[one]]
                break


def _locals(thread: Any) -> Iterator[Any]:
    """Yield what the functions have at hand that a thread runs; nothing for what is no thread."""
    frame = sys._current_frames().get(attribute_of(thread, "ident"))  # noqa: SLF001
    while frame is not None:
        yield from list(frame.f_locals.values())
        frame = frame.f_back
