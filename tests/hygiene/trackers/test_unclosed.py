"""The kind `unclosed`: which warnings are heard, once each, and whose making they name."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.trackers._descriptors import Descriptors
from pytest_resource_hygiene.trackers.unclosed import UnclosedTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.recorder import Creation, Recorder


@pytest.fixture
def tracker(recorder: Recorder) -> Iterator[UnclosedTracker]:
    """One that listens, within filters of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # behind ours: nothing is shown, all is heard
        tracker = UnclosedTracker()
        recorder.start_tracker(tracker)
        recorder.started = True  # nothing is hooked: the test tells of the openings
        yield tracker
        recorder.started = False


@pytest.fixture
def table(recorder: Recorder) -> Descriptors:
    """What the tracker asks for who opened what."""
    made: Descriptors = recorder.service(Descriptors)
    return made


class _Socket:
    """What has a number, and can be referred to weakly."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


class _Refusing(_Socket):
    def fileno(self) -> int:
        raise RuntimeError


def _filters() -> list[Any]:
    return list(warnings.filters)


def _heard(tracker: UnclosedTracker) -> list[Creation | None]:
    return [one.creation for one in tracker.drain()]


def _warn(text: str) -> None:
    warnings.warn(text, ResourceWarning, stacklevel=2)


def test_resource_warnings_are_heard_and_no_others(tracker: UnclosedTracker) -> None:
    """Each once, whatever the filters behind ours say of it."""
    for action in ("ignore", "error", "always"):
        warnings.simplefilter(action)  # type: ignore[arg-type]
        tracker.listen()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warnings, "showwarning", lambda *_: None)
            try:
                warnings.warn("unclosed file", ResourceWarning, stacklevel=1)
                warnings.warn("another", UserWarning, stacklevel=1)
            except Warning:
                continue

    assert [one.value for one in tracker.drain()] == ["unclosed file"] * 3
    assert list(tracker.drain()) == []


def test_nothing_is_heard_before_the_start_and_after_the_end(
    tracker: UnclosedTracker, recorder: Recorder
) -> None:
    """Somebody may have kept a copy of the filters."""
    recorder.started = False
    _warn("unclosed file")
    assert _heard(tracker) == []

    recorder.started = True
    _warn("unclosed file")
    assert len(_heard(tracker)) == 1


def test_the_filter_stands_once_and_first(tracker: UnclosedTracker) -> None:
    """Each test may begin with filters of its own, with ours somewhere among them."""
    spy = warnings.filters[0]
    for _ in range(2):
        tracker.listen()
        assert _filters().count(spy) == 1
    for add in (1, 3):
        for _ in range(add):
            warnings.simplefilter("default")
            warnings.filters.insert(0, ("default", None, Warning, None, 0))  # type: ignore[attr-defined]
        tracker.listen()
        assert warnings.filters[0] is spy
        assert _filters().count(spy) == 1
    tracker.stop()
    assert spy not in _filters()


def test_a_socket_is_charged_to_who_made_it(
    tracker: UnclosedTracker, table: Descriptors, recorder: Recorder
) -> None:
    """Of several with a number in their time, the one that has it now; the dead are passed over.

    So is one that refuses to say its number: this is asked within somebody's destructor.
    """

    def opens(number: int, *, dies: bool) -> Any:
        made = _Socket(number)
        table.sockets.append(recorder.site(weakref.ref(made), 0))
        return None if dies else made

    def this_one() -> Any:
        return opens(7, dies=False)

    kept = [this_one(), opens(8, dies=False), opens(7, dies=True), _Refusing(7)]
    table.sockets.append(recorder.site(weakref.ref(kept[-1]), 0))
    _warn("unclosed <socket.socket fd=7, family=2>")

    (creation,) = _heard(tracker)
    assert creation is not None
    assert creation.certain
    assert "this_one" in {code.co_name for code in creation.stack[::2]}
    assert len(kept) == 4


@pytest.mark.parametrize("others", [0, 1])
def test_a_socket_that_the_collector_frees_is_the_latest_of_those_that_are_gone(
    tracker: UnclosedTracker, table: Descriptors, recorder: Recorder, others: int
) -> None:
    """It clears weak references first; whose frames it came in says nothing. One of several is a guess."""

    def opens() -> None:
        table.sockets.append(recorder.site(weakref.ref(_Socket(7)), 0))

    def opens_first() -> None:
        table.sockets.append(recorder.site(weakref.ref(_Socket(8)), 0))

    for _ in range(others):
        opens_first()
    opens()
    kept = _Socket(9)
    table.sockets.append(recorder.site(weakref.ref(kept), 0))
    _warn("unclosed <socket.socket fd=7, family=2>")

    (creation,) = _heard(tracker)
    assert creation is not None
    assert creation.stack[0].co_name == "opens"
    assert creation.certain == (others == 0)
    assert kept.fileno() == 9


def test_a_file_is_charged_to_who_opened_it_and_not_to_who_shows_it(
    tracker: UnclosedTracker, table: Descriptors, recorder: Recorder
) -> None:
    """The runner opens sources to show them, and closes what it opens."""

    def mine() -> None:
        table.files.records.append(recorder.site("/a/x", 0))

    def runners() -> None:
        table.files.records.append(recorder.site("/a/x", 0))

    mine()
    runners()
    theirs = table.files.records[-1][0]
    recorder.is_foreign = lambda creation: creation is not None and creation.stack == theirs
    _warn("unclosed file <_io.TextIOWrapper name='/a/x' mode='r'>")

    (creation,) = _heard(tracker)
    assert creation is not None
    assert "mine" in {code.co_name for code in creation.stack[::2]}


def test_what_nobody_was_seen_opening_is_charged_to_the_moment(tracker: UnclosedTracker) -> None:
    """And says that it is not certain."""
    _warn("unclosed transport <X>")

    (creation,) = _heard(tracker)
    assert creation is not None
    assert not creation.certain
