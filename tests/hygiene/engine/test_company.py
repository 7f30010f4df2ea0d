"""Who could still end a suspect: without anybody, nobody waits."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine import company as module
from pytest_resource_hygiene.engine.company import Company
from pytest_resource_hygiene.engine.entries import Entry
from pytest_resource_hygiene.engine.places import Places
from pytest_resource_hygiene.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


class Closed(Tracker):
    """A kind that only code ends."""

    kind = "closed"
    ended_by_code = True


class Ending(Tracker):
    """A kind that ends by itself."""

    kind = "ending"


@pytest.fixture
def company() -> Company:
    """Return one to whom the threads that are there now, such as a parallel run's, are none."""
    company = Company(Places())
    assert not company.may_end([Entry(Closed(), 1, 1)], 1.0), "a test runner's threads do not count"
    return company


def _in_thread(target: Callable[[], Any], done: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    assert done.wait(10)
    return thread


def test_what_ends_by_itself_is_waited_for_even_among_others(company: Company) -> None:
    assert company.may_end([Entry(Closed(), 1, 1), Entry(Ending(), 2, 2)], 1.0)


def test_another_thread_may_end_anything(company: Company) -> None:
    running, done = threading.Event(), threading.Event()
    thread = _in_thread(lambda: (running.set(), done.wait(10)), running)
    try:
        assert company.may_end([Entry(Closed(), 1, 1)], 1.0)
    finally:
        done.set()
        thread.join()
    give_up_at = time.monotonic() + 10  # the kernel lets go of a thread a moment after the join
    while company.may_end([Entry(Closed(), 1, 1)], 1.0) and time.monotonic() < give_up_at:
        time.sleep(0.001)
    assert not company.may_end([Entry(Closed(), 1, 1)], 1.0)


def test_a_child_may_send_a_signal(company: Company) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        assert company.may_end([Entry(Closed(), 1, 1)], 1.0)
    assert not company.may_end([Entry(Closed(), 1, 1)], 1.0)


def test_a_clock_may_ring_in_time_and_one_that_rings_later_does_not(company: Company) -> None:
    before = signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        assert company.may_end([Entry(Closed(), 1, 1)], 61)
        assert not company.may_end([Entry(Closed(), 1, 1)], 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_a_thread_in_code_of_the_runner_alone_does_nothing_to_a_test(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver of an xdist worker is always there; one that calls the user's code may do it."""
    file = tmp_path / "site-packages" / "execnet" / "receiver.py"
    code = compile("def receive(then): then()", str(file), "exec")
    names: dict[str, Any] = {}
    exec(code, names)  # there is no other way to be in another file
    running, done = threading.Event(), threading.Event()

    def wait_in_tests() -> None:
        running.set()
        done.wait(10)

    thread = _in_thread(lambda: names["receive"](wait_in_tests), running)
    try:
        assert company.may_end([Entry(Closed(), 1, 1)], 1.0)
        monkeypatch.setattr(module, "_IDLE_PLACES", module._IDLE_PLACES | {"user"})
        assert not company.may_end([Entry(Closed(), 1, 1)], 1.0)
    finally:
        done.set()
        thread.join()
