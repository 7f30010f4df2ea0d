"""What asyncio holds: loops, tasks, timers and signal handlers, with the place that made them.

Test runners end a test's loop before any look at the process could see what was left on it:
``asyncio.Runner.close`` cancels all tasks, then closes the loop. At the entry of that cancellation
exactly the leaked tasks, timers and handlers are there, and the fixtures of the test are finalised.
So that is where this looks, if it is a test runner that closes. A test that calls ``asyncio.run``
by itself has asked for the cancellation and leaks nothing.

Nothing here imports asyncio; it wakes up when somebody else has.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from itertools import islice
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.audit import Noting
from pytest_resource_hygiene.objects import answer_of, is_idle, pending
from pytest_resource_hygiene.quiet import Passing
from pytest_resource_hygiene.recorder import Creation, wrapper_file
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey
from pytest_resource_hygiene.trackers._begun_generators import BegunGenerators
from pytest_resource_hygiene.trackers._descriptors import fileno
from pytest_resource_hygiene.trackers._posted_calls import PostedCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable
    from types import FrameType

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["AsyncioTable"]

# Files whose frames mean that a test runner is closing its own loop.
_RUNNERS = ("pytest_asyncio", "anyio", "unittest", "pytest_aiohttp", "aiohttp", "pytest_tornasync")
_RUNNER_FILES = ("plugin.py", "pytest_plugin.py", "_asyncio.py", "async_case.py")
_OUR_PACKAGE = __name__.partition(".")[0]  # a check in the middle of a test looks as well
_WRAPPER = wrapper_file()
_KEPT_BY_LOOPS = ("_scheduled", "_signal_handlers")
_PRUNE_AT = 1_000
_LATEST = 64  # tasks that are looked through for the one that connects
_TURNS = 16
_MADE_BEFORE = Creation((), None, None, None, None)
_refer = weakref.ref


class AsyncioTable:
    """Keeps weak lists of everything alive, and what was caught when a loop was closed."""

    def __init__(self, recorder: Recorder) -> None:
        """Wait for asyncio; one instance serves all kinds, through `Recorder.service`."""
        # The kinds put their words here, for what is caught has to be described at once.
        self.describers: dict[str, Callable[[Hashable, Any], Description]] = {}
        self.creators: dict[str, Callable[[Hashable], Creation | None]] = {}
        self.caught_tasks: list[Captured] = []
        self.caught_timers: list[Captured] = []
        self.caught_handlers: list[Captured] = []
        self._recorder = recorder
        self._loops: list[tuple[weakref.ref[Any], Any]] = []
        self._tasks: list[tuple[weakref.ref[Any], Any]] = []
        self._timers: list[tuple[weakref.ref[Any], Any]] = []
        self.generators = BegunGenerators(recorder)
        # How the tasks were made that have made these: a library connects in a task of its own.
        self._connected: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._prune_at = _PRUNE_AT
        self._is_quiet = False
        self._registry: Any = None
        self._registry_add: Any = None
        self._notings: list[Noting] = []
        self.posted = PostedCalls(recorder)
        recorder.passing.append(Passing(self._loops, 0, methodcaller("is_closed")))
        recorder.passing.append(Passing(self._tasks, 0, methodcaller("done")))
        self.sees_tasks = True
        recorder.when_imported("asyncio", self._hook_asyncio)
        recorder.when_imported("uvloop", self._hook_uvloop)

    def close(self) -> None:
        """Give asyncio its own task list back; drop the records, which name tests."""
        for records in (self._loops, self._tasks, self._timers):
            records.clear()
        self.generators.clear()
        self._connected.clear()
        registry, self._registry = self._registry, None
        if registry is None:
            return
        if self._registry_add is None:
            del registry.add
        else:  # of a recorder that was there before us
            registry.add = self._registry_add

    def _hook_asyncio(self) -> None:
        from asyncio import base_events, runners, selector_events, tasks

        loop_class = base_events.BaseEventLoop
        recorder = self._recorder
        self.posted.hook(loop_class)
        recorder.wrap(loop_class, "__init__", self._noting_loops)
        recorder.wrap_result(loop_class, "call_at", self._note_timer)
        self.generators.hook(loop_class)
        recorder.wrap(loop_class, "close", self._looking_before_close)
        recorder.wrap(runners, "_cancel_all_tasks", self._looking_before_cancel)
        connecting = selector_events.BaseSelectorEventLoop
        recorder.wrap(connecting, "_make_socket_transport", self._noting_connections)
        # Python 3.12 renamed it; an empty set is false, so ``or`` would not do.
        every = getattr(tasks, "_scheduled_tasks", getattr(tasks, "_all_tasks", None))
        self.sees_tasks = isinstance(every, weakref.WeakSet)
        if isinstance(every, weakref.WeakSet):
            # The C accelerator registers each new task by calling ``add`` of this very object.
            self._registry, self._registry_add = every, vars(every).get("add")
            vars(every)["add"] = self._noting(every.add, self._tasks)
            self._take_up_loops(every)

    def _take_up_loops(self, tasks: Collection[Any]) -> None:
        """Watch the loops that were there before us: what is made on them from now on is new."""
        from asyncio import events

        local = getattr(getattr(events, "_event_loop_policy", None), "_local", None)
        loops = [events._get_running_loop(), getattr(local, "_loop", None)]  # noqa: SLF001
        loops += [answer_of(task, "get_loop") for task in list(tasks)]
        for loop in dict.fromkeys(loops):
            if loop is not None and not loop.is_closed():
                with suppress(TypeError):  # somebody's class without weak references
                    self._loops.append((_refer(loop), _MADE_BEFORE))
                    self.generators.take_up(_refer(loop))

    def _hook_uvloop(self) -> None:
        import uvloop

        if hasattr(uvloop, "Loop"):
            self._recorder.wrap(uvloop.Loop, "__init__", self._noting_loops)

    # --- hearing of new things ---

    def _noting_loops(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._noting(original, self._loops)

    def _noting(self, original: Callable[..., Any], records: list[Any]) -> Noting:
        noting = Noting(original, self._recorder, records, self._prune, self._prune_at)
        self._notings.append(noting)
        return noting

    def _noting_connections(self, original: Callable[..., Any]) -> Callable[..., Any]:
        from asyncio import current_task

        def wrapper(loop: Any, sock: Any, *args: Any, **kwargs: Any) -> Any:
            task = current_task(loop)
            if task is not None:
                latest = islice(reversed(self._tasks), _LATEST)
                made = next((how for ref, how in latest if ref() is task), None)
                if made is not None:
                    with suppress(TypeError):  # a socket of somebody's that has no weak references
                        self._connected[sock] = made
            return original(loop, sock, *args, **kwargs)

        return wrapper

    def task_that_connected(self, sock: Any) -> Creation | None:
        """Return how the task was made that has made a connection, if that is known."""
        how = self._connected.get(sock)
        return Creation(*how) if how is not None else None

    def _note_timer(self, timer: Any, creation: Creation) -> None:
        source = getattr(timer, "_source_traceback", None)
        if source and source[-1].filename == _WRAPPER:
            del source[-1]  # in debug mode asyncio cuts off its own frames by counting them
        if not self._is_quiet:
            self._timers.append((_refer(timer), creation))
            if len(self._timers) > self._prune_at:
                self._prune()

    def _prune(self) -> None:
        """Forget what has ended, where nobody asks for hours: a snapshot in a server."""
        left = len(self.live_loops()), len(self.live_tasks()), len(self.live_timers())
        self._prune_at = 2 * max(_PRUNE_AT, *left)
        for noting in self._notings:
            noting.limit = self._prune_at

    # --- what is alive ---

    def live_loops(self) -> list[weakref.ref[Any]]:
        """Return references to loops that are not closed; a reading that equals only itself."""
        return pending(self._loops, "is_closed")

    def live_tasks(self) -> list[weakref.ref[Any]]:
        """Return references to pending tasks; a reading."""
        return pending(self._tasks, "done")

    @property
    def has_loops(self) -> bool:
        """Return whether any loop may be alive: cheaper than to ask which."""
        return bool(self._loops)

    @property
    def has_timers(self) -> bool:
        """Return whether any timer may be alive: cheaper than to ask which."""
        return bool(self._timers)

    def live_timers(self) -> list[weakref.ref[Any]]:
        """Return references to armed timers of loops that are not closed; a reading."""
        seen = len(self._timers)  # to which other threads may add at any time
        self._timers[:seen] = [
            one
            for one in self._timers[:seen]
            if (timer := one[0]()) is not None and timer._scheduled and not timer.cancelled()  # noqa: SLF001
        ]
        return [one[0] for one in self._timers]

    def loops(self) -> dict[Hashable, Any]:
        """Return the event loops that were made since the start and are not closed."""
        alive = (ref() for ref in self.live_loops())
        return {IdentityKey(loop): loop for loop in alive if loop is not None}

    def tasks(self) -> dict[Hashable, Any]:
        """Return the pending tasks, without those that another one has made and waits for."""
        self.live_tasks()
        made = [(task, how) for ref, how in list(self._tasks) if (task := ref()) is not None]
        if len(made) < 2:
            return {IdentityKey(task): task for task, _ in made}
        from pytest_resource_hygiene.trackers._awaited_tasks import without_awaited

        left = without_awaited(made, lambda how: self._recorder.is_foreign(Creation(*how)))
        return {IdentityKey(task): task for task in left}

    def timers(self) -> dict[Hashable, Any]:
        """Return the armed timers of live loops, without those that only wake a waiting task."""
        self.live_timers()
        found: dict[Hashable, Any] = {}
        if not self.has_loops:
            return found
        # Loaded with the first loop: many runs have none.
        from pytest_resource_hygiene.trackers._sleeps import is_sleep

        for loop in self.loops().values():
            for timer in list(getattr(loop, "_scheduled", ())):
                if not timer.cancelled() and not is_sleep(timer):
                    found[IdentityKey(timer)] = timer
        return found

    def signal_handlers(self) -> dict[Hashable, Any]:
        """Return the signal handlers that live loops keep, by loop and number."""
        return {
            ("loop", key, number): handle
            for key, loop in self.loops().items()
            for number, handle in (getattr(loop, "_signal_handlers", None) or {}).items()
        }

    def signal_handler_count(self) -> int:
        """Return the number of handlers that live loops keep."""
        loops = self.live_loops()
        return sum(len(getattr(ref(), "_signal_handlers", None) or ()) for ref in loops)

    def creation_of(self, obj: Any) -> Creation | None:
        """Return how a loop, task or timer was made."""
        for known in (self._tasks, self._timers, self._loops):
            for ref, how in known:
                if ref() is obj:
                    return Creation(*how)
        if (begun := self.generators.creation_of(obj)) is not None:
            return begun
        context = getattr(obj, "_context", None)
        owner = context.get(self._recorder.owner_var) if context is not None else None
        return Creation((), owner, None, None, None) if owner is not None else None

    def creation_of_selector(self, fd: int) -> Creation | None:
        """Return how the loop was made whose selector has this descriptor."""
        for ref, how in self._loops:
            selector = getattr(ref(), "_selector", None)
            if selector is not None and fileno(selector) == fd:
                return Creation(*how)
        return None

    def loops_with_transports(self, numbers: Collection[Any]) -> list[Any]:
        """Return the loops that have a transport for one of these descriptors."""
        loops = [ref() for ref, _ in self._loops]
        return [
            loop
            for loop in loops
            if any(number in numbers for number in list(getattr(loop, "_transports", None) or ()))
        ]

    # --- letting time pass, catching what a closing loop would hide ---

    def run_loops(self, loops: Collection[Any], seconds: float) -> bool:
        """Let idle loops of this thread run for a moment; return whether any did."""
        from asyncio import events

        if events._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
            return False
        ran = False
        for loop in loops:
            if not loop.is_running() and not loop.is_closed():
                self._run(loop, seconds)
                ran = True
        return ran

    @staticmethod
    def runs_elsewhere(loop: Any) -> bool:
        """Return whether another thread runs a loop."""
        from asyncio import events

        return loop.is_running() and events._get_running_loop() is not loop  # noqa: SLF001

    def _run(self, loop: Any, seconds: float) -> None:
        from pytest_resource_hygiene.trackers._loop_turns import run_for
        from pytest_resource_hygiene.trackers._task_chains import links_of, next_links

        links = links_of(self._tasks, loop)
        was_quiet = self._is_quiet
        self._hush(is_quiet=True)
        try:
            run_for(loop, seconds)
        finally:
            self._hush(is_quiet=was_quiet)
        if links:
            later = next_links(self._registry or (), loop, links, self._tasks)
            self._tasks += [(_refer(task), how) for task, how in later]

    def _hush(self, *, is_quiet: bool) -> None:
        """Note nothing of what our own turns of a loop make, or note it again."""
        self._is_quiet = is_quiet
        for noting in self._notings:
            noting.is_quiet = is_quiet

    # In nearly every test nothing hangs on the loop that is cancelled and closed.

    def _looking_before_cancel(self, original: Callable[..., None]) -> Callable[..., None]:
        def wrapper(loop: Any) -> None:
            idle = is_idle(self._tasks, "done", loop, _KEPT_BY_LOOPS)
            if self.generators:  # else not asked: the set of a loop answers in Python
                idle = idle and not getattr(loop, "_asyncgens", None)
            if not idle and self._recorder.started and _closed_by_runner():
                self._catch(loop)
            original(loop)

        return wrapper

    def _looking_before_close(self, original: Callable[..., None]) -> Callable[..., None]:
        def wrapper(loop: Any) -> None:
            idle = is_idle(self._tasks, "done", loop, ())
            if not idle and self._recorder.started and not (loop.is_closed() or loop.is_running()):
                self._catch_abandoned(loop)
            original(loop)

        return wrapper

    def _pending(self, loop: Any) -> list[Any]:
        return [
            task
            for task in self.tasks().values()
            if answer_of(task, "get_loop") is loop
            and not self._recorder.is_foreign(self.creation_of(task))
        ]

    def _catch(self, loop: Any) -> None:
        waited = self._settle(loop)
        for task in self._pending(loop):
            self.caught_tasks.append(self._captured("tasks", task, waited))
        for generator in self.generators.listed(self.tasks().values(), of=loop):
            self.caught_tasks.append(self._captured("tasks", generator, waited))
        for key, timer in self.timers().items():
            if timer._loop is loop:  # noqa: SLF001 - a handle has no public name for it
                self.caught_timers.append(self._captured("timers", timer, waited, key))
        for key, handle in self.signal_handlers().items():
            if isinstance(key, tuple) and key[1].ref() is loop:
                self.caught_handlers.append(self._captured("signals", handle, waited, key))

    def _settle(self, loop: Any) -> float:
        """Give what is about to end its turns; then, if anything is left, the grace period."""
        turns = 0
        while self._unsettled(loop) and turns < _TURNS:
            self._run(loop, 0)
            turns += 1
        creations = [self.creation_of(thing) for thing in self._unsettled(loop)]
        if not creations:
            return 0.0
        from pytest_resource_hygiene.trackers._idle_loops import can_change

        patience = self._recorder.patience(creations)
        if not can_change(loop, patience):
            return 0.0
        began, waited, delay = System.perf_counter(), 0.0, 0.001
        while waited < patience and self._unsettled(loop):
            delay = min(delay, patience - waited)
            self._run(loop, delay)
            waited += delay
            delay = min(delay * 2, 0.05)
        left = [self.creation_of(thing) for thing in self._unsettled(loop)]
        self._recorder.waited(System.perf_counter() - began, left)
        return waited

    def _unsettled(self, loop: Any) -> list[Any]:
        timers = [t for t in self.timers().values() if t._loop is loop]  # noqa: SLF001
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
            creation=(create(key) if create is not None else None) or self.creation_of(obj),
            waited=waited,
            abandoned=abandoned,
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
            return False
        frame = frame.f_back
    return False
