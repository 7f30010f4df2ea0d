"""Notices that the client of a request has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.requests import Request

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["ClientWatch"]


class ClientWatch:
    """Watches from when the body has been read, until it is closed.

    Attributes:
        has_left: Whether nobody reads the answer any more.
        on_leave: What to stop then.
    """

    def __init__(self, request: Request, tracker: ResourceTracker) -> None:
        self.has_left = False
        self.on_leave: Callable[[], object] = _nothing
        self._request = request
        self._task: asyncio.Task[None] | None = tracker.spawn(
            self._watch(), name="disconnect-watcher"
        )

    def close(self) -> None:
        """Watch no longer; twice is harmless."""
        # What would be stopped holds this watch, and the whole conversation with it: as a circle
        # that only the garbage collector takes apart, megabytes stayed behind for minutes.
        self.on_leave = _nothing
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _watch(self) -> None:
        # The body has been read, so the only thing that can still arrive is the disconnect.
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.has_left = True
        self.on_leave()


def _nothing() -> None:
    """Nobody is left who would have to be stopped."""
