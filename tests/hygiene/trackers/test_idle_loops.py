"""Whether time can change anything on a loop that does not run."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.trackers import _idle_loops
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
    monkeypatch.setattr(_idle_loops, "_has_threads", lambda: False)


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


@pytest.mark.usefixtures("alone")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such clock here")
def test_a_clock_that_rings_in_time_may_call_any_loop(loop: Loop) -> None:
    """Its handler is whatever the test has set; one that rings too late is none of our concern."""
    before = signal.setitimer(signal.ITIMER_REAL, 30)
    try:
        assert can_change(loop, 60)
        assert not can_change(loop, 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody counts them so cheaply")
def test_a_thread_that_python_does_not_know_may_call_any_loop() -> None:
    """A C extension's: the kernel counts it, and Python does not."""
    code = """if True:
        import asyncio, ctypes, _thread
        from pytest_resource_hygiene.trackers._idle_loops import can_change
        loop = asyncio.SelectorEventLoop()
        before = can_change(loop, 1)
        libc = ctypes.CDLL(None)
        thread = ctypes.c_ulong()
        assert not libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
        print(before, _thread._count(), can_change(loop, 1), flush=True)
        loop.close()
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "0", "True"]


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
