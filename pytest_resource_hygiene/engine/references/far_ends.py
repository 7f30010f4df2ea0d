"""The far ends of connections that others hold open: no fault of the fixture that serves them.

A client that a test forgets keeps the server's side busy: its socket, the thread or task that waits
for the next request, a timer. The leak is told at the test; who has set up the server could end
none of it. So does a client of a fixture that is torn down after the server's; it is judged then.
But who has connected is no server, whoever else lives on: his end is his own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.objects import attribute_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["far_ends", "has_connected", "serving_them"]

_KIND = "sockets"
_NEAR = 2_000  # objects within which something belongs to a connection
_SERVING = frozenset({"threads", "tasks", "timers"})
# In `socket`, asyncio and urllib3. Of a bare ``connect()`` no record tells.
_CONNECTING = frozenset({"create_connection", "_connect_sock"})


def far_ends(suspects: Iterable[Entry], owner: Owner, ledger: Ledger) -> dict[Entry, Owner]:
    """Return what serves connections that others hold open, and who does.

    Args:
        suspects: what a wider fixture is asked about, or a test.
        owner: whichever it is.
        ledger: knows the sockets that were reported already, and those of other fixtures.
    """
    is_test = owner.info.type == "test"
    may_serve = _is_made_by_a_thread if is_test else _is_made_later
    made_later = [entry for entry in suspects if may_serve(entry, owner)]
    sockets = [
        entry for entry in made_later if entry.tracker.kind == _KIND and not has_connected(entry)
    ]
    if not sockets:
        return {}
    left = _held_open(ledger, owner)
    found = {entry: left[far] for entry in sockets if (far := _ends(entry)[::-1]) in left}
    serving = dict(serving_them(made_later, found, ledger)) if found else {}
    return {} if is_test and not serving else found | serving


def _is_made_later(entry: Entry, fixture: Owner) -> bool:
    """Return whether it was not made in the fixture's own setup: that is its own in any case."""
    return entry.creation is None or entry.creation.window is not fixture


def _is_made_by_a_thread(entry: Entry, _test: Owner) -> bool:
    """Return whether a thread made it, as that of a server does: the test's own code is its own."""
    return entry.creation is not None and entry.creation.parent is not None


def has_connected(entry: Entry) -> bool:
    """Return whether somebody has opened a connection with it, rather than accepted one."""
    codes = entry.creation.stack[::2] if entry.creation is not None else ()
    return any(code.co_name in _CONNECTING for code in codes)


def _ends(entry: Entry) -> tuple[str, ...]:
    return entry.tracker.ends(entry.key, entry.value) or ()


def _held_open(ledger: Ledger, own: Owner) -> dict[tuple[str, ...], Owner]:
    """Return the connections that were judged with somebody else or will be, by their addresses."""
    left = {}
    for shelf in ledger.shelves:
        for entry in shelf.entries.values() if shelf.tracker.kind == _KIND else ():
            owner = entry.owner
            if owner is None or owner is own or entry.severity == "note":
                continue  # a far end itself excuses nobody
            if owner.closed or owner.info.type == "fixture":
                left[_ends(entry)] = owner
    left.pop((), None)
    return left


def serving_them(
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
