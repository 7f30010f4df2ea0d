"""What has been reported already: the warning of a later drop tells nothing new about it."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.tracker import Captured

__all__ = ["Told", "is_about"]

_MAX_KEPT = 1_000
_DROPPED = "unclosed"
_NUMBERED = frozenset({"fds", "sockets"})
# Of a Popen, and of the transport that asyncio has beside it; compiled when it is needed.
_CHILD = r"subprocess (\d+) is still running|SubprocessTransport pid=(\d+) running"


class Told:
    """Remembers reported entries whose objects will warn when they are dropped.

    A leaked file is reported when its owner ends, and issues its ``ResourceWarning`` when the
    last reference goes, a moment or a hundred tests later. Each entry covers one warning.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._entries: deque[Entry] = deque(maxlen=_MAX_KEPT)

    def add(self, entries: Iterable[Entry]) -> None:
        """Remember what has just been reported, and is still there."""
        left = (entry for entry in entries if entry.tracker.kind != _DROPPED)
        self._entries.extend(entry for entry in left if not entry.is_gone)

    def covers(self, item: Captured) -> bool:
        """Return whether a warning is about something that was reported; that entry is used up."""
        for entry in self._entries:
            if is_about(item, entry):
                if entry.tracker.kind != "processes":  # for which two objects may stand
                    self._entries.remove(entry)
                return True
        return False


def is_about(item: Captured | Entry, entry: Entry) -> bool:
    """Return whether the warning of a drop is about an entry."""
    text = str(item.value)
    if entry.tracker.kind == "loops":  # its warning does not say which, but it ends with that
        return "event loop" in text and entry.is_gone
    if entry.tracker.kind == "processes":
        child = re.search(_CHILD, text)
        pid = int(child[1] or child[2]) if child is not None else None
        return pid is not None and getattr(entry.value, "pid", None) == pid
    # The record of the ledger's own entry, so that it is this opening and no other.
    known = entry.creation is not None and entry.creation is item.creation
    return known and entry.tracker.kind in _NUMBERED
