"""Where alerts go: the log, a callback, a file, a webhook."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from claude_wrapper.monitoring.webhook import post_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.monitoring.alerts import Alert

__all__ = ["CallbackChannel", "FileChannel", "LogChannel", "WebhookChannel"]

logger = logging.getLogger(__name__)

FILE_BYTES = 10 * 1000 * 1000
WAITING_ALERTS = 32


class LogChannel:
    """Alerts as log lines."""

    name = "log"

    async def send(self, alert: Alert) -> None:
        """Log it."""
        level = logging.ERROR if alert.severity == "critical" else logging.WARNING
        logger.log(level, "alert %s: %s", alert.name, alert.message)

    async def close(self) -> None:
        """Nothing is held."""


class CallbackChannel:
    """Alerts handed to a function, plain or async."""

    name = "callback"

    def __init__(self, callback: Callable[[Alert], Awaitable[None] | None]) -> None:
        self._callback = callback

    async def send(self, alert: Alert) -> None:
        """Call it."""
        outcome = self._callback(alert)
        if outcome is not None:
            await outcome

    async def close(self) -> None:
        """Nothing is held."""


class FileChannel:
    """Alerts as JSON lines; at 10 MB the file is renamed to `.1`, replacing the one before.

    Args:
        path: The file, open only while a line is written.
        tracker: Runs the writing in a thread.
    """

    name = "file"

    def __init__(self, path: Path, tracker: ResourceTracker) -> None:
        self._path = path
        self._tracker = tracker

    async def send(self, alert: Alert) -> None:
        """Append it.

        Raises:
            OSError: The file cannot be written.
        """
        line = json.dumps(alert.to_dict()) + "\n"
        await self._tracker.in_thread(lambda: self._append(line), name="alert-file")

    async def close(self) -> None:
        """Nothing is held."""

    def _append(self, line: str) -> None:
        if self._path.exists() and self._path.stat().st_size + len(line) > FILE_BYTES:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


class WebhookChannel:
    """Alerts as JSON posts, one after the other, from a short queue.

    A webhook that is slow or gone costs the server nothing: every post has a deadline, and what
    does not fit into the queue is dropped and counted.

    Attributes:
        dropped: Alerts that found the queue full.
        failed: Posts that did not arrive.
    """

    name = "webhook"

    def __init__(self, url: str, tracker: ResourceTracker) -> None:
        self._url = url
        self._tracker = tracker
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(WAITING_ALERTS)
        self._worker: asyncio.Task[None] | None = None
        self.dropped = 0
        self.failed = 0

    async def send(self, alert: Alert) -> None:
        """Queue it; returns at once."""
        try:
            self._waiting.put_nowait(alert)
        except asyncio.QueueFull:
            self.dropped += 1
            return
        if self._worker is None or self._worker.done():
            self._worker = self._tracker.spawn(self._post_all(), name="alert-webhook")

    async def close(self) -> None:
        """Give up what waits."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def _post_all(self) -> None:
        while not self._waiting.empty():
            alert = self._waiting.get_nowait()
            try:
                await post_json(self._url, alert.to_dict(), self._tracker)
            except (OSError, ValueError) as error:
                self.failed += 1
                logger.warning("alert %s did not reach the webhook: %s", alert.name, error)
