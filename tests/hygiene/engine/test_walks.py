"""Walks along references meet any object, and run no code of it: what it says may be a lie."""

from __future__ import annotations

import functools
import logging
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pytest

from pytest_resource_hygiene.engine.origins.singletons import habit_of
from pytest_resource_hygiene.engine.references import holders
from pytest_resource_hygiene.engine.references.handed_out import still_open
from pytest_resource_hygiene.engine.references.held_numbers import HeldNumbers, of_process
from pytest_resource_hygiene.engine.references.holders import executor_of, find_holder, has_seat
from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.model import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator


class Thing:
    """Stands for a resource."""


class LyingDict(dict[Any, Any]):
    """Has pairs, and refuses to tell."""

    def __iter__(self) -> Any:
        raise RuntimeError

    keys = values = items = __iter__  # type: ignore[assignment]


class LyingList(list[Any]):
    """Has members, and refuses to tell."""

    def __iter__(self) -> Any:
        raise RuntimeError


class Unequal:
    """Can be called, and not be compared."""

    def __call__(self, number: int) -> None:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


class LyingMeta(type):
    """Has classes that cannot be asked for any method."""

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise RuntimeError


class OfLyingClass(metaclass=LyingMeta):
    """Keeps what it is given."""


class NoModule:
    """Says nothing of use about the module that it is from."""


NoModule.__module__ = []  # type: ignore[assignment]


class Proxy:
    """Has what it keeps somewhere else, out of anybody's context."""

    __slots__ = ("kept",)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module whose globals hold things."""
    one = ModuleType("keeps_things")
    monkeypatch.setitem(sys.modules, one.__name__, one)
    yield one
    vars(one).clear()


def _keeping(cls: type, thing: Thing) -> Any:
    keeper = cls()
    keeper.kept = thing
    return keeper


def _without_init(thing: Thing) -> logging.Logger:
    logger = logging.Logger.__new__(logging.Logger)
    vars(logger)["kept"] = thing
    return logger


KEEPERS: dict[str, Any] = {
    "dict": lambda thing: LyingDict(kept=thing),
    "list": lambda thing: LyingList([thing]),
    "metaclass": functools.partial(_keeping, OfLyingClass),
    "module of a class": functools.partial(_keeping, NoModule),
    "proxy": functools.partial(_keeping, Proxy),
    "logger without a name": _without_init,
}


@pytest.mark.parametrize("keep", KEEPERS.values(), ids=KEEPERS)
def test_the_way_leads_through_what_lies_about_itself(module: Any, keep: Any) -> None:
    thing = Thing()
    module.keeper = keep(thing)

    holder = find_holder(thing, lambda name: name == module.__name__)
    assert holder is not None
    assert holder.path[:2] == ("module keeps_things", "keeps_things.keeper")
    assert reachable([module.keeper], {id(thing)}, {5}, loops=()) == {id(thing)}
    assert executor_of(thing) is None
    assert not has_seat(thing)


def test_a_value_by_a_weak_key_is_kept_by_whoever_keeps_the_key(module: Any) -> None:
    """The table alone keeps nothing: it goes with the key, as what a library notes of a task."""
    table: WeakKeyDictionary[Thing, Thing] = WeakKeyDictionary()
    key, thing = Thing(), Thing()
    table[key] = thing
    module.table = table

    holder = find_holder(thing, lambda name: name == module.__name__)
    assert holder is None or not holder.module
    module.keeper = [key]
    holder = find_holder(thing, lambda name: name == module.__name__)
    assert holder is not None
    assert holder.path[:2] == ("module keeps_things", "keeps_things.keeper")


def test_a_class_that_lies_about_its_module_is_no_seat() -> None:
    NoModule.held = Thing()  # type: ignore[attr-defined]
    try:
        assert not has_seat(NoModule.held)  # type: ignore[attr-defined]
    finally:
        del NoModule.held  # type: ignore[attr-defined]


@pytest.mark.parametrize("keep", [LyingList, lambda numbers: LyingDict.fromkeys(numbers, 0)])
def test_numbers_are_found_in_a_collection_that_refuses_to_be_gone_through(keep: Any) -> None:
    assert reachable([SimpleNamespace(fds=keep([70, 71]))], (), {71}) == {71}


def test_a_callback_that_cannot_be_compared_ends_nothing() -> None:
    """Beside it, one that closes a descriptor is known for that."""
    callbacks = [functools.partial(Unequal(), 70), functools.partial(os.close, 71)]

    assert reachable(callbacks, (), {70, 71}) == {71}


@pytest.mark.parametrize(
    "methods",
    [
        ("run_until_complete", "call_soon_threadsafe"),
        ("add_handler", "run_sync"),  # tornado's
        ("addReader", "callLater", "fireSystemEvent"),  # twisted's
    ],
)
def test_no_loop_of_any_library_leads_to_what_runs_on_it(methods: tuple[str, ...]) -> None:
    loop = type("Loop", (), dict.fromkeys(methods, lambda _: None))()
    server, connection = SimpleNamespace(loop=loop), Thing()
    loop.handlers = {5: connection}

    assert reachable([server], {id(connection)}, (), loops=set()) == set()


def test_the_loop_is_passed_through_to_its_executor_only() -> None:
    """Also where it is one of a class of somebody's own; without ids of loops it is like all else."""

    class Loop:
        def run_until_complete(self) -> None: ...
        def call_soon_threadsafe(self) -> None: ...

    class Pool:
        def submit(self) -> None: ...
        def shutdown(self) -> None: ...

    loop, other = Loop(), Loop()
    worker, task = Thing(), Thing()
    for one in (loop, other):
        vars(one).update(_default_executor=Pool(), task=task)
    vars(loop)["_default_executor"].worker = worker
    targets = {id(worker), id(task)}

    assert reachable([loop], targets, (), loops={id(loop)}) == {id(worker)}
    assert reachable([loop], targets, (), loops={id(other)}) == set()
    assert reachable([loop], targets, ()) == targets


