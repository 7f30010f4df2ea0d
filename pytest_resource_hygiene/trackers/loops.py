"""Event loops that were never closed.

Loops of asyncio are seen when they are made. Those written in C (uvloop) are not, so they are looked
for among all objects, but only once something else made a test suspicious: a loop always holds
descriptors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._names import class_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    from pytest_resource_hygiene.recorder import Creation, Recorder


class LoopTracker(Tracker):
    """Loops by the loop object."""

    kind = "loops"
    title = "event loop"
    rank = 90

    def __init__(self) -> None:
        """Wait for `start`."""
        self._table: AsyncioTable | None = None

    def start(self, recorder: Recorder) -> None:
        """Share the table of asyncio's things with the other kinds."""
        self._table = recorder.service(AsyncioTable)

    def _asyncio(self) -> AsyncioTable:
        assert self._table is not None, "start() comes first"
        return self._table

    def sensor(self) -> Callable[[], object]:
        """Ask which loops are not closed."""
        return self._asyncio().live_loops

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask nothing: loops are heard of when they are made."""
        return ()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List loops that are not closed."""
        return self._asyncio().loops()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how the loop was made."""
        return self._asyncio().creation_of(value)

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the loop."""
        return value

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say class and state."""
        name = class_name(value)
        running = answer_of(value, "is_running", False) is True
        return Description(
            summary=f"event loop {type(value).__name__}, {'running' if running else 'not closed'}",
            target=name,
            details={"class": name, "running": running},
            hint="stop it and close() it" if running else "close() it, or use asyncio.Runner",
        )


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return LoopTracker()
