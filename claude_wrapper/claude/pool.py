"""Which warm process a turn gets, and when: sticky where it can be, in the order of arrival."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from claude_wrapper.claude.crew import PARKED_GRACE, Crew
from claude_wrapper.claude.ticket import PoolLimits, Ticket
from claude_wrapper.errors import OverloadedError, ShuttingDownError, WrapperError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude.child import Child
    from claude_wrapper.claude.table import ProcessTable
    from claude_wrapper.claude.transcript import Past
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.claude.worker import Worker
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["Pool", "PoolLimits"]

logger = logging.getLogger(__name__)

# Seconds. Why a conversation was not taken in one piece may be its own, or pass: a disk that was
# full, a process that was killed. Each try that fails costs a start.
PAST_REST = 600.0


class Pool:
    """Hands out workers: requests take tickets, and are served in the order of arrival.

    Args:
        table: Starts and ends the processes.
        tracker: Runs what happens beside the requests.
        limits: The bounds.
        clock: Monotonic seconds.

    Attributes:
        crew: The workers, and what becomes of them.
        roster: What each of them is doing.
        rejected_total: How many requests found the queue full.
    """

    def __init__(
        self,
        table: ProcessTable,
        tracker: ResourceTracker,
        limits: PoolLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracker = tracker
        self._clock = clock
        self.limits = limits
        self.crew = Crew(table, tracker, limits, clock, on_change=self._dispatch)
        self.roster = self.crew.roster
        self._queue: deque[Ticket] = deque()
        self._is_closed = False
        self.rejected_total = 0
        self._no_pasts_before = clock()

    def start(self) -> None:
        """Begin to keep processes warm."""
        self.crew.start()

    def close(self) -> None:
        """Refuse everything that waits and everything to come; running turns go on."""
        self._is_closed = True
        self.crew.close()
        for ticket in self._waiting():
            self._send_away(ticket)
        self._queue.clear()

    @property
    def last_failure(self) -> str:
        """Why the newest process was of no use, or ""."""
        return self.crew.starter.last_failure

    @property
    def takes_pasts(self) -> bool:
        """Whether conversations are handed over in one piece: not for a while after one failed."""
        return self._clock() >= self._no_pasts_before

    @property
    def failures_in_a_row(self) -> int:
        """How many processes were of no use since the last one that was."""
        return self.crew.starter.failures

    @property
    def size(self) -> int:
        """Processes there are or will be in a moment; one counts until it is gone."""
        return self.roster.size

    def counts(self) -> dict[str, int]:
        """Processes by state, and requests that wait."""
        return {**self.roster.counts(), "queued": len(self._waiting())}

    def enqueue(self, wanted: Wanted, *, first: bool = False) -> Ticket:
        """Ask for a process; `first` is for a turn that had its place already.

        Raises:
            OverloadedError: The queue is full.
            ShuttingDownError: The pool is closed.
        """
        if self._is_closed:
            raise ShuttingDownError("the server is shutting down; try another one", retry_after=5)
        ticket = Ticket(wanted)
        self._take_back_what_waits_in_vain(wanted)
        self._queue.appendleft(ticket) if first else self._queue.append(ticket)
        self._dispatch()
        # Those for whom a process is starting, or taken back, have their place already.
        coming = self.roster.starting + len(self.roster.recalling)
        overfull = len(self._waiting()) - coming > self.limits.queue
        if ticket.is_waiting and not first and overfull:
            self._queue.remove(ticket)
            self.rejected_total += 1
            raise OverloadedError(
                f"{self.limits.most} turns run and {self.limits.queue} wait; try again later",
                retry_after=2,
            )
        return ticket

    def exchange(self, worker: Worker, wanted: Wanted, past: Past) -> Ticket:
        """Give a worker back for one that begins with this past, in its place.

        Where the CLI does not take it, the ticket gets any worker that is free.
        """
        ticket = Ticket(wanted)
        self.roster.exchanging += 1
        self.crew.retire(worker)
        self._tracker.spawn(self._start_with(ticket, past, worker.child), name="pool-exchange")
        return ticket

    def _take_back_what_waits_in_vain(self, wanted: Wanted) -> None:
        """The results of its calls have come, and not so that its turn could go on."""
        for worker in tuple(self.roster.parked):
            if worker.waits_in_vain(wanted):
                self.crew.recall(worker)

    def _send_away(self, ticket: Ticket) -> None:
        if ticket.is_waiting:
            ticket.worker.set_exception(ShuttingDownError("the server is shutting down"))

    def _waiting(self) -> list[Ticket]:
        return [ticket for ticket in self._queue if ticket.is_waiting]

    def _dispatch(self) -> None:
        self._queue = deque(self._waiting())
        for ticket in tuple(self._queue):
            if not self.roster.is_free:
                break
            worker = self._choose(ticket)
            if worker is not None:
                self._queue.remove(ticket)
                self.roster.take(worker)
                ticket.worker.set_result(worker)
        self._start_what_is_missing()

    def _choose(self, ticket: Ticket) -> Worker | None:
        # While no start is due, what lives must serve, whomever it served before.
        can_start = self.size < self.limits.most and not self.crew.starter.rest
        worker = self.roster.choose(ticket.wanted, spare_sessions=can_start)
        while worker is not None and worker.child.is_stopped:
            # It would be noticed in the end, by its silence, and at the cost of the request's time.
            logger.warning("process %d was stopped by a signal; it is replaced", worker.child.pid)
            self.crew.retire(worker)
            worker = self.roster.choose(ticket.wanted, spare_sessions=can_start)
        return worker

    def _start_what_is_missing(self) -> None:
        waiting = self._waiting()
        if self.crew.starter.rest:
            self._do_without_a_start(waiting)
            return
        # Who starts, or is taken back, will be there sooner than one that is started now.
        for ticket in waiting[self.roster.starting + len(self.roster.recalling) :]:
            if self.size >= self.limits.most:
                break
            self.roster.starting += 1
            self._tracker.spawn(self._start_for(ticket), name="pool-start")
        # Each process that is ending makes room for one of those that still have none.
        coming = self.roster.starting + len(self.roster.ending) + len(self.roster.recalling)
        for _ in range(len(waiting) - coming):
            if not self.crew.make_room():
                return

    def _do_without_a_start(self, waiting: list[Ticket]) -> None:
        """What lives will serve who waits; whom nothing can serve is told so."""
        for ticket in waiting:
            if not self.roster.serves(ticket.wanted.schema):
                ticket.worker.set_exception(self.crew.starter.refusal())
        if self._waiting() and not self.roster.recalling:
            self.crew.recall_parked(PARKED_GRACE, most=1)

    async def _start_for(self, ticket: Ticket) -> None:
        failure: WrapperError | None = None
        try:
            worker = await self.crew.starter.start(ticket.wanted.schema)
        except WrapperError as error:
            failure = error
        finally:
            self.roster.starting -= 1
        if failure is None:
            self.crew.admit(worker)
            return
        if ticket.is_waiting and not self.roster.serves():
            ticket.worker.set_exception(failure)
        self._dispatch()

    async def _start_with(self, ticket: Ticket, past: Past, before: Child) -> None:
        await before.gone.wait()
        try:
            worker = await self.crew.starter.start_with(past, ticket.wanted)
        except (WrapperError, OSError, RecursionError) as error:
            self._do_without_pasts(ticket, error)
        else:
            self._hand_over(worker, ticket)
        finally:
            self.roster.exchanging -= 1
            self._dispatch()

    def _do_without_pasts(self, ticket: Ticket, error: Exception) -> None:
        if self._is_closed:
            self._send_away(ticket)
            return
        self._no_pasts_before = self._clock() + PAST_REST
        logger.warning(
            "%s; for %.0f minutes each is told message by message", error, PAST_REST / 60
        )
        self._queue.appendleft(ticket)

    def _hand_over(self, worker: Worker, ticket: Ticket) -> None:
        if ticket.is_waiting and not self._is_closed:
            self.roster.busy.add(worker)
            ticket.worker.set_result(worker)
            return
        # It holds somebody's conversation, which may have been deleted meanwhile.
        self.crew.end(worker.child)
        self._send_away(ticket)
