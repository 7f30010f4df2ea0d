"""Whether to wait for what only code of this process can end.

A descriptor that a test has left open is as open after the grace period as before, if no other
thread is there to close it. Suites with hundreds of leaks wait for minutes otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.bystanders import alarm_within, has_children, other_threads
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import FrameType

    from pytest_resource_hygiene.engine.entries import Entry
    from pytest_resource_hygiene.engine.places import Places

__all__ = ["Company"]

_IDLE_PLACES = frozenset({"tool", "stdlib", "frozen", "own"})


class Company:
    """Who may act while the judging thread waits.

    Args:
        places: tells whose a file is.
    """

    def __init__(self, places: Places) -> None:
        """Look at nobody yet."""
        self._places = places

    def may_end(self, entries: Collection[Entry], seconds: float) -> bool:
        """Return whether anything but the collector could end one of these within so many seconds.

        Args:
            entries: suspects.
            seconds: how long somebody is about to wait.
        """
        if not all(entry.tracker.ended_by_code for entry in entries):
            return True
        return has_children() or alarm_within(seconds) or other_threads() > self._idle_threads()

    def _idle_threads(self) -> int:
        """Count the threads that run the test runner's own code, such as those of an xdist worker."""
        ours = System.get_ident()
        frames = System.current_frames()
        return sum(self._is_idle(frame) for ident, frame in frames.items() if ident != ours)

    def _is_idle(self, frame: FrameType | None) -> bool:
        places = set()
        while frame is not None:
            places.add(self._places.of(frame.f_code.co_filename))
            frame = frame.f_back
        return "tool" in places and places <= _IDLE_PLACES
