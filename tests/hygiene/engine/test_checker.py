"""The story of a check, told with a kind of our own and a clock that does not run by itself."""

from __future__ import annotations

import gc
import importlib
import itertools
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine import judge, keepers
from pytest_resource_hygiene.engine.allowances import Allowance
from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.owners import Owner
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.engine.stacks import StackReader
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from pytest_resource_hygiene.model import Holder
    from pytest_resource_hygiene.recorder import Creation, Recorder


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


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    """A function that makes benches; they are cleared in the end."""
    made: list[Bench] = []

    def bench(tracker: Handles | None = None, **settings: Any) -> Bench:
        made.append(Bench(tracker or Handles(), **settings))
        return made[-1]

    yield bench
    for one in made:
        one.checker.stop()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    """One as it is by default."""
    return make()


# --- the happy path, and a leak ---


def test_what_is_closed_costs_no_sleep_and_no_collection(bench: Bench) -> None:
    test = bench.begin()
    bench.tracker.close(bench.tracker.open())

    assert bench.checker.close(test) == []
    assert bench.clock.slept == 0
    assert bench.checker.settler.collections == 0


def test_what_is_left_is_told_once_with_its_line(bench: Bench) -> None:
    test = bench.begin()
    kept = bench.tracker.open()
    (leak,) = bench.checker.close(test)

    assert (leak.kind, leak.severity, leak.change, leak.count) == ("handles", "fail", "added", 1)
    assert leak.owner.name == leak.nodeid == leak.made_during == "test_it"
    assert leak.origin is not None
    assert leak.origin.text == "kept = bench.tracker.open()"
    assert bench.checker.close(bench.begin("test_next")) == []
    bench.tracker.close(kept)


def test_leaks_of_one_line_are_one_finding_and_of_two_lines_two(bench: Bench) -> None:
    test = bench.begin()
    kept = [bench.tracker.open() for _ in range(3)]
    kept += [bench.tracker.open()]
    leaks = bench.checker.close(test)

    assert sorted(leak.count for leak in leaks) == [1, 3]
    assert len(kept) == 4


def test_an_allowance_turns_a_leak_into_one_with_a_reason(bench: Bench) -> None:
    test = bench.begin()
    kept = bench.tracker.open()
    allowance = Allowance(frozenset({"handles"}), "in test_an_allowance", "a cache", "#7")
    other = Allowance(frozenset({"fds"}), "", "of another kind")
    (leak,) = bench.checker.close(test, (other, allowance))

    assert (leak.severity, leak.reason, leak.issue) == ("allowed", "a cache", "#7")
    assert bench.checker.used_allowances == {allowance}
    assert kept


# --- grace ---


def test_what_goes_meanwhile_is_no_leak_and_ends_the_waiting(bench: Bench) -> None:
    test = bench.begin()
    handle = bench.tracker.open()
    bench.clock.then.append((0.05, lambda: bench.tracker.close(handle)))

    assert bench.checker.close(test) == []
    assert 0.05 <= bench.clock.slept < 0.2


def test_what_is_made_while_a_test_is_waited_for_is_the_tests(bench: Bench) -> None:
    """A thread that ends within the grace leaves what it opened meanwhile to nobody else."""
    owner, handle = bench.begin(), bench.tracker.open()
    kept: list[Handle] = []

    def ends() -> None:
        bench.tracker.close(handle)
        kept.append(bench.tracker.open())

    bench.clock.then.append((0.1, ends))

    (leak,) = bench.checker.close(owner)

    assert (leak.severity, leak.count, leak.owner.name) == ("fail", 1, "test_it")
    assert leak.origin is not None
    assert leak.origin.function == "ends"
    assert bench.checker.close(bench.begin("test_next")) == []


def test_what_is_made_while_a_test_is_waited_for_gets_time_to_go(bench: Bench) -> None:
    """What is handed on from thread to thread is no leak if the last of them ends."""
    owner, handles = bench.begin(), [bench.tracker.open()]

    def goes_on() -> None:
        bench.tracker.close(handles.pop())
        if bench.clock.slept < 0.4:
            handles.append(bench.tracker.open())
            bench.clock.then.append((bench.clock.slept + 0.2, goes_on))

    bench.clock.then.append((0.2, goes_on))

    assert bench.checker.close(owner) == []
    assert bench.clock.slept < 0.6


