"""Connections that a server of a wider fixture has accepted: they are the server's.

A fixture's object may begin to listen when a test first needs it. On a loop, what it accepts then
has the context of that test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.references.far_ends import has_connected, serving_them

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.handover.case import Case
    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["without_accepted"]

_KIND = "sockets"
_EVERY_ADDRESS = ("0.0.0.0", "::", "[::]")  # noqa: S104 - nothing is bound to it here


def without_accepted(suspects: list[Entry], case: Case) -> list[Entry]:
    """Give connections, and what serves these, to the fixture whose server has accepted them.

    Returns:
        The rest.
    """
    accepted = _accepted(suspects, case)
    for entry, fixture in accepted.items():
        case.ledger.hand_over(entry, fixture)
    return [entry for entry in suspects if entry not in accepted]


def _accepted(suspects: list[Entry], case: Case) -> dict[Entry, Owner]:
    made = {
        entry: ends
        for entry in suspects
        if entry.tracker.kind == _KIND
        and not has_connected(entry)
        and not case.is_made_by_test(entry)
        and (ends := _ends(entry)) is not None
        and ends[1]
    }
    servers = _servers(case.ledger) if made else {}
    found = {
        entry: owner
        for entry, (near, _) in made.items()
        if (owner := servers.get(near) or servers.get(_port(near))) is not None
    }
    return found | dict(serving_them(suspects, found, case.ledger)) if found else {}


def _servers(ledger: Ledger) -> dict[str, Owner]:
    """Return which fixtures listen, by the addresses, or by the port alone if it is any address."""
    found: dict[str, Owner] = {}
    for shelf in ledger.shelves:
        for entry in shelf.entries.values() if shelf.tracker.kind == _KIND else ():
            owner, ends = entry.owner, _ends(entry)
            if ends is None or ends[1] or owner is None:
                continue
            if owner.info.type == "fixture" and not owner.closed:
                host = ends[0].rpartition(":")[0]
                found[_port(ends[0]) if host in _EVERY_ADDRESS else ends[0]] = owner
    return found


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _ends(entry: Entry) -> tuple[str, str] | None:
    return entry.tracker.ends(entry.key, entry.value)
