"""Whatever will ring later: `threading.Timer`, asyncio timers, interval timers, POSIX timers.

A timer that merely wakes a waiting task is part of that task, and not listed here. Timers of loops
written in C (uvloop) cannot be listed from Python.
"""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.kernel import clock_probe
from pytest_resource_hygiene.objects import attribute_of, code_of
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._clocks import REAL, Armed, Clocks, posix_timers
from pytest_resource_hygiene.trackers._names import class_name, function_name
from pytest_resource_hygiene.trackers._thread_table import ThreadTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._timer_chains import TimerChains

_getsignal = signal.getsignal  # before any test has patched it


class TimerTracker(Tracker):
    """Timers by object or by clock."""

    kind = "timers"
    title = "timer"
    rank = 30

    def __init__(self) -> None:
        """Wait for `start`."""
        self._threads: ThreadTable | None = None
        self._loops: AsyncioTable | None = None
        self._recorder: Recorder | None = None
        self._clocks: Clocks | None = None
        self._clock = clock_probe(REAL) if REAL >= 0 else None

    def start(self, recorder: Recorder) -> None:
        """Share the tables of threads and of asyncio's things; wrap what arms a clock."""
        self._recorder = recorder
        self._threads = recorder.service(ThreadTable)
        self._loops = recorder.service(AsyncioTable)
        self._loops.closing.describers[self.kind] = self.describe
        self._loops.closing.creators[self.kind] = self._creation_of_caught
        self._clocks = Clocks(recorder)

    def _known_clocks(self) -> Clocks:
        assert self._clocks is not None, "start() comes first"
        return self._clocks

    def reading(self) -> object:
        """Return starts, asyncio events, and which clocks are armed."""
        loops: Any = self._loops
        clocks: Any = self._clocks
        return (
            self._threads.starts,  # type: ignore[union-attr]
            loops.live_timers() if loops.has_timers else None,
            len(loops.closing.caught_timers),
            self._clock() if self._clock is not None else None,
            clocks.changes,
            posix_timers() if clocks.posix_possible else None,
        )

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for clocks that may be armed past the wrapped functions; all else is recorded."""
        if self._clock is None:
            return ()
        posix_possible = self._known_clocks().posix_possible
        return (self._clock, posix_timers) if posix_possible else (self._clock,)

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
        found.update(self._known_clocks().listed())
        return found

    def forget(self) -> None:
        """Keep only who armed the clocks that still run."""
        self._known_clocks().forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who started, scheduled or armed it."""
        if isinstance(key, tuple):
            return self._known_clocks().creation(key, value)
        if isinstance(value, System.Thread):
            return self._recorder.threads.get(value) if self._recorder else None
        return self._chains.creation(value, self._loops.creation_of(value)) if self._loops else None

    @functools.cached_property
    def _chains(self) -> TimerChains:
        # Loaded with the first timer that anything is asked about: most tests have none.
        from pytest_resource_hygiene.trackers._timer_chains import TimerChains

        return TimerChains()

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
        """Return whether it rings for a tool, such as a plugin that limits the time."""
        if self._recorder is None:
            return False
        if isinstance(value, System.Timer):
            return self._recorder.is_tool_code(attribute_of(value, "function"))
        if key != ("clock", REAL):
            return False
        return self._recorder.is_tool_code(_getsignal(signal.SIGALRM))

    def drain(self) -> Collection[Captured]:
        """Return the timers of loops that a runner was about to close."""
        assert self._loops is not None
        closing = self._loops.closing
        caught, closing.caught_timers = closing.caught_timers, []
        return [one for one in caught if not self._chains.goes_on(one.creation)] if caught else []

    def pause(self, keys: Collection[Hashable], seconds: float) -> bool:
        """Let the timers' own loops run."""
        assert self._loops is not None
        timers = [timer for key, timer in self._loops.timers().items() if key in keys]
        return self._loops.run_loops({timer._loop for timer in timers}, seconds)  # noqa: SLF001

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say what will ring."""
        if isinstance(key, tuple):
            return Clocks.describe(key, value)
        if isinstance(value, System.Timer):
            return _describe_thread(value)
        target = function_name(attribute_of(value, "_callback"))
        return Description(
            summary=f"asyncio timer calling {target}",
            target=target,
            details={"callback": target},
            hint="keep what call_later() returned and cancel() it",
        )

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Disarm a clock; timers that are objects are left as they are."""
        return isinstance(key, tuple) and self._known_clocks().disarm(key, value)

    def blind_spot(self) -> str | None:
        """Name what cannot be listed here."""
        return Clocks.blind_spot()

    def specimen(self) -> AbstractContextManager[object] | None:
        """Arm a clock that only runs while this process computes, for an hour."""
        return Armed.virtual()


def _describe_thread(timer: Any) -> Description:
    """Say when which function is called; a class derived from Python's own need have neither."""
    function, interval = attribute_of(timer, "function"), attribute_of(timer, "interval", "?")
    target = function_name(function) if function is not None else f"{class_name(timer)}.run"
    return Description(
        summary=f"threading.Timer of {interval} s calling {target}",
        target=target,
        details={
            "interval": interval,
            "function": target,
            "thread": str(attribute_of(timer, "name", "?")),
        },
        hint="call cancel() and join() it",
    )


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return TimerTracker()
