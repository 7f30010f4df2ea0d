"""The one place where tasks, timers, threads, temp folders and listeners of the server are made."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from claude_wrapper.lifecycle.emitter import Emitter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["CleanupOutcome", "ResourceTracker", "TrackedResource", "Tracking"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedResource:
    """One thing the server holds now: its kind, its name, and since when (monotonic seconds)."""

    kind: str
    name: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupOutcome:
    """What became of one resource at the final cleanup; `error` is empty when it closed."""

    resource: TrackedResource
    error: str = ""


class Tracking:
    """The registration of one resource; `done()` takes it off the list, twice is harmless."""

    def __init__(
        self,
        tracker: ResourceTracker,
        number: int,
        resource: TrackedResource,
        close: Callable[[], Awaitable[None] | None],
    ) -> None:
        self._tracker = tracker
        self.number = number
        self.resource = resource
        self.close = close

    def done(self) -> None:
        """The resource is gone."""
        self._tracker.forget(self.number)


class ResourceTracker:
    """Makes and lists what the server holds; whatever is still listed at the end gets closed.

    Args:
        sleep: Lets seconds pass between two runs of periodic work; tests pass their own.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._numbers = itertools.count()
        self._held: dict[int, Tracking] = {}
        self._emitters: dict[int, Emitter] = {}

    def track(self, kind: str, name: str, close: Callable[[], Awaitable[None] | None]) -> Tracking:
        """List a resource made elsewhere, with the way to close it."""
        number = next(self._numbers)
        resource = TrackedResource(kind=kind, name=name, since=time.monotonic())
        tracking = Tracking(self, number, resource, close)
        self._held[number] = tracking
        return tracking

    def forget(self, number: int) -> None:
        """Take a registration off the list; `Tracking.done` is how callers reach this."""
        self._held.pop(number, None)
        self._emitters.pop(number, None)

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run a coroutine as a named task that leaves the list when it is done."""
        task = asyncio.create_task(coroutine, name=name)
        tracking = self.track("task", name, lambda: _cancel(task))

        def finished(done: asyncio.Task[T]) -> None:
            tracking.done()
            if not done.cancelled() and (error := done.exception()) is not None:
                logger.error("task %s failed", name, exc_info=error)

        task.add_done_callback(finished)
        return task

    def every(
        self, interval: float, action: Callable[[], Awaitable[None]], *, name: str
    ) -> asyncio.Task[None]:
        """Run `action` every `interval` seconds; a failing run is logged and the next one comes."""
        return self.spawn(_repeat(interval, action, name, self._sleep), name=name)

    def call_later(
        self, delay: float, callback: Callable[[], None], *, name: str
    ) -> asyncio.TimerHandle:
        """Call back once after `delay` seconds; cancel the timer through `cancel_timer`."""

        def fire() -> None:
            tracking.done()
            callback()

        # How the audit tells our timers from strangers.
        vars(fire)["is_tracked"] = True
        handle = asyncio.get_running_loop().call_later(delay, fire)
        tracking = self.track("timer", name, handle.cancel)
        return handle

    def cancel_timer(self, handle: asyncio.TimerHandle) -> None:
        """Cancel a timer and take it off the list."""
        handle.cancel()
        for number, tracking in tuple(self._held.items()):
            if tracking.close == handle.cancel:
                self.forget(number)

    def thread(
        self,
        target: Callable[[], None],
        *,
        name: str,
        last: Callable[[], object] = lambda: None,
    ) -> threading.Thread:
        """Start a named daemon thread that leaves the list when its target returns.

        Args:
            target: What it does.
            name: Its name.
            last: Called in the thread when it is off the list already.

        Raises:
            RuntimeError: The system gives no thread.
        """

        def run() -> None:
            try:
                target()
            finally:
                tracking.done()
                last()

        thread = threading.Thread(target=run, name=name, daemon=True)
        tracking = self.track("thread", name, lambda: None)
        try:
            thread.start()
        except RuntimeError:
            tracking.done()
            raise
        return thread

    def emitter(self, name: str) -> Emitter:
        """Make an emitter that is listed until it is destroyed, with its listeners."""
        made = Emitter(name)
        tracking = self.track("emitter", name, made.destroy)
        made.on_destroyed = tracking.done
        self._emitters[tracking.number] = made
        return made

    @property
    def listeners(self) -> tuple[str, ...]:
        """All listeners on the emitters that live, as `emitter.event at file:line`."""
        return tuple(line for made in self._emitters.values() for line in made.describe())

    async def in_thread(self, function: Callable[[], T], *, name: str) -> T:
        """What `function` returns or raises, run in a thread of its own so that it may block.

        Unlike the loop's executor this leaves no thread behind. Where the system gives none, it runs
        in the loop: what cleans up must run above all when something is short.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        deliver: list[Callable[[], None]] = []

        def run() -> None:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  # raised again where it is awaited
                deliver.append(partial(outcome.set_exception, error))
            else:
                deliver.append(partial(outcome.set_result, result))

        def settle() -> None:
            if not outcome.done():
                deliver[0]()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle)

        try:
            thread = self.thread(run, name=name, last=tell)
        except RuntimeError as error:
            logger.warning("%s runs in the loop: %s", name, error)
            return function()
        result = await outcome
        # It has nothing left to do, and whoever looks for threads must not see it.
        thread.join()
        return result

    def temp_folder(self, prefix: str, parent: Path | None = None) -> tuple[Path, Tracking]:
        """Make a private folder (mode 0700, unguessable name); closing it removes the tree."""
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        tracking = self.track(
            "temp_folder", str(path), lambda: shutil.rmtree(path, ignore_errors=True)
        )
        return path, tracking

    def list(self, kind: str | None = None) -> tuple[TrackedResource, ...]:
        """What is held now, oldest first."""
        held = (tracking.resource for tracking in tuple(self._held.values()))
        return tuple(item for item in held if kind is None or item.kind == kind)

    def count(self, kind: str | None = None) -> int:
        """How many things are held, of one kind or of all."""
        return len(self.list(kind))

    async def cleanup_all(self, deadline: float) -> tuple[CleanupOutcome, ...]:
        """Close what is still held, newest first, within `deadline` seconds; errors are collected.

        The calling task is never cancelled by this. Calling it twice is harmless. Threads cannot be
        closed from outside: they stay on the list until their target returns.
        """
        outcomes = []
        ends_at = time.monotonic() + deadline
        for number, tracking in sorted(self._held.items(), reverse=True):
            if tracking.resource.name == _current_name() or tracking.resource.kind == "thread":
                continue
            error = await _close(tracking, max(0.05, ends_at - time.monotonic()))
            self.forget(number)
            outcomes.append(CleanupOutcome(resource=tracking.resource, error=error))
        return tuple(outcomes)


async def _close(tracking: Tracking, seconds: float) -> str:
    try:
        outcome = tracking.close()
        if outcome is not None:
            await asyncio.wait_for(outcome, seconds)
    except Exception as error:  # noqa: BLE001  # collected and reported, so that the rest still runs
        return f"{type(error).__name__}: {error}"
    return ""


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await asyncio.wait([task])


async def _repeat(
    interval: float,
    action: Callable[[], Awaitable[None]],
    name: str,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    while True:
        await sleep(interval)
        try:
            await action()
        except Exception:
            logger.exception("periodic work %s failed; it runs again in %g s", name, interval)


def _current_name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
