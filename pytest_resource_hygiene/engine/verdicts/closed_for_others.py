"""What a test closed although a live fixture had opened it: a note, for the fixture will miss it.

Loaded when something of another's was closed: a clean run never needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.tracker import Description

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.stacks import StackReader

__all__ = ["notes_of_closed"]


def notes_of_closed(
    closed: Iterable[Entry], closer: Owner, fixtures: Container[Owner], reader: StackReader
) -> list[Entry]:
    """Return a note for each that a live fixture has opened in its own setup.

    Args:
        closed: what is gone, and was another's than the closer's.
        closer: the test at whose end it was found gone.
        fixtures: the wider fixtures that are alive.
        reader: tells the test runner's things.
    """
    return [
        _note(entry, entry.owner, closer)
        for entry in closed
        if entry.owner is not None
        and entry.owner in fixtures
        and _is_from_setup(entry, entry.owner)
        and not reader.is_foreign(entry.creation)
    ]


def _is_from_setup(entry: Entry, opener: Owner) -> bool:
    """Return whether it was opened in a fixture's setup; a connection is its server's to close."""
    made = entry.creation
    return made is not None and made.window is opener and made.parent is None


def _note(entry: Entry, opener: Owner, closer: Owner) -> Entry:
    gone = Entry(
        entry.tracker,
        ("closed", entry.key),
        None,
        owner=closer,
        creation=entry.creation,
        change="removed",
        made_during=entry.made_during,
    )
    gone.description = Description(
        summary=f"{entry.tracker.title} {entry.value} of {opener.info} closed by this test",
        target=opener.info.name,
        details={"opened_by": opener.info.name},
        hint="leave the closing to the fixture, or open one for this test",
    )
    gone.severity = "note"
    return gone
