"""Catches what a test leaves on a loop that its runner is about to close.

Test runners end a test's loop before any look at the process could see what was left on it:
``asyncio.Runner.close`` cancels all tasks, then closes the loop. At the entry of that cancellation
exactly the leaked tasks, timers and handlers are there, and the fixtures of the test are finalised.
So that is where this looks, if it is a test runner that closes. A test that calls ``asyncio.run``
by itself has asked for the cancellation and leaks nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of, is_idle
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Hashable
    from types import CodeType, FrameType

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable

__all__ = ["ClosingLoops"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

# Files whose frames mean that a test runner is closing its own loop.
_RUNNERS = ("pytest_asyncio", "anyio", "unittest", "pytest_aiohttp", "aiohttp", "pytest_tornasync")
_RUNNER_FILES = ("plugin.py", "pytest_plugin.py", "_asyncio.py", "async_case.py")
_OUR_PACKAGE = __name__.partition(".")[0]  # a check in the middle of a test looks as well
_EXECUTORS = "concurrent"
_KEPT_BY_LOOPS = ("_scheduled", "_signal_handlers")
_TURNS = 16


class ClosingLoops:
    """Looks at each loop just before its tasks are cancelled, and before it is closed by hand.

    Args:
        table: knows what is on it.
        tasks: all those that may be pending, in the table's own list.
        recorder: knows who waits, and for how long.

    Attributes:
        describers: the kinds put their words here, for what is caught has to be described at once.
        creators: how the kinds find the origin of what is caught, where they know better.
        coders: how the kinds find the code that it runs.
        caught_tasks: and async generators.
        caught_timers: of loops.
        caught_handlers: of signals.
    """

    def __init__(
        self, table: AsyncioTable, tasks: list[tuple[weakref.ref[Any], Any]], recorder: Recorder
    ) -> None:
        """Have caught nothing yet."""
        self.describers: dict[str, Callable[[Hashable, Any], Description]] = {}
        self.creators: dict[str, Callable[[Hashable], Creation | None]] = {}
        self.coders: dict[str, Callable[[Hashable, Any], CodeType | None]] = {}
        self.caught_tasks: list[Captured] = []
        self.caught_timers: list[Captured] = []
        self.caught_handlers: list[Captured] = []
        self._table = table
        self._tasks = tasks
        self._recorder = recorder

    # In nearly every test nothing hangs on the loop that is cancelled and closed.

    def looking_before_cancel(self, original: Callable[..., None]) -> Callable[..., None]:
        """Wrap the function by which a runner cancels all tasks of its loop."""
        table, tasks = self._table, self._tasks

        def wrapper(loop: Any) -> None:
            idle = is_idle(tasks, "done", loop, _KEPT_BY_LOOPS)
            if table.generators:  # else not asked: the set of a loop answers in Python
                idle = idle and not getattr(loop, "_asyncgens", None)
            if not idle and self._recorder.started and _closed_by_runner():
                self._catch(loop)
            original(loop)

        return wrapper

    def looking_before_close(self, original: Callable[..., None]) -> Callable[..., None]:
        """Wrap ``BaseEventLoop.close``."""
        tasks = self._tasks

        def wrapper(loop: Any) -> None:
            idle = is_idle(tasks, "done", loop, ())
            if not idle and self._recorder.started and not (loop.is_closed() or loop.is_running()):
                self._catch_abandoned(loop)
            original(loop)

        return wrapper

    def _pending(self, loop: Any) -> list[Any]:
        return [
            task
            for task in self._table.tasks().values()
            if answer_of(task, "get_loop") is loop
            and not self._recorder.is_foreign(self._table.creation_of(task))
        ]

    def _catch(self, loop: Any) -> None:
        waited = self._settle(loop)
        for task in self._pending(loop):
            self.caught_tasks.append(self._captured("tasks", task, waited))
        for generator in self._table.generators.listed(self._table.tasks().values(), of=loop):
            self.caught_tasks.append(self._captured("tasks", generator, waited))
        for key, timer in self._table.timers().items():
            if timer._loop is loop:  # noqa: SLF001 - a handle has no public name for it
                self.caught_timers.append(self._captured("timers", timer, waited, key))
        for key, handle in self._table.signal_handlers().items():
            if isinstance(key, tuple) and key[1].ref() is loop:
                self.caught_handlers.append(self._captured("signals", handle, waited, key))

    def _settle(self, loop: Any) -> float:
        """Give what is about to end its turns; then, if anything is left, the grace period."""
        turns = 0
        while self._unsettled(loop) and turns < _TURNS:
            self._table.run_loop(loop, 0)
            turns += 1
        creations = [self._table.creation_of(thing) for thing in self._unsettled(loop)]
        if not creations:
            return 0.0
        from pytest_resource_hygiene.trackers._idle_loops import can_change

        patience = self._recorder.patience(creations)
        if not can_change(loop, patience):
            return 0.0
        began, waited, delay = System.perf_counter(), 0.0, 0.001
        while waited < patience and self._unsettled(loop):
            delay = min(delay, patience - waited)
            self._table.run_loop(loop, delay)
            waited += delay
            delay = min(delay * 2, 0.05)
        left = [self._table.creation_of(thing) for thing in self._unsettled(loop)]
        self._recorder.waited(System.perf_counter() - began, left)
        return waited

    def _unsettled(self, loop: Any) -> list[Any]:
        timers = [t for t in self._table.timers().values() if t._loop is loop]  # noqa: SLF001
        return self._pending(loop) + timers

    def _catch_abandoned(self, loop: Any) -> None:
        # Closed by hand with tasks on it that nobody asked to end: they never will.
        caught = {item.key for item in self.caught_tasks}
        for task in self._pending(loop):
            if IdentityKey(task) not in caught and not task.cancelling():
                item = self._captured("tasks", task, 0.0, abandoned=True)
                # One whose wait is over would have ended in its next turns; the loop was only short.
                waiter = getattr(task, "_fut_waiter", None)
                ready = waiter is None or waiter.done()
                self.caught_tasks.append(item._replace(severity="note") if ready else item)

    def _captured(
        self,
        kind: str,
        obj: Any,
        waited: float,
        key: Hashable | None = None,
        *,
        abandoned: bool = False,
    ) -> Captured:
        self._recorder.stir()
        key = IdentityKey(obj) if key is None else key
        describe, create = self.describers.get(kind), self.creators.get(kind)
        return Captured(
            key=key,
            value=None,
            description=describe(key, obj) if describe is not None else None,
            creation=(create(key) if create is not None else None) or self._table.creation_of(obj),
            waited=waited,
            abandoned=abandoned,
            code=self.coders[kind](key, obj) if kind in self.coders else None,
        )


def _closed_by_runner() -> bool:
    """Return whether a test runner ends its loop; `asyncio.run` in a test is the test's affair."""
    frame: FrameType | None = System.getframe(2)  # only the stack tells who closes
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        code = frame.f_code
        if package in _RUNNERS and code.co_filename.endswith(_RUNNER_FILES):
            if package != "anyio" or code.co_qualname.startswith("TestRunner"):
                return True  # anyio.run is in the same file
        elif package not in {"asyncio", "contextlib", _OUR_PACKAGE, *_RUNNERS}:
            return package == _EXECUTORS and _waits_for_async_test()
        frame = frame.f_back
    return False


def _waits_for_async_test() -> bool:
    """Return whether the main thread has `unittest` call a test that asgiref runs in another thread.

    So does Django with each test of its own classes that is an ``async def``.
    """
    ident = System.main_thread().ident
    frame = sys._current_frames().get(ident) if ident is not None else None  # noqa: SLF001
    is_by_asgiref = False
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        is_by_asgiref |= package == "asgiref"
        if package not in {"asgiref", "threading", "queue", _EXECUTORS, _OUR_PACKAGE}:
            return is_by_asgiref and bool(package == "unittest")
        frame = frame.f_back
    return False
