"""Kernel threads that Python did not start: those of C extensions.

A note unless asked for: number pools and event engines of libraries come and go as they like.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._thread_table import ThreadTable

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pytest_resource_hygiene.recorder import Recorder


class NativeThreadTracker(Tracker):
    """Threads by kernel id and start time."""

    kind = "native_threads"
    title = "native thread"
    severity: Literal["fail", "note", "off"] = "note"
    senses = False  # a note can wait for the next change of another kind
    rank = 5

    def __init__(self) -> None:
        """Wait for `start`."""
        self._table: ThreadTable | None = None

    def start(self, recorder: Recorder) -> None:
        """Share the table of threads with the other kinds."""
        self._table = recorder.service(ThreadTable)

    def _threads(self) -> ThreadTable:
        assert self._table is not None, "start() comes first"
        return self._table

    def reading(self) -> object:
        """Return the number of kernel threads where it is cheap to have."""
        total = self._threads().total()
        return self._threads().reading() if total is None else total

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List the threads that Python did not start."""
        return self._threads().scan(moment).native

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say the name that the kernel shows."""
        name = value.name or "unnamed"
        return Description(
            summary=f"native thread {name!r}",
            target=name,
            details={"tid": value.tid, "name": name},
            hint="stop the library object that runs it; C extensions have their own close or stop",
        )

    def blind_spot(self) -> str | None:
        """Name what psutil cannot tell."""
        if Path("/proc/self/task").is_dir():
            return None
        return "no start times of threads here: a reused thread id is not noticed"


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return NativeThreadTracker()
