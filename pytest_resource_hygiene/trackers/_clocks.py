"""Clocks of the process that have been armed: interval timers, POSIX timers, faulthandler's watchdog.

No object stands for one: they are known by what sort of clock it is, and by its number.
"""

from __future__ import annotations

import faulthandler
import math
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._put_back import Settings

if TYPE_CHECKING:
    from collections.abc import Hashable

    from pytest_resource_hygiene.recorder import Creation, Recorder

__all__ = ["REAL", "Armed", "Clocks", "posix_timers"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

REAL = int(getattr(signal, "ITIMER_REAL", -1))
"""The number of the clock of ``alarm`` and of most timeouts; -1 where there is none."""

_CLOCKS = {
    number: name
    for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
    if (number := getattr(signal, name, None)) is not None
}
_getitimer: Any = getattr(signal, "getitimer", None)  # before any test has patched them
_setitimer: Any = getattr(signal, "setitimer", None)
_POSIX_TIMERS = Path("/proc/self/timers")


class Clocks:
    """Remembers who has armed which.

    Attributes:
        changes: how often a clock but the real one was set; hardly ever.
        posix_possible: whether there may be POSIX timers. Only ctypes can make them from Python;
            nobody else pays for reading their list.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Wrap what arms a clock."""
        self.changes = 0
        self.posix_possible = False
        self._recorder = recorder
        self._armed = Settings()
        self._posix_creation: Creation | None = None
        # There is one, a thread of its own that nothing lists: who set it, and when it rings last.
        self._watchdog: tuple[Creation, float] | None = None
        recorder.wrap(signal, "setitimer", self._arming(lambda which, *_: ("clock", int(which)), 1))
        recorder.wrap(signal, "alarm", self._arming(lambda *_: ("clock", REAL), 0))
        recorder.on("ctypes.dlsym", self._note_symbol)
        recorder.wrap(faulthandler, "dump_traceback_later", self._setting_watchdog)
        recorder.wrap(faulthandler, "cancel_dump_traceback_later", self._stopping_watchdog)

    def _arming(self, key_of: Any, first: int) -> Any:
        def make(original: Any) -> Any:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                key = key_of(*args)
                before, value = _as_setting(result), _as_setting(args[first:])
                self._armed.note(key, before, value, self._recorder.creation(None))
                self.changes += key[1] != REAL
                return result

            return wrapper

        return make

    def _setting_watchdog(self, original: Any) -> Any:
        def dump_traceback_later(timeout: Any, repeat: Any = False, *rest: Any, **more: Any) -> Any:
            result = original(timeout, repeat, *rest, **more)
            rings_last = math.inf if repeat else System.monotonic() + float(timeout)
            self._watchdog = self._recorder.creation(None), rings_last
            self.changes += 1
            return result

        return dump_traceback_later

    def _stopping_watchdog(self, original: Any) -> Any:
        def cancel_dump_traceback_later() -> Any:
            if self._watchdog is not None:
                self._watchdog = None
                self.changes += 1
                self._recorder.stir()
            return original()

        return cancel_dump_traceback_later

    def _note_symbol(self, args: tuple[Any, ...]) -> None:
        if args[1] == "timer_create":
            self.posix_possible = True
            self._posix_creation = self._recorder.creation(None)

    def listed(self) -> dict[Hashable, Any]:
        """Return the armed clocks by sort and number."""
        found: dict[Hashable, Any] = {("clock", number): number for number in _armed_clocks()}
        found.update({("posix", number): number for number in posix_timers()})
        if self._watchdog is not None and System.monotonic() < self._watchdog[1]:
            found["watchdog", id(self._watchdog)] = self._watchdog
        return found

    def forget(self) -> None:
        """Keep only who armed the clocks that still run."""
        if self._armed:
            self._armed.forget([("clock", number) for number in _armed_clocks()])

    def creation(self, key: tuple[Any, ...], value: Any) -> Creation | None:
        """Return who armed a clock that was listed so."""
        if key[0] == "watchdog":
            made: Creation | None = value[0] if value is not None else None
            return made
        return self._posix_creation if key[0] == "posix" else self._armed.last(key)

    def disarm(self, key: tuple[Any, ...], value: Any) -> bool:
        """Stop a clock; return whether that was done."""
        if key[0] == "clock":
            _setitimer(key[1], 0)
            return True
        if key[0] == "watchdog" and value is self._watchdog:
            faulthandler.cancel_dump_traceback_later()
            return True
        return False

    @staticmethod
    def describe(key: tuple[Any, ...], value: Any) -> Description:
        """Say which clock will ring."""
        if key[0] == "posix":
            hint = "call timer_delete()"
            return Description(summary="POSIX timer", target="timer_create", hint=hint)
        if key[0] == "watchdog":
            again = ", again and again" if value[1] == math.inf else ""
            return Description(
                summary=f"faulthandler's watchdog, to print all stacks{again}",
                target="faulthandler.dump_traceback_later",
                hint="call faulthandler.cancel_dump_traceback_later()",
            )
        name = _CLOCKS[value]
        left, interval = _getitimer(value)
        call = "signal.alarm(0)" if value == REAL else f"signal.setitimer({name}, 0)"
        return Description(
            summary=f"interval timer {name} armed",
            target=name,
            details={"clock": name, "seconds_left": round(left, 3), "interval": interval},
            hint=f"call {call}",
        )

    @staticmethod
    def blind_spot() -> str | None:
        """Name what cannot be listed here."""
        if sys.platform != "linux" or not _POSIX_TIMERS.exists():
            return "POSIX timers cannot be listed here"
        return None


class Armed:
    """Context with a clock armed for an hour."""

    def __init__(self, number: int) -> None:
        """Take any clock's number."""
        self._number = number

    def __enter__(self) -> None:
        """Arm it."""
        self._old = signal.setitimer(self._number, 3600)

    def __exit__(self, *exc: object) -> None:
        """Put it back to what it was."""
        signal.setitimer(self._number, *self._old)

    @classmethod
    def virtual(cls) -> Armed | None:
        """Return one for the clock that runs while this process computes, where that may be set."""
        number = getattr(signal, "ITIMER_VIRTUAL", None)
        if number is None or threading.current_thread() is not threading.main_thread():
            return None
        return cls(number)


def posix_timers() -> tuple[str, ...]:
    """Return the ids of the POSIX timers of the process; none where they are not listed."""
    try:
        text = System.read(str(_POSIX_TIMERS)).decode("ascii")
    except OSError:
        return ()
    return tuple(line[4:] for line in text.splitlines() if line.startswith("ID: "))


def _as_setting(words: Any) -> tuple[float, float]:
    """Return seconds and interval, of what a clock is given or has had: for `alarm` only the first."""
    seconds, interval = (*words, 0.0)[:2] if isinstance(words, tuple) else (words, 0.0)
    return float(seconds), float(interval)


def _armed_clocks() -> tuple[int, ...]:
    return tuple(number for number in _CLOCKS if _getitimer(number)[0] > 0)
