"""What an event loop written in C opens for itself at some first use: the loop ends it.

libuv, under uvloop, opens the null device when a loop first listens or connects, to have a number
left when there are none, and starts four threads for the whole process. The connections on such a
loop are somebody's: these are not taken.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.made_in_c import is_unseen, is_written_in_c
from pytest_resource_hygiene.engine.suspects.groups import number_of
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.handover.case import Case
    from pytest_resource_hygiene.engine.inventory.entries import Entry

__all__ = ["without_parts_of_loops"]


def without_parts_of_loops(suspects: list[Entry], case: Case) -> list[Entry]:
    """Give what such a loop needs itself to the owner of the first, if the window has made none.

    Returns:
        The rest.
    """
    parts = [
        entry
        for entry in suspects
        if is_unseen(entry) and _is_part(entry) and not case.is_asked_for(entry)
    ]
    loops = [entry for entry in case.loops() if _is_in_c(entry.value)] if parts else []
    if not loops or any(loop.owner is case.window for loop in loops):
        return suspects
    for entry in parts:
        entry.give_to(loops[0].owner)
    return [entry for entry in suspects if entry not in parts]


def _is_in_c(loop: Any) -> bool:
    return any(is_written_in_c(cls) for cls in type(loop).__mro__[:-1])


def _is_part(entry: Entry) -> bool:
    if entry.tracker.kind == "native_threads":
        return True
    number = number_of(entry) if entry.tracker.kind == "fds" else None
    try:
        return (
            number is not None and System.fstat(number).st_rdev == System.stat(os.devnull).st_rdev
        )
    except OSError:  # closed meanwhile
        return False
