"""What is handed to a live wider fixture, to which of several, and what a runner's own may take."""

from __future__ import annotations

import socket
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.handover.transfer import OwnershipTransfer
from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.engine.inventory.ledger import Ledger
from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.engine.origins.stacks import StackReader
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.tracker import Description, Tracker

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_TOOL = "/venv/site-packages/pytest_asyncio/plugin.py"


class Kind(Tracker):
    """A kind of that name, whose resources are the objects themselves."""

    def __init__(self, kind: str, *, settles: bool = True) -> None:
        """Take the name."""
        vars(self).update(kind=kind, settles=settles)

    def list_resources(self, moment: object) -> Mapping[Hashable, Any]:
        return {}

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        return Description(str(key), "")

    def anchor(self, key: Hashable, value: Any) -> Any:
        return value


def _owner(name: str, value: Any = None, file: str = __file__, scope: str = "session") -> Owner:
    code = compile("", file, "exec")
    kind = "test" if scope == "function" else "fixture"
    info = OwnerInfo(kind, name, scope)  # type: ignore[arg-type]
    return Owner(info, codes=[code], value=None if value is None else lambda: [value])


def _hand_over(entry: Entry, *fixtures: Owner) -> list[Entry]:
    ledger = Ledger({entry.tracker: None}, Recorder())
    transfer = OwnershipTransfer(ledger, StackReader(Places()), lambda: fixtures)
    assert entry.owner is not None
    return transfer.hand_over([entry], entry.owner)


def _left_by_test(kind: Tracker, value: Any) -> Entry:
    test = _owner("test_it", scope="function")
    entry = Entry(kind, "one", value, owner=test)
    test.hold(entry)
    return entry


def test_of_fixtures_that_share_a_value_the_one_that_lives_longest_takes_it() -> None:
    """The first to be set up is torn down last: the other would answer for what is still in use."""
    pool = SimpleNamespace(connection=SimpleNamespace())
    first, second = _owner("first", pool), _owner("second", pool)
    entry = _left_by_test(Kind("sockets"), pool.connection)

    assert _hand_over(entry, first, second) == []
    assert entry.owner is first
    assert (list(first.held), list(second.held)) == ([entry], [])


def test_what_no_fixture_keeps_stays_with_the_test() -> None:
    entry = _left_by_test(Kind("sockets"), SimpleNamespace())

    assert _hand_over(entry, _owner("first", SimpleNamespace())) == [entry]
    assert entry.owner is not None
    assert list(entry.owner.held) == [entry]


def test_that_a_function_can_be_reached_says_nothing() -> None:
    """A handler or callback is kept by whoever calls it; of such kinds nothing is handed over."""
    value = SimpleNamespace(callback=SimpleNamespace())
    entry = _left_by_test(Kind("signals", settles=False), value.callback)

    assert _hand_over(entry, _owner("first", value)) == [entry]


@pytest.mark.parametrize(("file", "taken"), [(_TOOL, False), (__file__, True)])
def test_a_runners_own_fixture_takes_workers_only(file: str, taken: bool) -> None:
    """Its loop reaches whatever runs on it; a connection that a test has put there is the test's."""
    thread, connection = threading.Thread(), SimpleNamespace()
    keeper = _owner("_module_event_loop", [thread, connection], file)

    assert (_hand_over(_left_by_test(Kind("sockets"), connection), keeper) == []) is taken
    assert _hand_over(_left_by_test(Kind("threads"), thread), keeper) == []


def test_a_runners_own_fixture_takes_no_worker_from_another_fixture() -> None:
    thread = threading.Thread()
    mine = _owner("mine")
    entry = Entry(Kind("threads"), "one", thread, owner=mine)

    assert _hand_over(entry, _owner("_module_event_loop", [thread], _TOOL)) == [entry]
    assert entry.owner is mine


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are small numbers")
def test_a_descriptor_without_an_object_goes_by_its_number() -> None:
    """What holds the number under a name that says so holds the descriptor."""

    class Numbers(Kind):
        def anchor(self, key: Hashable, value: Any) -> Any:
            return None

    with socket.socket() as opened:
        entry = _left_by_test(Numbers("sockets"), opened.fileno())
        keeper = _owner("keeper", SimpleNamespace(fd=opened.fileno()))

        assert _hand_over(entry, keeper) == []
        assert entry.owner is keeper
