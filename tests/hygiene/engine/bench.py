"""What the tests of the checker share: a kind of our own, and a clock that does not run by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.tracker import Captured, IdentityKey, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from pytest_resource_hygiene.recorder import Creation, Recorder

__all__ = ["Bench", "Clock", "Handle", "Handles", "Settled"]


class Handle:
    """A resource."""

    def __init__(self) -> None:
        """Have nothing to do when time passes."""
        self.end: Callable[[], None] | None = None


class Handles(Tracker):
    """Lists what `open` has made, and tells what a test says it has caught."""

    kind = "handles"
    title = "handle"

    def __init__(self) -> None:
        """Have none open."""
        self.listed: dict[IdentityKey, Creation] = {}
        self.caught: list[Captured] = []
        self.recorder: Recorder | None = None

    def start(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def open(self) -> Handle:
        assert self.recorder is not None
        handle = Handle()
        self.listed[IdentityKey(handle)] = self.recorder.creation(None)
        self.recorder.stir()
        return handle

    def close(self, handle: Handle) -> None:
        del self.listed[IdentityKey(handle)]

    def list_resources(self, moment: object) -> Mapping[Hashable, Any]:
        return {key: key.ref() for key in self.listed if key.ref() is not None}

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        return self.listed.get(key)  # type: ignore[call-overload, no-any-return]

    def anchor(self, key: Hashable, value: Any) -> Any:
        return value

    def drain(self) -> list[Captured]:
        caught, self.caught = self.caught, []
        return caught


class Settled(Handles):
    """The same, of which none goes by itself."""

    settles = False


class Clock:
    """Passes time when it is asked to, and has things happen meanwhile."""

    def __init__(self) -> None:
        """Have slept not at all."""
        self.slept = 0.0
        self.then: list[tuple[float, Callable[[], None]]] = []

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        for due in [one for one in self.then if one[0] <= self.slept]:
            self.then.remove(due)
            due[1]()


class Bench:
    """A started checker with its kind and its clock."""

    def __init__(self, tracker: Handles, **settings: Any) -> None:
        """Watch from now on."""
        self.tracker = tracker
        self.clock = Clock()
        self.checker = LeakChecker(
            [tracker], EngineSettings(**{"grace": 0.5, **settings}), sleep=self.clock.sleep
        )
        self.checker.start(canary=False)

    def begin(self, name: str = "test_it") -> Owner:
        """Open the window of a test."""
        owner = Owner(OwnerInfo("test", name, "function"), name)
        self.checker.open(owner)
        return owner

    def fixture(self, name: str, value: Callable[[], list[Any]]) -> Owner:
        """Set up a wider fixture that keeps what the function returns."""
        owner = Owner(OwnerInfo("fixture", name, "module"), name, value=value)
        with self.checker.setting_up(owner):
            pass
        return owner
