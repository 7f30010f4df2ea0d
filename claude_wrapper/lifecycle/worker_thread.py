"""One thread for what would block the loop, with an owner that ends it."""

from __future__ import annotations

import asyncio
import queue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle.tracker import ResourceTracker

__all__ = ["WorkerThread"]

T = TypeVar("T")


class WorkerThread:
    """Runs calls one after the other, in the order they were made, in a thread of its own.

    The loop's default executor would do as well, but its threads stay until the loop closes: after
    the server has looked whether anything is left.

    Args:
        tracker: Where the thread is listed.
        name: The name of the thread.
    """

    def __init__(self, tracker: ResourceTracker, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._is_closed = False
        self._thread = tracker.thread(self._work, name=name)

    async def call(self, function: Callable[[], T]) -> T:
        """What `function` returns; a caller that is cancelled leaves it running.

        Raises:
            RuntimeError: The thread has been closed.
            Exception: Whatever `function` raises.
        """
        if self._is_closed:
            raise RuntimeError(f"{self._thread.name} is closed and takes no more calls")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((future, function))
        return await future

    async def close(self) -> None:
        """Finish what was asked for and end the thread; twice is harmless."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
        while self._thread.is_alive():
            await asyncio.sleep(0.001)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function = job
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  # it belongs to the caller
                self._tell(_fail, future, error)
            else:
                self._tell(_succeed, future, result)
            del job, future, function

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        # A loop that was closed in the meantime has nobody left who waits.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
