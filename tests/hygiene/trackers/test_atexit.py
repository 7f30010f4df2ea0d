"""Exit callbacks: by registration, whatever moves them, and whoever counts them."""

from __future__ import annotations

import atexit
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers.atexit import ExitTracker

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from pytest_resource_hygiene.recorder import Recorder

_register = atexit.register  # as code that was there before the tracker has it


@pytest.fixture
def tracker(recorder: Recorder) -> Iterator[ExitTracker]:
    """The tracker, at work; callbacks of a test are taken out behind it."""
    tracker = ExitTracker()
    recorder.start_tracker(tracker)
    yield tracker
    for callback in (_one, _other):
        atexit.unregister(callback)


def _one() -> None: ...


def _other() -> None: ...


def _keys(tracker: ExitTracker) -> list[Hashable]:
    return list(tracker.list_resources(Moment()))


def test_a_callback_that_is_moved_to_the_end_is_the_same(tracker: ExitTracker) -> None:
    """`multiprocessing.get_logger` does so with its own; one moved later is another."""
    atexit.register(_one)
    keys = _keys(tracker)
    atexit.unregister(_one)
    assert _keys(tracker) == []
    atexit.register(_one)
    assert _keys(tracker) == keys

    atexit.unregister(_one)
    tracker.forget()
    atexit.register(_one)
    assert _keys(tracker) != keys


def test_each_registration_counts_and_unregistering_takes_all_of_a_function(
    tracker: ExitTracker,
) -> None:
    """As `atexit` itself does."""
    for callback in (_one, _one, _other):
        atexit.register(callback)
    assert len(_keys(tracker)) == 3
    atexit.unregister(_one)
    assert [
        tracker.anchor(key, tracker.list_resources(Moment())[key]) for key in _keys(tracker)
    ] == [_other]


def test_what_passes_the_wrapped_function_is_counted_and_noted_once(tracker: ExitTracker) -> None:
    """Only code that was there before has the original; who called it, nobody knows."""
    before = tracker.reading()
    _register(_one)

    assert tracker.reading() != before
    (note,) = tracker.drain()
    assert note.severity == "note"
    assert list(tracker.drain()) == []
    assert _keys(tracker) == []


@pytest.mark.parametrize(
    ("by_user", "by_tool", "counted"), [(True, False, 2), (True, True, 0), (False, False, 0)]
)
def test_only_callbacks_of_tests_and_fixtures_count_towards_the_limit(
    tracker: ExitTracker, recorder: Recorder, by_user: bool, by_tool: bool, counted: int
) -> None:
    """Those of imports come by dozens, and a plugin's are its own."""
    atexit.register(_one)
    atexit.register(_other)
    recorder.is_by_user = lambda _: by_user
    recorder.is_by_tool = lambda _: by_tool

    assert sum(count for _, _, count, _ in tracker.iter_limits()) == counted


def test_a_callback_of_the_runner_is_its_own(tracker: ExitTracker, recorder: Recorder) -> None:
    """A finding about too many of them has a number in place of a callback, and is nobody's."""
    atexit.register(_one)
    recorder.is_by_tool = lambda creation: creation is not None
    ((key, value),) = tracker.list_resources(Moment()).items()

    assert tracker.is_ours(key, value)
    assert not tracker.is_ours(("exceeded", "process", "exit"), 11)


def test_what_is_taken_out_is_kept_alive_by_nobody(tracker: ExitTracker) -> None:
    """A test may ask whether an object goes when it is shut down; and a server makes thousands."""

    class Connection:
        def end(self) -> None: ...

    connections = [Connection() for _ in range(200)]
    for one in connections:
        atexit.register(one.end)
    listed = tracker.list_resources(Moment())
    assert len(listed) == 200
    for one in connections:
        atexit.unregister(one.end)
    alive = [weakref.ref(one) for one in connections]
    del connections, one

    assert not any(ref() for ref in alive)
    assert len(tracker._taken_out) <= 100


@pytest.mark.parametrize("make", [lambda: _one, lambda: partial(_one), lambda: [].clear])
def test_whatever_can_be_called_can_be_taken_out(tracker: ExitTracker, make: Any) -> None:
    callback = make()
    atexit.register(callback)
    [key] = _keys(tracker)
    assert tracker.anchor(key, key) is callback
    atexit.unregister(callback)
    assert _keys(tracker) == []
    assert tracker.anchor(key, key) is None
    atexit.register(callback)
    assert len(_keys(tracker)) == 1
    atexit.unregister(callback)


def test_a_callback_that_refuses_to_be_compared_is_registered_all_the_same(
    tracker: ExitTracker,
) -> None:
    class Odd:
        def __call__(self) -> None: ...

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    atexit.register(_one)
    atexit.unregister(_one)
    odd = Odd()
    atexit.register(odd)
    try:
        assert [tracker.anchor(key, key) is odd for key in _keys(tracker)] == [True]
    finally:
        tracker._registered.clear()
        Odd.__eq__ = object.__eq__  # type: ignore[method-assign]
        atexit.unregister(odd)
