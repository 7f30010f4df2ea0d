"""The kinds `timers` and `signals`, where ctypes and faulthandler go past Python's own functions."""

from __future__ import annotations

import asyncio
import faulthandler
import math
import os
import signal
import sys
import threading
import time
from contextlib import closing
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.tracker import IdentityKey, Moment
from pytest_resource_hygiene.trackers import _clocks, _signal_slots, signals
from pytest_resource_hygiene.trackers._signal_slots import caught_signals
from pytest_resource_hygiene.trackers.signals import SignalTracker
from pytest_resource_hygiene.trackers.timers import TimerTracker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_resource_hygiene.recorder import Recorder

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what C code has set")


@pytest.fixture
def clocks(recorder: Recorder) -> TimerTracker:
    """The tracker of timers."""
    tracker = TimerTracker()
    recorder.start_tracker(tracker)
    return tracker


@pytest.fixture
def slots(recorder: Recorder) -> SignalTracker:
    """The tracker of signals."""
    tracker = SignalTracker()
    recorder.start_tracker(tracker)
    return tracker


def _system(text: bytes) -> Any:
    def read(_path: str) -> bytes:
        if not text:
            raise PermissionError
        return text

    return SimpleNamespace(read=read, Timer=threading.Timer)  # a plugin may have a thread running


# --- timers ---


