"""Whether time can change anything on a loop that does not run."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.trackers._idle_loops import can_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Loop = asyncio.AbstractEventLoop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Yield a loop of which nobody has asked anything."""
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other thread count: the worker of a parallel run has some."""
    monkeypatch.setattr("_thread._count", lambda: 0)


@pytest.mark.usefixtures("alone")
def test_nothing_changes_where_nothing_is_awaited(loop: Loop) -> None:
    """Neither on a new loop, nor where a timer is cancelled or rings too late."""
    loop.call_later(0.5, print).cancel()
    timer = loop.call_later(60, print)

    assert not can_change(loop, 1)

    timer.cancel()


_EVENTS = [
    pytest.param(lambda loop, end: loop.call_later(0.5, print), id="timer"),
    pytest.param(lambda loop, end: loop.call_soon(print), id="callback"),
    pytest.param(lambda loop, end: loop.add_reader(end, print), id="descriptor"),
    pytest.param(lambda loop, end: loop.add_writer(end.fileno(), print), id="number"),
]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("expect", _EVENTS)
def test_whatever_may_call_the_loop_is_waited_for(
    loop: Loop, expect: Callable[[Loop, socket.socket], object]
) -> None:
    """A timer that rings in time, a callback that is due, a descriptor that it watches."""
    one, other = socket.socketpair()
    with one, other:
        expect(loop, one)

        assert can_change(loop, 1)

        loop.remove_reader(one)
        loop.remove_writer(one)


def test_a_thread_may_call_any_loop(loop: Loop) -> None:
    """It is enough that there is one: what it will do, nobody knows."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert can_change(loop, 1)
    finally:
        stop.set()
        thread.join()


def test_of_an_unknown_loop_anything_is_expected() -> None:
    """One that is written in C shows neither timers nor descriptors."""
    assert can_change(object(), 1)
