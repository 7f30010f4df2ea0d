"""Whatever will ring later: `threading.Timer`, asyncio timers, interval timers, POSIX timers.

A timer that merely wakes a waiting task is part of that task, and not listed here. Timers of loops
written in C (uvloop) cannot be listed from Python.
"""

from __future__ import annotations

import faulthandler
import functools
import math
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.kernel import is_armed
from pytest_resource_hygiene.objects import attribute_of, code_of
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._names import function_name
from pytest_resource_hygiene.trackers._thread_table import ThreadTable
from pytest_resource_hygiene.trackers._timer_chains import TimerChains

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder

_CLOCKS = {
    number: name
    for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
    if (number := getattr(signal, name, None)) is not None
}
_REAL = int(getattr(signal, "ITIMER_REAL", -1))  # -1: there is none
_getitimer: Any = getattr(signal, "getitimer", None)  # before any test has patched them
_setitimer: Any = getattr(signal, "setitimer", None)
_getsignal = signal.getsignal
_POSIX_TIMERS = Path("/proc/self/timers")


class TimerTracker(Tracker):
    """Timers by object or by clock."""

    kind = "timers"
    title = "timer"
    rank = 30

    def __init__(self) -> None:
        """Wait for `start`."""
        self._threads: ThreadTable | None = None
        self._loops: AsyncioTable | None = None
        self._chains = TimerChains()
        self._recorder: Recorder | None = None
        self._armed: dict[Hashable, Creation] = {}
        self._other_clocks = 0  # how often a clock but the real one was set; hardly ever
        # Only ctypes can make POSIX timers from Python; nobody else pays for reading their list.
        self._posix_possible = False
        self._posix_creation: Creation | None = None
        # faulthandler has one watchdog, a thread of its own that nothing lists: when it rings last.
        self._watchdog: tuple[Creation, float] | None = None

    def start(self, recorder: Recorder) -> None:
        """Share the tables of threads and of asyncio's things; wrap what arms a clock."""
        self._recorder = recorder
        self._threads = recorder.service(ThreadTable)
        self._loops = recorder.service(AsyncioTable)
        self._loops.describers[self.kind] = self.describe
        self._loops.creators[self.kind] = self._creation_of_caught
        recorder.wrap(signal, "setitimer", self._arming(lambda which, *_: ("clock", int(which))))
        recorder.wrap(signal, "alarm", self._arming(lambda *_: ("clock", int(signal.ITIMER_REAL))))
        recorder.on("ctypes.dlsym", self._note_symbol)
        recorder.wrap(faulthandler, "dump_traceback_later", self._setting_watchdog)
        recorder.wrap(faulthandler, "cancel_dump_traceback_later", self._stopping_watchdog)

    def _arming(self, key_of: Any) -> Any:
        def make(original: Any) -> Any:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                assert self._recorder is not None
                key = key_of(*args)
                self._armed[key] = self._recorder.creation(None)
                self._other_clocks += key[1] != _REAL
                return result

            return wrapper

        return make

    def _setting_watchdog(self, original: Any) -> Any:
        def dump_traceback_later(timeout: Any, repeat: Any = False, *rest: Any, **more: Any) -> Any:
            result = original(timeout, repeat, *rest, **more)
            assert self._recorder is not None
            rings_last = math.inf if repeat else System.monotonic() + float(timeout)
            self._watchdog = self._recorder.creation(None), rings_last
            self._other_clocks += 1
            return result

        return dump_traceback_later

    def _stopping_watchdog(self, original: Any) -> Any:
        def cancel_dump_traceback_later() -> Any:
            if self._watchdog is not None:
                assert self._recorder is not None
                self._watchdog = None
                self._other_clocks += 1
                self._recorder.stir()
            return original()

        return cancel_dump_traceback_later

    def _note_symbol(self, args: tuple[Any, ...]) -> None:
        if args[1] == "timer_create":
            self._posix_possible = True
            assert self._recorder is not None
            self._posix_creation = self._recorder.creation(None)

    def reading(self) -> object:
        """Return starts, asyncio events, and which clocks are armed."""
        loops: Any = self._loops
        return (
            self._threads.starts,  # type: ignore[union-attr]
            loops.live_timers() if loops.has_timers else None,
            len(loops.caught_timers),
            is_armed(_REAL) if _REAL >= 0 else None,
            self._other_clocks,
            _posix_timers() if self._posix_possible else None,
        )

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for clocks that may be armed past the wrapped functions; all else is recorded."""
        if _REAL < 0:
            return ()
        clock = functools.partial(is_armed, _REAL)
        return (clock, _posix_timers) if self._posix_possible else (clock,)

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List all kinds of timers."""
        assert self._threads is not None
        assert self._loops is not None
        found: dict[Hashable, Any] = {
            key: thread
            for key, thread in self._threads.scan(moment).python.items()
            if isinstance(thread, System.Timer)
        }
        found.update(self._loops.timers())
        found.update({("clock", number): number for number in _armed_clocks()})
        found.update({("posix", number): number for number in _posix_timers()})
        if self._watchdog is not None and System.monotonic() < self._watchdog[1]:
            found["watchdog", id(self._watchdog)] = self._watchdog
        return found

    def forget(self) -> None:
        """Keep only who armed the clocks that still run."""
        armed = {("clock", number) for number in _armed_clocks()}
        self._armed = {key: how for key, how in self._armed.items() if key in armed}

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who started, scheduled or armed it."""
        if isinstance(key, tuple):
            if key[0] == "watchdog":
                return value[0] if value is not None else None
            return self._posix_creation if key[0] == "posix" else self._armed.get(key)
        if isinstance(value, System.Thread):
            return self._recorder.threads.get(value) if self._recorder else None
        return self._chains.creation(value, self._loops.creation_of(value)) if self._loops else None

    def _creation_of_caught(self, key: Hashable) -> Creation | None:
        return self.creation(key, key.ref()) if isinstance(key, IdentityKey) else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the timer object."""
        return None if isinstance(key, tuple) else value

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the code of what will be called."""
        function = attribute_of(value, "function")
        return code_of(function if function is not None else attribute_of(value, "_callback"))

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether the clock rings for a tool, such as a plugin that limits the time."""
        if key != ("clock", _REAL) or self._recorder is None:
            return False
        return self._recorder.is_tool_code(_getsignal(signal.SIGALRM))

    def drain(self) -> Collection[Captured]:
        """Return the timers of loops that a runner was about to close."""
        assert self._loops is not None
        caught, self._loops.caught_timers = self._loops.caught_timers, []
        return [one for one in caught if not self._chains.goes_on(one.creation)]

    def pause(self, keys: Collection[Hashable], seconds: float) -> bool:
        """Let the timers' own loops run."""
        assert self._loops is not None
        timers = [timer for key, timer in self._loops.timers().items() if key in keys]
        return self._loops.run_loops({timer._loop for timer in timers}, seconds)  # noqa: SLF001

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say what will ring."""
        if isinstance(key, tuple):
            return _describe_clock(key[0], value)
        if isinstance(value, System.Timer):
            target = function_name(value.function)
            return Description(
                summary=f"threading.Timer of {value.interval} s calling {target}",
                target=target,
                details={"interval": value.interval, "function": target, "thread": value.name},
                hint="call cancel() and join() it",
            )
        target = function_name(attribute_of(value, "_callback"))
        return Description(
            summary=f"asyncio timer calling {target}",
            target=target,
            details={"callback": target},
            hint="keep what call_later() returned and cancel() it",
        )

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Disarm an interval timer."""
        if isinstance(key, tuple) and key[0] == "clock":
            _setitimer(key[1], 0)
            return True
        if isinstance(key, tuple) and key[0] == "watchdog" and value is self._watchdog:
            faulthandler.cancel_dump_traceback_later()
            return True
        return False

    def blind_spot(self) -> str | None:
        """Name what cannot be listed here."""
        if sys.platform != "linux" or not _POSIX_TIMERS.exists():
            return "POSIX timers cannot be listed here"
        return None

    def specimen(self) -> AbstractContextManager[object] | None:
        """Arm a clock that only runs while this process computes, for an hour."""
        number = getattr(signal, "ITIMER_VIRTUAL", None)
        if number is None or threading.current_thread() is not threading.main_thread():
            return None
        return _Armed(number)


