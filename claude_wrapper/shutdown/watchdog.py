"""Ends the process when the loop itself no longer turns: the last line of the shutdown promise."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

from claude_wrapper.lifecycle.terminal import write_or_fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["EXIT_FORCED", "Watchdog"]

logger = logging.getLogger(__name__)

EXIT_FORCED = 70


class Watchdog:
    """A thread that exits the process unless it is called off in time.

    Args:
        tracker: Where the thread is listed.
        seconds: How long it waits.
        last_words: Runs before the exit, in the thread: kill what would survive us.
    """

    def __init__(
        self, tracker: ResourceTracker, seconds: float, last_words: Callable[[], None]
    ) -> None:
        self._called_off = threading.Event()
        self._seconds = seconds
        self._last_words = last_words
        self._thread: threading.Thread | None = None
        try:
            self._thread = tracker.thread(self._wait, name="shutdown-watchdog")
        except RuntimeError as error:
            # The steps matter more than who watches them.
            logger.warning("nobody watches the shutdown: %s", error)

    def call_off(self) -> None:
        """All went well; returns when the thread has gone."""
        self._called_off.set()
        if self._thread is not None:
            self._thread.join()

    def _wait(self) -> None:
        if self._called_off.wait(self._seconds):
            return
        self._last_words()
        words = f"claude-wrapper: shutdown took longer than {self._seconds:g} s; exiting\n"
        with contextlib.suppress(OSError, ValueError):
            write_or_fail(sys.stderr, words)
        os._exit(EXIT_FORCED)
