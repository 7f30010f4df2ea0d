"""A kind that does not see its own specimen says so, instead of finding nothing for ever."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.canary import blind_spots
from pytest_resource_hygiene.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Things(Tracker):
    """Lists what is in a dictionary, and puts a specimen there."""

    kind = "things"

    def __init__(self, *, seen: bool = True, reason: str | None = None) -> None:
        self.things: dict[Any, Any] = {"first": 1}
        self.seen = seen
        self.reason = reason
        self.forgotten = 0

    def list_resources(self, _moment: object) -> Mapping[Any, Any]:
        return dict(self.things)

    def forget(self) -> None:
        self.forgotten += 1

    def blind_spot(self) -> str | None:
        return self.reason

    @contextmanager
    def specimen(self) -> Iterator[None]:  # type: ignore[override]
        if self.seen:
            self.things["specimen"] = 2
        yield
        self.things.pop("specimen", None)


class Slots(Things):
    """Whose specimen changes what is there already."""

    slots = True

    @contextmanager
    def specimen(self) -> Iterator[None]:  # type: ignore[override]
        if self.seen:
            self.things["first"] = object()
        yield


class Failing(Things):
    """Whose specimen cannot be made here."""

    def specimen(self) -> Any:
        raise PermissionError("not in this sandbox")


class Without(Things):
    """Which has none."""

    def specimen(self) -> None:
        return None


def test_what_is_seen_is_no_blind_spot_and_leaves_no_record() -> None:
    """A new thing, or another value of a slot; or where nothing can be tried."""
    trackers = [Things(), Slots(), Without()]

    assert blind_spots(trackers) == []
    assert [tracker.forgotten for tracker in trackers] == [1, 1, 0]


def test_what_is_not_seen_is_said_with_what_is_known() -> None:
    """Each reason on its own; a value that changes is no thing of a kind without slots."""
    changing = type("Changing", (Slots,), {"slots": False})()
    unseen = "the canary was not seen: leaks of this kind go unnoticed here"

    assert (
        blind_spots([Things(seen=False), Slots(seen=False), changing]) == [("things", unseen)] * 3
    )
    assert blind_spots([Things(reason="no such file")]) == [("things", "no such file")]
    assert blind_spots([Failing(reason="half of it")]) == [
        ("things", "half of it"),
        ("things", "the canary failed: PermissionError: not in this sandbox"),
    ]