@pytest.mark.parametrize(
    ("name", "is_followed"),
    [("pytest_httpserver.server", True), ("pytestify", True), ("_pytest.config", False)],
)
def test_a_library_for_tests_is_not_the_test_runner(name: str, *, is_followed: bool) -> None:
    """The value of a fixture may be a server of a package whose name begins with "pytest"."""
    server = type("Server", (), {"__module__": name})()
    thing = Thing()
    server.connection = thing

    assert (reachable([server], {id(thing)}, ()) == {id(thing)}) == is_followed


def test_a_buffer_of_a_log_keeps_nothing_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twisted's holds events, and these the factory of whoever has connected, until it logs."""
    thing, module = Thing(), ModuleType("twisted.python.log")
    vars(module)["beginner"] = [thing]
    monkeypatch.setitem(sys.modules, module.__name__, module)

    assert find_holder(thing, lambda name: name == module.__name__) is None


class greenlet:
    """Runs somebody's function."""

    def __init__(self, thing: Thing) -> None:
        self.local = thing


class Hub(greenlet):
    """Runs greenlets, and has workers of its own."""

    def __init__(self) -> None:
        self.has: list[object] = []


def test_a_hub_keeps_its_own_and_not_what_the_greenlets_have_that_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub, own, thing = Hub(), Thing(), Thing()
    hub.has += [own, greenlet(thing)]
    found = [(Holder("gevent", ("gevent",)), hub)]
    monkeypatch.setattr(holders, "kept_in_c", lambda: found)

    def is_gevent(name: str) -> bool:
        return name == "gevent"

    assert find_holder(own, is_gevent) is not None
    assert find_holder(thing, is_gevent) is None


def test_what_a_hub_calls_is_no_habit_of_the_hub() -> None:
    """Its loop accepts for whoever listens; its own epoll it opens when it is made."""
    folder = "/lib/site-packages/gevent/"
    accepting = ((f"{folder}_socket3.py", "__init__"), (f"{folder}hub.py", "run"))

    assert habit_of(accepting, "sockets") is None
    assert habit_of(((f"{folder}hub.py", "__init__"),), "fds") == "singleton"


def test_the_id_of_a_process_is_no_number_of_a_descriptor() -> None:
    """In a container both are small: what has one of them has not the other."""

    class Server:
        def __init__(self) -> None:
            self.fd, self.worker_pid, self.child_pids, self.count = 5, 7, [8], 9

    everything = {number for n in (5, 7, 8, 9, 11) for number in (n, of_process(n))}
    held = HeldNumbers(everything)

    assert held.of(Server()) == {5, of_process(7), of_process(8)}
    assert held.of(functools.partial(os.close, 11)) == {11}
    assert held.of((os.kill, (11, 9), {})) == {of_process(11), of_process(9)}
    assert held.of_value([11]) == {11, of_process(11)}, "nobody tells which it is"


def test_what_is_gone_is_nobodys_value() -> None:
    """A fixture that returns nothing has not handed out a loop that has ceased to exist."""
    gone: Any = SimpleNamespace(value=None, tracker=SimpleNamespace(kind="loops"))

    assert still_open([None], [gone], lambda _: None) == []