def test_what_is_made_again_whenever_it_ends_is_a_leak(bench: Bench) -> None:
    """A timer that sets itself again is never there twice; the whole chain is waited for as one."""
    handles: list[Handle] = []

    def again() -> None:
        for handle in handles:
            bench.tracker.close(handle)
        handles[:] = [bench.tracker.open()]
        bench.clock.then.append((bench.clock.slept + 0.03, again))

    for number, most in enumerate([0.85, 0.35]):
        owner, before = bench.begin(f"test_{number}"), bench.clock.slept
        again()
        (leak,) = bench.checker.close(owner)

        assert (leak.severity, leak.owner.name, leak.count) == ("fail", f"test_{number}", 1)
        assert 0.15 < bench.clock.slept - before < most
        assert leak.waited_seconds >= 0.15
        bench.clock.then.clear()


def test_what_is_made_late_and_dropped_is_a_note(bench: Bench) -> None:
    """The collector has run by then, and runs once more for it."""
    owner, handle = bench.begin(), bench.tracker.open()

    def ends() -> None:
        bench.tracker.close(handle)
        dropped: Any = bench.tracker.open()
        dropped.myself = dropped

    bench.clock.then.append((0.1, ends))
    gc.disable()
    try:
        (leak,) = bench.checker.close(owner)
    finally:
        gc.enable()

    assert leak.severity == "note"


def test_a_line_that_has_cost_the_grace_waits_shorter_and_never_not_at_all(bench: Bench) -> None:
    kept = []
    slept = []
    for number in range(3):
        test = bench.begin(f"test_{number}")
        kept.append(bench.tracker.open())
        before = bench.clock.slept
        assert len(bench.checker.close(test)) == 1
        slept.append(round(bench.clock.slept - before, 3))

    assert slept == [0.5, 0.15, 0.15]


def test_a_new_line_beside_a_known_one_gets_the_whole_grace(bench: Bench) -> None:
    kept = []
    for number in range(2):
        test = bench.begin(f"test_{number}")
        kept.append(bench.tracker.open())
        if number:
            kept.append(bench.tracker.open())
        bench.checker.close(test)

    assert round(bench.clock.slept, 3) == 1.0


@pytest.mark.parametrize(("strict", "severity"), [(False, "note"), (True, "fail")])
def test_what_only_the_collector_frees_is_a_note_or_strictly_a_failure(
    make: Callable[..., Bench], strict: bool, severity: str
) -> None:
    bench = make(strict=strict)
    test = bench.begin()
    handle: Any = bench.tracker.open()
    handle.myself = handle
    del handle
    gc.disable()
    try:
        (leak,) = bench.checker.close(test)
    finally:
        gc.enable()

    assert leak.severity == severity
    assert bench.checker.settler.collections == 1


def test_what_goes_while_it_is_described_went_by_itself(make: Callable[..., Bench]) -> None:
    """Suspects are described before the collector runs, and that may take as long as they need."""

    class Shy(Handles):
        def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
            self.listed.clear()
            return Description("gone by now")

    bench = make(Shy())
    test = bench.begin()
    kept = bench.tracker.open()

    assert bench.checker.close(test) == []
    assert bench.checker.settler.collections == 0
    assert kept


def test_what_ends_while_another_is_described_is_not_asked(make: Callable[..., Bench]) -> None:
    """A thread's object may go at any time: a tracker that finds nothing there is not at fault."""

    class Pair(Handles):
        def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
            kept[1:] = []
            return Description(f"handle {id(value.end)}")

    bench = make(Pair())
    test = bench.begin()
    kept = [bench.tracker.open(), bench.tracker.open()]

    assert [leak.count for leak in bench.checker.close(test)] == [1]
    assert bench.checker.failures == []


