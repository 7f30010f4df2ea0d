"""What trackers catch in the act: with whom it is told, and that it is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hygiene.engine.bench import Bench, Handle

from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.inventory.owners import Owner


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
