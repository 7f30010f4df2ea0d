"""How long suspects are waited for, and what becomes of those that go meanwhile."""

from __future__ import annotations

import gc
import importlib
import itertools
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hygiene.engine.bench import Bench, Handle, Handles

from pytest_resource_hygiene.engine.verdicts import keepers
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path
    from types import ModuleType

    from pytest_resource_hygiene.model import Holder


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
    make_bench: Callable[..., Bench], strict: bool, severity: str
) -> None:
    bench = make_bench(strict=strict)
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


def test_what_goes_while_it_is_described_went_by_itself(make_bench: Callable[..., Bench]) -> None:
    """Suspects are described before the collector runs, and that may take as long as they need."""

    class Shy(Handles):
        def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
            self.listed.clear()
            return Description("gone by now")

    bench = make_bench(Shy())
    test = bench.begin()
    kept = bench.tracker.open()

    assert bench.checker.close(test) == []
    assert bench.checker.settler.collections == 0
    assert kept


def test_what_ends_while_another_is_described_is_not_asked(
    make_bench: Callable[..., Bench],
) -> None:
    """A thread's object may go at any time: a tracker that finds nothing there is not at fault."""

    class Pair(Handles):
        def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
            kept[1:] = []
            return Description(f"handle {id(value.end)}")

    bench = make_bench(Pair())
    test = bench.begin()
    kept = [bench.tracker.open(), bench.tracker.open()]

    assert [leak.count for leak in bench.checker.close(test)] == [1]
    assert bench.checker.failures == []


@pytest.mark.parametrize(("kind", "told"), [("threads", 0), ("fds", 1)])
def test_what_can_end_by_itself_may_have_done_so_in_a_long_collection(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, kind: str, told: int
) -> None:
    """That a thread is gone after it proves nothing; a descriptor does not close itself."""
    tracker = Handles()
    vars(tracker)["kind"] = kind
    bench = make_bench(tracker)
    test = bench.begin()
    kept = bench.tracker.open()
    seconds = itertools.count()
    monkeypatch.setattr(System, "collect", tracker.listed.clear)
    monkeypatch.setattr(System, "monotonic", lambda: float(next(seconds)))

    assert [leak.severity for leak in bench.checker.close(test)] == ["note"] * told
    assert kept


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