class _Armed:
    """Context with a clock armed."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        self._old = signal.setitimer(self._number, 3600)

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(self._number, *self._old)


def _armed_clocks() -> tuple[int, ...]:
    return tuple(number for number in _CLOCKS if _getitimer(number)[0] > 0)


def _posix_timers() -> tuple[str, ...]:
    try:
        text = System.read(str(_POSIX_TIMERS)).decode("ascii")
    except OSError:
        return ()
    return tuple(line[4:] for line in text.splitlines() if line.startswith("ID: "))


def _describe_clock(form: str, value: Any) -> Description:
    if form == "posix":
        return Description(summary="POSIX timer", target="timer_create", hint="call timer_delete()")
    if form == "watchdog":
        again = ", again and again" if value[1] == math.inf else ""
        return Description(
            summary=f"faulthandler's watchdog, to print all stacks{again}",
            target="faulthandler.dump_traceback_later",
            hint="call faulthandler.cancel_dump_traceback_later()",
        )
    name = _CLOCKS[value]
    left, interval = _getitimer(value)
    return Description(
        summary=f"interval timer {name} armed",
        target=name,
        details={"clock": name, "seconds_left": round(left, 3), "interval": interval},
        hint="call signal.alarm(0)"
        if name == "ITIMER_REAL"
        else f"call signal.setitimer({name}, 0)",
    )


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return TimerTracker()