@pytest.mark.parametrize(
    "method",
    ["anchor", "code", "creation", "describe", "drain", "forget", "is_default", "is_ours",
     "kept_in", "pause", "probes", "restore", "seat"],
)  # fmt: skip
def test_a_tracker_that_raises_is_named_and_its_leak_is_told_all_the_same(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whatever else it cannot say, what it lists is judged, and the other kinds are as well."""

    def fails(*_args: object) -> Any:
        raise RuntimeError("its own fault")

    class Failing(Handles):
        """Has the one method broken."""

    monkeypatch.setattr(Failing, method, fails)
    monkeypatch.setattr(StackReader, "library_site", lambda *_: (("/lib/made.py", "make"),))
    bench = make(Failing())
    test = bench.begin()
    kept = bench.tracker.open()
    leaks = bench.checker.close(test)
    bench.tracker.close(kept)
    bench.checker.close(bench.begin())  # what is gone has left its seat

    assert [(leak.kind, leak.severity) for leak in leaks] == [("handles", "fail")]
    assert [(one.kind, str(one.cause)) for one in bench.checker.failures] == [
        ("handles", "its own fault")
    ]


def test_a_fault_of_our_own_leaves_an_ended_fixture_in_charge_of_nothing(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what later tests keep would be handed to it, and told at nobody."""

    def fails(*_args: object) -> Any:
        raise RuntimeError("our own fault")

    bench = make(grace=0.0)
    kept: list[Any] = []
    fixture = Owner(OwnerInfo("fixture", "wide", "module"), value=lambda: kept)
    with bench.checker.setting_up(fixture):
        kept.append(bench.tracker.open())
    with monkeypatch.context() as patched:
        patched.setattr(judge.Judge, "judge", fails)
        with pytest.raises(RuntimeError):
            bench.checker.close_fixture(fixture)
    test = bench.begin("test_next")
    kept.append(bench.tracker.open())

    assert [leak.count for leak in bench.checker.close(test)] == [1]


@pytest.mark.parametrize(("kind", "told"), [("threads", 0), ("fds", 1)])
def test_what_can_end_by_itself_may_have_done_so_in_a_long_collection(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, kind: str, told: int
) -> None:
    """That a thread is gone after it proves nothing; a descriptor does not close itself."""
    tracker = Handles()
    vars(tracker)["kind"] = kind
    bench = make(tracker)
    test = bench.begin()
    kept = bench.tracker.open()
    seconds = itertools.count()
    monkeypatch.setattr(System, "collect", tracker.listed.clear)
    monkeypatch.setattr(System, "monotonic", lambda: float(next(seconds)))

    assert [leak.severity for leak in bench.checker.close(test)] == ["note"] * told
    assert kept


# --- what a library keeps ---


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An installed module that opens handles, and keeps those that it opens for itself."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "somelib.py").write_text(
        "KEPT = []\n"
        "def use(tracker): KEPT.append(tracker.open()); return KEPT[-1]\n"
        "def make(tracker): return tracker.open()\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "somelib", raising=False)
    return importlib.import_module("somelib")


def test_nobody_waits_long_for_what_its_library_keeps(bench: Bench, library: ModuleType) -> None:
    """It would be a note after the whole grace as well."""
    test = bench.begin()
    library.use(bench.tracker)
    (leak,) = bench.checker.close(test)

    assert leak.severity == "note"
    assert leak.held_by[:2] == ("module somelib", "somelib.KEPT")
    assert bench.clock.slept < bench.checker.settings.repeat_grace


def test_growth_of_what_a_library_keeps_gets_the_whole_grace(
    bench: Bench, library: ModuleType
) -> None:
    """A second would fail, so the wait decides; that the first was asked about makes none a second."""
    test = bench.begin("test_first")
    library.use(bench.tracker)
    (first,) = bench.checker.close(test)

    test = bench.begin("test_goes")
    handle = library.use(bench.tracker)
    bench.clock.slept = 0
    bench.clock.then.append((0.4, partial(bench.tracker.close, handle)))
    gone = bench.checker.close(test)

    test = bench.begin("test_grows")
    library.use(bench.tracker)
    (grown,) = bench.checker.close(test)

    assert (first.severity, gone, grown.severity) == ("note", [], "fail")


def test_the_users_own_beside_a_librarys_gets_the_whole_grace(
    bench: Bench, library: ModuleType
) -> None:
    test = bench.begin()
    library.use(bench.tracker)
    own = bench.tracker.open()
    bench.clock.then.append((0.4, lambda: bench.tracker.close(own)))
    (leak,) = bench.checker.close(test)

    assert (leak.severity, leak.count) == ("note", 1)
    assert leak.held_by


def test_who_keeps_what_ends_late_is_looked_for_once_for_each_call(
    bench: Bench, library: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look for it is dear, and a hundred tests may call the same helper that closes late."""
    asked = []
    look = keepers.find_holder

    def find_holder(*args: Any) -> Holder | None:
        asked.append(args)
        return look(*args)

    monkeypatch.setattr(keepers, "find_holder", find_holder)
    for n in range(3):
        test = bench.begin(f"test_{n}")
        handle = library.make(bench.tracker)
        bench.clock.slept = 0
        bench.clock.then = [(0.2, partial(bench.tracker.close, handle))]

        assert bench.checker.close(test) == []
    assert len(asked) == 1


# --- whose ---


def test_what_a_live_fixture_keeps_is_its_own_until_its_end(bench: Bench) -> None:
    pool: list[Any] = []
    fixture = bench.fixture("pool", lambda: [pool])
    test = bench.begin()
    pool.append([bench.tracker.open()])

    assert bench.checker.close(test) == []
    assert bench.clock.slept == 0, "what is handed over is not waited for"

    bench.begin("test_last")
    (leak,) = bench.checker.close_fixture(fixture)
    assert leak.owner.name == "pool"
    assert (leak.nodeid, leak.made_during) == ("test_last", "test_it")


def test_of_two_fixtures_that_share_a_value_the_first_set_up_keeps_it(bench: Bench) -> None:
    shared: list[Any] = []
    first = bench.fixture("first", lambda: [shared])
    second = bench.fixture("second", lambda: [shared])
    test = bench.begin()
    shared.append(bench.tracker.open())

    assert bench.checker.close(test) == []
    assert bench.checker.close_fixture(second) == []
    assert [leak.owner.name for leak in bench.checker.close_fixture(first)] == ["first"]


def test_a_kind_of_which_nothing_goes_is_not_handed_over(make: Callable[..., Bench]) -> None:
    """That a function can be reached from a value says nothing about who registered it."""
    bench = make(Settled())
    pool: list[Any] = []
    bench.fixture("pool", lambda: [pool])
    test = bench.begin()
    pool.append(bench.tracker.open())

    assert [leak.owner.name for leak in bench.checker.close(test)] == ["test_it"]


def test_what_a_fixture_makes_in_its_teardown_is_its_own(bench: Bench) -> None:
    fixture = bench.fixture("pool", list)
    test = bench.begin()
    assert bench.checker.close(test) == []
    kept = bench.tracker.open()

    (leak,) = bench.checker.close_fixture(fixture)
    assert leak.owner.name == "pool"
    assert kept


# --- what trackers catch in the act ---


def _captured(bench: Bench, owner: Owner | None = None, **fields: Any) -> Captured:
    assert bench.tracker.recorder is not None
    creation = bench.tracker.recorder.creation(None)._replace(owner=owner)
    return Captured("key", None, creation, description=Description("caught"), **fields)


def test_what_was_caught_is_told_with_the_test_that_runs(bench: Bench) -> None:
    test = bench.begin()
    bench.tracker.caught.append(_captured(bench))

    assert [leak.summary for leak in bench.checker.close(test, everything=True)] == ["caught"]


def test_what_an_ended_fixture_made_is_told_at_once_and_is_still_its_own(bench: Bench) -> None:
    fixture = bench.fixture("loop", list)
    bench.begin("test_first")
    assert bench.checker.close_fixture(fixture) == []
    test = bench.begin("test_second")
    bench.tracker.caught.append(_captured(bench, fixture))

    (leak,) = bench.checker.close(test, everything=True)
    assert leak.owner.name == "loop"
    assert (leak.nodeid, leak.made_during) == ("test_second", "loop")


def test_what_an_earlier_test_made_is_told_of_the_test_that_runs(bench: Bench) -> None:
    """But for what was dropped: a runner that lives on keeps the context of its first test."""
    first = bench.begin("test_first")
    assert bench.checker.close(first) == []
    test = bench.begin("test_second")
    bench.tracker.caught.append(_captured(bench, first))

    assert [leak.owner.name for leak in bench.checker.close(test, everything=True)] == [
        "test_second"
    ]


def test_what_is_caught_and_still_listed_is_told_once(bench: Bench) -> None:
    test = bench.begin()
    handle = bench.tracker.open()
    key = IdentityKey(handle)
    bench.tracker.caught.append(_captured(bench)._replace(key=key))

    (leak,) = bench.checker.close(test)
    assert leak.summary != "caught"
    assert handle


def test_what_nobody_will_end_is_a_note_once_it_is_gone(bench: Bench) -> None:
    test = bench.begin()
    key = IdentityKey(Handle())
    bench.tracker.caught += [
        _captured(bench, abandoned=True)._replace(key=key),
        _captured(bench, abandoned=True)._replace(key="something that is no object"),
    ]

    severities = [leak.severity for leak in bench.checker.close(test, everything=True)]
    assert sorted(severities) == ["fail", "note"]