def test_posix_timers_are_read_once_somebody_may_make_them(
    recorder: Recorder, clocks: TimerTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a look-up of ``timer_create`` by ctypes says so; who did that is who made them."""
    listing = b"ID: 4\nsignal: 14/0000\nnotify: signal/pid.7\nID: 5\n"
    monkeypatch.setattr(_clocks, "System", _system(listing))
    recorder.events["ctypes.dlsym"]((None, "getpid"))
    assert len(clocks.probes()) == 1

    recorder.events["ctypes.dlsym"]((None, "timer_create"))
    assert len(clocks.probes()) == 2
    found = {
        key: one for key, one in clocks.list_resources(Moment()).items() if "posix" in str(key)
    }
    creations = {clocks.creation(key, value) for key, value in found.items()}
    words = {clocks.describe(key, value).summary for key, value in found.items()}

    assert len(found) == 2
    assert words == {"POSIX timer"}
    (creation,) = creations
    assert creation is not None
    assert clocks.probes()[-1]() == ("4", "5")  # type: ignore[index]
    assert not any(clocks.restore(key, value, None) for key, value in found.items())


def test_a_list_of_posix_timers_that_cannot_be_read_is_empty(
    recorder: Recorder, clocks: TimerTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel without checkpoints has no such file."""
    monkeypatch.setattr(_clocks, "System", _system(b""))
    recorder.events["ctypes.dlsym"]((None, "timer_create"))

    assert not [key for key in clocks.list_resources(Moment()) if "posix" in str(key)]


def test_a_kernel_that_does_not_list_posix_timers_is_a_blind_spot(
    clocks: TimerTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary says so, there and on other systems."""
    monkeypatch.setattr(_clocks, "_POSIX_TIMERS", SimpleNamespace(exists=lambda: True))
    assert (clocks.blind_spot() is None) == (sys.platform == "linux")
    monkeypatch.setattr(_clocks, "_POSIX_TIMERS", SimpleNamespace(exists=lambda: False))
    assert "POSIX" in str(clocks.blind_spot())


def _clock_keys(clocks: TimerTracker) -> list[tuple[Any, ...]]:
    return [key for key in clocks.list_resources(Moment()) if isinstance(key, tuple)]


@pytest.mark.parametrize("repeat", [False, True])
def test_a_watchdog_is_listed_until_it_is_cancelled(clocks: TimerTracker, *, repeat: bool) -> None:
    """One that repeats never rings last; restoring cancels the present one only."""
    before = clocks.reading()
    faulthandler.dump_traceback_later(3600, repeat=repeat)
    try:
        assert clocks.reading() != before
        [(key, value)] = [
            (key, value)
            for key, value in clocks.list_resources(Moment()).items()
            if isinstance(key, tuple) and key[0] == "watchdog"
        ]
        assert (value[1] == math.inf) == repeat
        assert ("again and again" in clocks.describe(key, value).summary) == repeat
        assert not clocks.restore(key, (None, 0.0), None), "an earlier one"
        assert clocks.restore(key, value, None)
        assert key not in clocks.list_resources(Moment())
    finally:
        faulthandler.cancel_dump_traceback_later()


def test_a_watchdog_that_has_rung_is_gone(
    clocks: TimerTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulthandler.dump_traceback_later(3600)
    try:
        later = time.monotonic() + 3601
        monkeypatch.setattr(_clocks.System, "monotonic", staticmethod(lambda: later))
        assert not [key for key in _clock_keys(clocks) if key[0] == "watchdog"]
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.skipif(sys.platform == "win32", reason="interval timers are needed")
def test_each_clock_changes_the_reading_and_only_the_real_one_may_be_a_tools(
    clocks: TimerTracker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that limits the time rings by SIGALRM; no handler of that says whose another is."""
    for number in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        before = clocks.reading()
        signal.setitimer(number, 3600)
        try:
            assert clocks.reading() != before
            assert ("clock", int(number)) in _clock_keys(clocks)
        finally:
            signal.setitimer(number, 0)

    monkeypatch.setattr(recorder, "is_tool_code", lambda _: True)
    assert clocks.is_ours(("clock", int(signal.ITIMER_REAL)), None)
    assert not clocks.is_ours(("clock", int(signal.ITIMER_VIRTUAL)), None)


def test_the_watchdog_takes_its_arguments_as_ever(clocks: TimerTracker, tmp_path: Path) -> None:
    """By position or by name: file and exit come third and fourth."""
    with (tmp_path / "stacks").open("w", encoding="utf-8") as file:
        try:
            faulthandler.dump_traceback_later(3600, True, file, False)
            faulthandler.dump_traceback_later(timeout=3600, repeat=True, file=file, exit=False)
        finally:
            faulthandler.cancel_dump_traceback_later()


def test_the_specimen_is_a_clock_of_the_main_thread(clocks: TimerTracker) -> None:
    """Another thread may not set one."""
    specimen = clocks.specimen()
    assert specimen is not None
    before = set(clocks.list_resources(Moment()))
    with specimen:
        assert len(set(clocks.list_resources(Moment())) - before) == 1
    assert set(clocks.list_resources(Moment())) == before

    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(clocks.specimen()))
    thread.start()
    thread.join()
    assert found == [None]


# --- signals ---


@linux_only
def test_what_ctypes_sets_is_compared_with_what_was_caught_before(
    recorder: Recorder, slots: SignalTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the look-up of the function on, the kernel is asked; it names no maker but who looked."""
    caught = {int(signal.SIGUSR2)}
    monkeypatch.setattr(signals, "caught_signals", lambda: frozenset(caught))
    number = int(signal.SIGURG)
    assert signal.getsignal(number) is signal.SIG_DFL
    recorder.events["ctypes.dlsym"]((None, "getpid"))
    assert len(slots.probes()) == 1

    recorder.events["ctypes.dlsym"]((None, "sigaction"))
    assert len(slots.probes()) == 2
    before, reading = slots.list_resources(Moment()), slots.reading()
    assert before[int(signal.SIGUSR2)] == signal.SIG_DFL, "it was caught before"
    caught.add(number)
    recorder.events["ctypes.dlsym"]((None, "signal"))
    after = slots.list_resources(Moment())

    assert slots.reading() != reading
    assert [key for key in after if after[key] != before[key]] == [number]
    said = slots.describe(number, after[number], before[number])
    assert said.summary == "SIGURG: handler SIG_DFL replaced by a handler set from C"
    creation = slots.creation(number, after[number])
    assert creation is not None


@pytest.mark.parametrize("text", [b"", b"Name:\tpython\n", b"Name:\tx\nSigCgt:\n"])
def test_a_kernel_that_tells_no_caught_signals_is_asked_in_vain(
    monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    """The file may be hidden, or another system's."""
    monkeypatch.setattr(_signal_slots, "System", _system(text))

    assert caught_signals() == frozenset()


def test_the_mask_of_caught_signals_begins_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As proc_pid_status(5) says: bit 0 is signal 1."""
    monkeypatch.setattr(
        _signal_slots, "System", _system(b"Name:\tx\nSigCgt:\t8000000000004001\nx\n")
    )

    assert caught_signals() == {1, 15, 64}


class _Slotted:
    """A handler without weak references."""

    __slots__ = ()

    def __call__(self, number: int, frame: Any) -> None:
        """Do nothing."""


def test_a_handler_without_weak_references_is_listed_and_not_followed(slots: SignalTracker) -> None:
    """It cannot be known again when it is put back; its record is that of the last call."""
    before = signal.signal(signal.SIGURG, _Slotted())
    try:
        number = int(signal.SIGURG)
        value = slots.list_resources(Moment())[number]
        assert type(value) is _Slotted
        assert slots.creation(number, value) is not None
        assert not slots._known_calls().installed(number)
        assert "_Slotted object" in slots.describe(number, value, before).summary
        assert slots.restore(number, value, before)
        assert signal.getsignal(number) is before
    finally:
        signal.signal(signal.SIGURG, before)


def test_only_the_main_thread_can_put_a_handler_back(slots: SignalTracker) -> None:
    """Elsewhere, and for a handler that was set from C, it is said that nothing was done."""
    done: list[bool] = []
    number = int(signal.SIGURG)
    thread = threading.Thread(
        target=lambda: done.extend([slots.restore(number, print, signal.SIG_DFL)])
    )
    thread.start()
    thread.join()

    assert done == [False]
    assert not slots.restore(number, print, None)
    with closing(asyncio.new_event_loop()) as loop:
        assert not slots.restore(("loop", IdentityKey(loop), number), print, None), "it has none"
    assert not slots.restore(("loop", IdentityKey(loop), number), print, None)


def test_a_number_without_a_name_is_shown_as_a_number(slots: SignalTracker) -> None:
    """Real-time signals between the first and the last have none."""
    said = slots.describe(40, print, signal.SIG_DFL)

    assert said.summary.startswith("signal 40: ")


def _of_module(number: int, frame: Any) -> None: ...


def _of_module_too(number: int, frame: Any) -> None: ...


def _calls(former: Any) -> Any:
    def handler(number: int, frame: Any) -> None:
        former(number, frame)

    return handler


@pytest.fixture
def usr1() -> Iterator[int]:
    """A signal whose handler is put back behind the test."""
    if not hasattr(signal, "SIGUSR1"):
        pytest.skip("the signals of POSIX are needed")
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield int(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_handlers_of_one_module_are_no_chain(slots: SignalTracker, usr1: int) -> None:
    """Every function reaches all others of its module; only one that keeps another is on top."""
    signal.signal(usr1, _of_module)
    signal.signal(usr1, _of_module_too)
    assert slots._depth(usr1, _of_module_too) == 1

    on_top = _calls(_of_module)
    signal.signal(usr1, on_top)
    assert slots._depth(usr1, on_top) == 2


def test_the_interpreters_own_handler_is_no_link_of_a_chain(
    slots: SignalTracker, usr1: int
) -> None:
    """Nobody's code is behind it: who calls it calls nobody's listener."""
    signal.signal(usr1, signal.default_int_handler)
    alone = _calls(signal.default_int_handler)
    signal.signal(usr1, alone)

    assert slots._depth(usr1, alone) == 1


class _Incomparable:
    """A handler that raises when it is compared."""

    def __call__(self, number: int, frame: Any) -> None:
        """Do nothing."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = object.__hash__


def test_a_handler_is_not_compared_with_the_method_before_it(
    slots: SignalTracker, usr1: int
) -> None:
    """A method leaves the answer to the other, which may do anything."""
    method, handler = _Incomparable().__call__, _Incomparable()
    signal.signal(usr1, method)
    signal.signal(usr1, handler)

    assert slots.creation(usr1, handler) is not None
    assert [ref() for ref, _ in slots._known_calls().installed(usr1)][-1] is handler


def _numbers(slots: SignalTracker) -> list[int]:
    """The signals of the calls that are on record, but for that of the fixture."""
    return [int(call[0]) for call in slots._known_calls()._calls[1:]]


def test_a_function_that_undoes_its_call_leaves_no_record(slots: SignalTracker, usr1: int) -> None:
    """The runner of asyncio does so in each test."""
    calls = slots._known_calls()
    pulse = calls._recorder.pulse
    before = signal.signal(usr1, _of_module)
    signal.signal(usr1, before)

    assert not _numbers(slots)
    assert calls._recorder.pulse != pulse
    assert not calls.installed(usr1)


@pytest.mark.parametrize("then", [_of_module, signal.SIG_IGN])
def test_a_call_that_undoes_more_than_the_last_is_on_record(
    slots: SignalTracker, usr1: int, then: Any
) -> None:
    """What it puts back is not what the last one has found."""
    before = signal.signal(usr1, _of_module_too)
    signal.signal(usr1, then)
    signal.signal(usr1, before)

    assert _numbers(slots) == [usr1] * 3
    assert slots.creation(usr1, before) is not None


def test_what_another_function_puts_back_is_on_record(slots: SignalTracker, usr1: int) -> None:
    """It may do so for a moment only."""

    def put_back() -> None:
        signal.signal(usr1, before)

    before = signal.signal(usr1, _of_module)
    put_back()

    assert _numbers(slots) == [usr1] * 2


def test_a_call_for_another_signal_undoes_nothing(slots: SignalTracker, usr1: int) -> None:
    """Both had the same handler before."""
    before = signal.signal(usr1, _of_module)
    assert signal.getsignal(signal.SIGURG) is before
    signal.signal(signal.SIGURG, before)

    assert _numbers(slots) == [usr1, signal.SIGURG]
    assert slots.creation(usr1, _of_module) is not None


def _named_handlers() -> Iterator[tuple[Any, str]]:
    def in_main(number: int, frame: Any) -> None: ...
    def nowhere(number: int, frame: Any) -> None: ...

    in_main.__module__, in_main.__qualname__ = "__main__", "on_term"
    nowhere.__module__, nowhere.__qualname__ = 5, "on_term"  # type: ignore[assignment]
    yield in_main, "__main__.on_term"
    yield partial(in_main), "__main__.on_term"
    yield nowhere, "on_term"
    yield signal.default_int_handler, "signal.default_int_handler"
    yield _Slotted(), f"{__name__}._Slotted object"


@pytest.mark.parametrize(("handler", "name"), list(_named_handlers()))
def test_a_handler_is_named_as_its_author_would(
    slots: SignalTracker, handler: Any, name: str
) -> None:
    said = slots.describe(int(signal.SIGTERM), handler, signal.SIG_IGN)

    assert said.summary == f"SIGTERM: handler SIG_IGN replaced by {name}"


def test_a_tools_handler_counts_towards_no_limit(
    slots: SignalTracker, recorder: Recorder, usr1: int
) -> None:
    """It reaches the whole session."""
    signal.signal(usr1, _of_module)
    on_top = _calls(_of_module)
    signal.signal(usr1, on_top)
    assert [(event, count) for _, event, count, _ in slots.iter_limits()] == [("SIGUSR1", 2)]

    recorder.is_tool_code = lambda handler: handler is on_top
    assert list(slots.iter_limits()) == []


def test_what_is_put_back_within_a_test_was_made_where_it_was_first_set(
    slots: SignalTracker, recorder: Recorder, usr1: int
) -> None:
    """In another test's window, whoever sets it again is the one to ask."""

    def in_between() -> None:
        former = signal.signal(usr1, signal.SIG_DFL)
        signal.signal(usr1, former)

    signal.signal(usr1, _of_module)
    in_between()
    here = slots.creation(usr1, _of_module)
    assert here is not None
    assert here.stack[0].co_name != "in_between"

    recorder.window = object()
    in_between()
    there = slots.creation(usr1, _of_module)
    assert there is not None
    assert there.stack[0].co_name == "in_between"


@linux_only
def test_each_slot_changes_the_reading_and_asking_changes_none(slots: SignalTracker) -> None:
    """Those of the common signals are read, changes of others are counted."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        for number in (signal.SIGUSR2, signal.SIGWINCH):
            before = slots.reading()
            former = signal.signal(number, _of_module)
            assert slots.reading() != before
            signal.signal(number, former)
        signal.set_wakeup_fd(writing)
        slots.reading()
        slots.list_resources(Moment())
        assert signal.set_wakeup_fd(-1) == writing
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


@linux_only
def test_a_handler_of_faulthandler_is_taken_out_by_faulthandler(
    slots: SignalTracker, usr1: int
) -> None:
    """It would come back otherwise: faulthandler has a list of its own."""
    faulthandler.register(usr1)
    try:
        assert slots.list_resources(Moment())[usr1] is None
        assert slots.restore(usr1, None, signal.SIG_DFL)
        assert not faulthandler.unregister(usr1), "it is out already"
        assert signal.getsignal(usr1) is signal.SIG_DFL
    finally:
        faulthandler.unregister(usr1)
