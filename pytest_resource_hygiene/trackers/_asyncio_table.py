"""What asyncio holds: loops, tasks, timers and signal handlers, with the place that made them.

Nothing here imports asyncio; it wakes up when somebody else has.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from itertools import islice
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.audit import Noting
from pytest_resource_hygiene.objects import answer_of, pending
from pytest_resource_hygiene.quiet import Passing
from pytest_resource_hygiene.recorder import Creation, wrapper_file
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import IdentityKey
from pytest_resource_hygiene.trackers._begun_generators import BegunGenerators
from pytest_resource_hygiene.trackers._closing_loops import ClosingLoops
from pytest_resource_hygiene.trackers._descriptors import fileno
from pytest_resource_hygiene.trackers._posted_calls import PostedCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["AsyncioTable"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

_WRAPPER = wrapper_file()
_PRUNE_AT = 1_000
_LATEST = 64  # tasks that are looked through for the one that connects
_MADE_BEFORE = Creation((), None, None, None, None)
_refer = weakref.ref


class AsyncioTable:
    """Keeps weak lists of everything alive.

    Attributes:
        generators: the async generators that were begun.
        posted: what other threads have asked loops for.
        closing: what was caught when a loop was closed.
        sees_tasks: whether new tasks are heard of in this interpreter.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Wait for asyncio; one instance serves all kinds, through `Recorder.service`."""
        self._recorder = recorder
        self._loops: list[tuple[weakref.ref[Any], Any]] = []
        self._tasks: list[tuple[weakref.ref[Any], Any]] = []
        self._timers: list[tuple[weakref.ref[Any], Any]] = []
        self._timers_of_our_turns: list[tuple[weakref.ref[Any], Any]] = []  # not live to anybody
        self.generators = BegunGenerators(recorder)
        # How the tasks were made that have made these: a library connects in a task of its own.
        self._connected: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._prune_at = _PRUNE_AT
        self._quiet_thread = 0
        self._registry: Any = None
        self._registry_add: Any = None
        self._notings: list[Noting] = []
        self.posted = PostedCalls(recorder)
        self.closing = ClosingLoops(self, self._tasks, recorder)
        recorder.passing.append(Passing(self._loops, 0, methodcaller("is_closed")))
        recorder.passing.append(Passing(self._tasks, 0, methodcaller("done")))
        self.sees_tasks = True
        recorder.when_imported("asyncio", self._hook_asyncio)
        recorder.when_imported("uvloop", self._hook_uvloop)

    def close(self) -> None:
        """Give asyncio its own task list back; drop the records, which name tests."""
        for records in (self._loops, self._tasks, self._timers, self._timers_of_our_turns):
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
        recorder.wrap(loop_class, "close", self.closing.looking_before_close)
        recorder.wrap(runners, "_cancel_all_tasks", self.closing.looking_before_cancel)
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
        if self._quiet_thread == System.get_ident():
            from pytest_resource_hygiene.trackers._loop_turns import within_turn

            stack = within_turn(creation.stack)
            self._timers_of_our_turns.append((_refer(timer), creation._replace(stack=stack)))
            return
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
        for known in (self._tasks, self._timers, self._timers_of_our_turns, self._loops):
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

    # --- letting time pass ---

    def run_what_is_ready(self, seconds: float) -> bool:
        """Let those loops run that have something to call at once; return whether any did."""
        ready = [loop for loop in self.loops().values() if getattr(loop, "_ready", None)]
        return self.run_loops(ready, seconds) if ready else False

    def run_loops(self, loops: Collection[Any], seconds: float) -> bool:
        """Let idle loops of this thread run for a moment; return whether any did."""
        from asyncio import events

        if events._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
            return False
        ran = False
        for loop in loops:
            if not loop.is_running() and not loop.is_closed():
                self.run_loop(loop, seconds)
                ran = True
        return ran

    @staticmethod
    def runs_elsewhere(loop: Any) -> bool:
        """Return whether another thread runs a loop."""
        from asyncio import events

        return loop.is_running() and events._get_running_loop() is not loop  # noqa: SLF001

    def run_loop(self, loop: Any, seconds: float) -> None:
        """Let a loop run that does not, and note nothing of what these turns make."""
        from pytest_resource_hygiene.trackers._loop_turns import run_for
        from pytest_resource_hygiene.trackers._task_chains import links_of, next_links

        meanwhile = self._timers_of_our_turns
        meanwhile[:] = [one for one in meanwhile if one[0]() is not None]
        links = links_of(self._tasks, loop)
        before = self._quiet_thread
        self._hush(System.get_ident())
        try:
            run_for(loop, seconds)
        finally:
            self._hush(before)
        if links:
            later = next_links(self._registry or (), loop, links, self._tasks)
            self._tasks += [(_refer(task), how) for task, how in later]

    def _hush(self, thread: int) -> None:
        """Note nothing of what our own turns of a loop make; with 0, note it again.

        Other threads go on with their own work meanwhile.
        """
        self._quiet_thread = thread
        for noting in self._notings:
            noting.quiet_thread = thread
