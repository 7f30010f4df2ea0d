"""The story of a check, told with a kind of our own and a clock that does not run by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hygiene.engine.bench import Bench, Handles, Settled

from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.known.allowances import Allowance
from pytest_resource_hygiene.engine.origins.stacks import StackReader
from pytest_resource_hygiene.engine.verdicts import judge
from pytest_resource_hygiene.model import OwnerInfo

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.parametrize(
    "method",
    ["anchor", "code", "creation", "describe", "drain", "forget", "is_default", "is_ours",
     "kept_in", "pause", "probes", "restore", "seat"],
)  # fmt: skip
def test_a_tracker_that_raises_is_named_and_its_leak_is_told_all_the_same(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whatever else it cannot say, what it lists is judged, and the other kinds are as well."""

    def fails(*_args: object) -> Any:
        raise RuntimeError("its own fault")

    class Failing(Handles):
        """Has the one method broken."""

    monkeypatch.setattr(Failing, method, fails)
    monkeypatch.setattr(StackReader, "library_site", lambda *_: (("/lib/made.py", "make"),))
    bench = make_bench(Failing())
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
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what later tests keep would be handed to it, and told at nobody."""

    def fails(*_args: object) -> Any:
        raise RuntimeError("our own fault")

    bench = make_bench(grace=0.0)
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


def test_a_kind_of_which_nothing_goes_is_not_handed_over(make_bench: Callable[..., Bench]) -> None:
    """That a function can be reached from a value says nothing about who registered it."""
    bench = make_bench(Settled())
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
