"""The way of a turn to a process: through the queue, and to one that stands where it begins."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from claude_wrapper.claude.transcript import past_of
from claude_wrapper.errors import CliFailedError, RequestTimeoutError

if TYPE_CHECKING:
    from claude_wrapper.claude.pool import Pool
    from claude_wrapper.claude.turn import Deadline, Turn, TurnLimits
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.claude.worker import Worker

__all__ = ["Acquisition"]

ACQUIRE_TRIES = 3


class Acquisition:
    """Gets a worker for one turn.

    Args:
        turn: What its consumer sees; it has its first place in the queue already.
        wanted: The request.
        pool: Where processes come from.
        limits: The longest time of the turn, for what is said of it.
        deadline: When that time is over.

    Attributes:
        worker: What is in the hands of the turn, whatever became of getting it ready.
    """

    def __init__(
        self, turn: Turn, wanted: Wanted, pool: Pool, limits: TurnLimits,
        deadline: Deadline,
    ) -> None:  # fmt: skip
        self._turn = turn
        self._wanted = wanted
        self._pool = pool
        self._limits = limits
        self._deadline = deadline
        self.worker: Worker | None = None

    async def ready_worker(self) -> Worker | None:
        """A worker that holds a part of the conversation, or nothing; None when nobody waits.

        Raises:
            RequestTimeoutError: None was free in time.
            CliFailedError: There was none that could be made ready.
        """
        for attempt in range(ACQUIRE_TRIES):
            if attempt:
                self._turn.waits_in(self._pool.enqueue(self._wanted, first=True))
            worker = await self._next_worker()
            if worker is None:
                return None
            self.worker = worker
            if worker.waits_for(self._wanted):
                return worker
            # What is held belongs to this conversation, or goes before anything else happens.
            if self._fits(worker) or await self._is_reset(worker):
                worker = await self._with_past(worker)
                if worker is None or self._fits(worker):
                    return worker
            self.worker = None
            self._pool.crew.discard(worker)
        raise CliFailedError(f"{ACQUIRE_TRIES} processes in a row could not be made ready")

    def _fits(self, worker: Worker) -> bool:
        return not worker.has_ended and worker.holds(self._wanted)

    async def _with_past(self, worker: Worker) -> Worker | None:
        """The worker, or another that holds much of the history already where that is quicker."""
        past = None
        if self._pool.takes_pasts:
            held = len(worker.context.fingerprints)
            past = past_of(
                self._wanted.history, self._wanted.fingerprints, held, self._wanted.request.model
            )
        if past is None:
            return worker
        self.worker = None
        self._turn.waits_in(self._pool.exchange(worker, self._wanted, past))
        self.worker = await self._next_worker()
        return self.worker

    async def _is_reset(self, worker: Worker) -> bool:
        if worker.has_ended:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline.remaining):
                return await worker.reset()
        return False

    async def _next_worker(self) -> Worker | None:
        ticket = self._turn.ticket
        assert ticket is not None
        try:
            return await asyncio.wait_for(ticket.worker, self._deadline.remaining)
        except asyncio.CancelledError:
            if self._turn.is_abandoned and ticket.worker.cancelled():
                return None
            raise
        except TimeoutError:
            # It may have come in the very moment in which the time was over.
            if not ticket.worker.cancelled() and ticket.worker.done():
                self.worker = ticket.worker.result()
            raise self._no_process() from None

    def _no_process(self) -> RequestTimeoutError:
        roster, seconds = self._pool.roster, f"{self._limits.total:g} s"
        if self._pool.last_failure and not (roster.busy or roster.parked):
            return RequestTimeoutError(
                f"no process was ready within {seconds}; the newest failed: "
                f"{self._pool.last_failure}"
            )
        if roster.starting and not (roster.busy or roster.parked):
            return RequestTimeoutError(
                f"the CLI had not started within {seconds}; `claude-wrapper doctor` looks at it, and "
                "--request-timeout gives it more time"
            )
        return RequestTimeoutError(
            f"no process was free within {seconds}; raise --max-concurrency or --request-timeout"
        )
