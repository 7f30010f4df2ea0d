"""Notices that the client of a request has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        self.on_leave: Callable[[], object] = lambda: None
        self._request = request
        self._task = tracker.spawn(self._watch(), name="disconnect-watcher")

    def close(self) -> None:
        """Watch no longer; twice is harmless."""
        self._task.cancel()

    async def _watch(self) -> None:
        # The body has been read, so the only thing that can still arrive is the disconnect.
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.has_left = True
        self.on_leave()
