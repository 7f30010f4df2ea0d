"""Starts workers: few at a time, and ever more rarely while they fail."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from claude_wrapper.claude.worker import Worker
from claude_wrapper.errors import CliFailedError, WrapperError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude.table import ProcessTable
    from claude_wrapper.claude.transcript import Past
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["Starter"]

# Starting is work for the processor: many at once slow down the requests that run.
STARTS_AT_ONCE = 2
# One failure may be an accident; from the second on each rest is twice as long.
FIRST_REST = 1.0
LONGEST_REST = 30.0
# For how long a single failure is worth a word, in seconds.
MEMORY = 60.0


class Starter:
    """Makes workers that have shaken hands.

    Args:
        table: Starts the processes.
        tracker: Runs the reading of their output.
        clock: Monotonic seconds.

    Attributes:
        failures: How many in a row were of no use.
    """

    def __init__(
        self,
        table: ProcessTable,
        tracker: ResourceTracker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._tracker = tracker
        self._clock = clock
        self._at_once = asyncio.Semaphore(STARTS_AT_ONCE)
        self._rests_until = self._failed_at = clock()
        self._reason = ""
        self.failures = 0

    @property
    def last_failure(self) -> str:
        """Why the newest process was of no use, or ""; a single accident is forgotten soon."""
        is_old = self.failures < 2 and self._clock() - self._failed_at > MEMORY
        return "" if is_old else self._reason

    @property
    def rest(self) -> float:
        """Seconds until the next start; 0 when one may be tried now."""
        return max(0.0, self._rests_until - self._clock())

    async def start_with(self, past: Past, wanted: Wanted) -> Worker:
        """A new worker that holds a conversation already; a failure says nothing about other starts.

        Raises:
            CliFailedError: The process could not be started, or did not take the conversation.
            ShuttingDownError: No more are started.
        """
        async with self._at_once:
            child = await self._table.spawn(past)
            worker = Worker(child, self._tracker, wanted.schema, self._clock())
            try:
                await worker.start(wanted.request.system)
                await worker.prove(past, wanted.request)
                child.forget_past()
            except (WrapperError, OSError):
                self._table.end(child)
                raise
            return worker

    async def start(self, schema: str) -> Worker:
        """A new worker for this JSON schema, or for "".

        Raises:
            CliFailedError: The process could not be started, or is of no use.
            ShuttingDownError: No more are started.
        """
        async with self._at_once:
            if self.rest:
                raise self.refusal()
            try:
                child = await self._table.spawn()
            except CliFailedError as error:
                self.failed(error.message)
                raise
            worker = Worker(child, self._tracker, schema, self._clock())
            try:
                await worker.start()
            except WrapperError as error:
                # What it printed at its end may still be on the way; its end tells when it is not.
                self._table.end(child)
                await child.gone.wait()
                reason = f"{error.message}: {child.process.stderr}".strip(": ")
                self.failed(reason)
                raise CliFailedError(reason) from None
            return worker

    def failed(self, reason: str) -> None:
        """A process was of no use."""
        self._reason = reason
        self._failed_at = self._clock()
        self.failures += 1
        if self.failures > 1:
            rest = FIRST_REST * 2 ** min(self.failures - 2, 10)
            self._rests_until = self._clock() + min(rest, LONGEST_REST)

    def succeeded(self, worker: Worker) -> None:
        """A process has done its work, or has lived for a while.

        One that is older than the newest failure says nothing about starts.
        """
        if worker.born >= self._failed_at:
            self._reason = ""
            self.failures = 0
            self._rests_until = self._failed_at

    def refusal(self) -> CliFailedError:
        """What a request is told that would need another start."""
        return CliFailedError(
            f"{self._reason} ({self.failures} times in a row)",
            retry_after=max(1.0, self.rest),
        )
