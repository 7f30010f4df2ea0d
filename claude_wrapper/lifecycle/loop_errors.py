"""What goes wrong in the loop itself, in the server's log, and never as a flood.

A loop that cannot accept a connection, for want of descriptors, tries as often as its backlog is
long and prints a traceback each time: thousands a second, which starve the connections that work.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopErrors"]

logger = logging.getLogger(__name__)

# Seconds of silence after a message; what comes meanwhile is counted.
QUIET = 10.0
MOST_KINDS = 100


class LoopErrors:
    """The exception handler of the running loop, between `install` and `restore`.

    Args:
        clock: Monotonic seconds.

    Attributes:
        suppressed: How many errors were counted and not logged.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: Any = None
        self.suppressed = 0

    def install(self) -> None:
        """Take the running loop's errors; twice is harmless."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._before = self._loop.get_exception_handler()
            self._loop.set_exception_handler(self._handle)

    def restore(self) -> None:
        """Give them back to whoever had them; twice is harmless."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.set_exception_handler(self._before)
        self._loop = None

    def _handle(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message, error = (
            str(context.get("message", "an error of the loop")),
            context.get("exception"),
        )
        kind, now = f"{message} {type(error).__name__}", self._clock()
        if now - self._last.get(kind, -QUIET) < QUIET:
            self.suppressed += 1
            return
        if len(self._last) >= MOST_KINDS:
            self._last.clear()
        self._last[kind] = now
        # A lack of descriptors or memory needs no traceback: it says nothing about our code.
        traceback = None if isinstance(error, OSError) else error
        logger.error(
            "%s: %s (%d like it were not logged)", message, error, self.suppressed,
            exc_info=traceback,
        )  # fmt: skip
        self.suppressed = 0
