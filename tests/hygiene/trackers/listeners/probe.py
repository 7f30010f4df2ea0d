"""What the tests of the kind `listeners` share: a started tracker, and things that listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.tracker import Moment

if TYPE_CHECKING:
    from collections.abc import Hashable

    from pytest_resource_hygiene.trackers.listeners import (
        ListenerTracker,
    )

__all__ = ["LOGGER", "Component", "Probe", "functions_of", "on_event"]

LOGGER = "hygiene.test_listeners"


class Probe:
    """A started tracker, and what it listed first."""

    def __init__(self, tracker: ListenerTracker) -> None:
        self.tracker = tracker
        self.recorder = Recorder()
        tracker.start(self.recorder)
        self.recorder.start()
        self.rebase()

    def rebase(self) -> None:
        self.first = dict(self.tracker.list_resources(Moment()))
        self.reading = self.tracker.reading()

    def listed(self) -> dict[Hashable, Any]:
        return dict(self.tracker.list_resources(Moment()))

    def added(self) -> dict[Hashable, Any]:
        return {key: value for key, value in self.listed().items() if key not in self.first}

    def replaced(self) -> dict[Hashable, tuple[Any, Any]]:
        return {
            key: (value, self.first[key])
            for key, value in self.listed().items()
            if key in self.first and value != self.first[key]
        }

    def has_new_reading(self) -> bool:
        return bool(self.tracker.reading() != self.reading)

    def summaries(self) -> list[str]:
        return [self.tracker.describe(*item).summary for item in self.added().items()]

    def limits(self) -> list[tuple[str, str, int]]:
        return [limit[:3] for limit in self.tracker.iter_limits()]


def functions_of(creation: Creation | None) -> list[str]:
    assert creation is not None, "nothing was recorded"
    return [code.co_name for code in creation.stack[::2]]


def on_event(*args: object) -> None:
    """Listen."""


class Component:
    """Has a method that listens."""

    def on_event(self, *args: object) -> None:
        """Listen."""
