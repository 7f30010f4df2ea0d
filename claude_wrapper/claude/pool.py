"""Which warm process a turn gets: sticky where it can be, bounded always, replaced in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from claude_wrapper.claude.roster import Roster
from claude_wrapper.claude.starter import Starter
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

KEEPER_INTERVAL = 1.0
# An idle process that has lived for so long starts well, whatever becomes of it.
PROVED_AGE = 10.0
# A client needs a moment to run its tools; a call parked for less is not taken away from it.
PARKED_GRACE = 5.0
# Seconds. Why a conversation was not taken in one piece may be its own, or pass: a disk that was
# full, a process that was killed. Each try that fails costs a start.
PAST_REST = 600.0


class Pool:
    """Owns the workers. Requests take tickets; workers are handed out in the order of arrival.

    Args:
        table: Starts and ends the processes.
        tracker: Runs what happens beside the requests.
        limits: The bounds.
        clock: Monotonic seconds.

    Attributes:
        roster: The workers.
    """

    def __init__(
        self,
        table: ProcessTable,
        tracker: ResourceTracker,
        limits: PoolLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._tracker = tracker
        self._clock = clock
        self.limits = limits
        self.roster = Roster()
        self._queue: deque[Ticket] = deque()
        self._starter = Starter(table, tracker, clock)
        self._is_closed = False
        self.rejected_total = 0
        self._no_pasts_before = clock()

    def start(self) -> None:
        """Begin to keep processes warm."""
        self._tracker.spawn(self._keep(), name="pool-keeper")

    def close(self) -> None:
        """Refuse everything that waits and everything to come; running turns go on."""
        self._is_closed = True
        for ticket in self._waiting():
            self._send_away(ticket)
        self._queue.clear()

    @property
    def last_failure(self) -> str:
        """Why the newest process was of no use, or ""."""
        return self._starter.last_failure

    @property
    def takes_pasts(self) -> bool:
        """Whether conversations are handed over in one piece: not for a while after one failed."""
        return self._clock() >= self._no_pasts_before

    @property
    def failures_in_a_row(self) -> int:
        """How many processes were of no use since the last one that was."""
        return self._starter.failures

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
        self._queue.appendleft(ticket) if first else self._queue.append(ticket)
        self._dispatch()
        # Those for whom a process is starting have their place already.
        overfull = len(self._waiting()) - self.roster.starting > self.limits.queue
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
        self._retire(worker)
        self._tracker.spawn(self._start_with(ticket, past, worker.child), name="pool-exchange")
        return ticket

    def release(self, worker: Worker) -> None:
        """A turn is over and the worker is sound: keep it, or replace it when it is used up."""
        self.roster.busy.discard(worker)
        self._starter.succeeded(worker)
        worker.turns += 1
        worker.last_used = self._clock()
        if self._is_closed or self._is_used_up(worker):
            self._end(worker.child)
        else:
            self.roster.idle.append(worker)
        self._dispatch()

    def park(self, worker: Worker) -> None:
        """The worker waits for the results of its tool calls."""
        self.roster.busy.discard(worker)
        worker.last_used = self._clock()
        if worker.is_doomed:
            self.discard(worker)
            return
        self.roster.parked[worker] = worker.last_used
        self._dispatch()

    def discard(self, worker: Worker) -> None:
        """The worker is no longer trusted: end it."""
        self._retire(worker)
        self._dispatch()

    def drop_session(self, owner: str, session: str) -> None:
        """A session is gone: end the processes that still hold its conversation.

        One that is just finishing its turn is ended when the turn has left it.
        """
        for worker in (*self.roster.idle, *self.roster.parked, *self.roster.busy):
            if worker.session == session and worker.owner == owner:
                worker.is_doomed = True
                if worker not in self.roster.busy:
                    self.discard(worker)

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
        can_start = self.size < self.limits.most and not self._starter.rest
        worker = self.roster.choose(ticket.wanted, spare_sessions=can_start)
        while worker is not None and worker.child.is_stopped:
            # It would be noticed in the end, by its silence, and at the cost of the request's time.
            logger.warning("process %d was stopped by a signal; it is replaced", worker.child.pid)
            self._retire(worker)
            worker = self.roster.choose(ticket.wanted, spare_sessions=can_start)
        return worker

    def _start_what_is_missing(self) -> None:
        waiting = self._waiting()
        if self._starter.rest:
            self._do_without_a_start(waiting)
            return
        for ticket in waiting[self.roster.starting :]:
            if self.size >= self.limits.most:
                break
            self.roster.starting += 1
            self._tracker.spawn(self._start_for(ticket), name="pool-start")
        # Each process that is ending makes room for one of those that still have none.
        coming = self.roster.starting + len(self.roster.ending) + len(self.roster.recalling)
        for _ in range(len(waiting) - coming):
            if not self._make_room():
                return

    def _do_without_a_start(self, waiting: list[Ticket]) -> None:
        """What lives will serve who waits; whom nothing can serve is told so."""
        for ticket in waiting:
            if not self.roster.serves(ticket.wanted.schema):
                ticket.worker.set_exception(self._starter.refusal())
        if self._waiting() and not self.roster.recalling:
            self._recall_parked(PARKED_GRACE, most=1)

    def _end(self, child: Child) -> None:
        """End a process; it counts against the bound until it is gone."""
        self.roster.ending.add(child)
        self._table.end(child)
        self._tracker.spawn(self._await_end(child), name=f"pool-end {child.pid}")

    async def _await_end(self, child: Child) -> None:
        await child.gone.wait()
        self.roster.ending.discard(child)
        if not self._is_closed:
            self._dispatch()

    def _make_room(self) -> bool:
        """End an idle process of another kind, or take back the one that is parked longest."""
        if self.roster.idle:
            self._retire(min(self.roster.idle, key=lambda worker: worker.last_used))
            return True
        return self._recall_parked(PARKED_GRACE, most=1) > 0

    def _recall_parked(self, older_than: float, most: int) -> int:
        """Take back what is parked for so long, the oldest first; how many."""
        now = self._clock()
        old = [worker for worker, since in self.roster.parked.items() if now - since >= older_than]
        for worker in old[:most]:
            self.roster.take(worker)
            self.roster.recalling.add(worker)
            self._tracker.spawn(self._recall(worker), name=f"pool-recall {worker.child.pid}")
        return len(old[:most])

    async def _recall(self, worker: Worker) -> None:
        is_sound = await worker.interrupt() and await worker.rewind()
        self.roster.recalling.discard(worker)
        self.release(worker) if is_sound else self.discard(worker)

    async def _start_for(self, ticket: Ticket) -> None:
        failure: WrapperError | None = None
        try:
            worker = await self._starter.start(ticket.wanted.schema)
        except WrapperError as error:
            failure = error
        finally:
            self.roster.starting -= 1
        if failure is None:
            self._admit(worker)
            return
        if ticket.is_waiting and not self.roster.serves():
            ticket.worker.set_exception(failure)
        self._dispatch()

    async def _start_with(self, ticket: Ticket, past: Past, before: Child) -> None:
        await before.gone.wait()
        try:
            worker = await self._starter.start_with(past, ticket.wanted)
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

    def _admit(self, worker: Worker) -> None:
        if self._is_closed:
            self._end(worker.child)
            return
        self.roster.idle.append(worker)
        self._dispatch()

    def _hand_over(self, worker: Worker, ticket: Ticket) -> None:
        if ticket.is_waiting and not self._is_closed:
            self.roster.busy.add(worker)
            ticket.worker.set_result(worker)
            return
        # It holds somebody's conversation, which may have been deleted meanwhile.
        self._end(worker.child)
        self._send_away(ticket)

    async def _keep(self) -> None:
        while not self._is_closed:
            try:
                await self._tend()
            except WrapperError as error:
                # At the end of the server a process that was just starting is ended: no news.
                if not self._is_closed:
                    pause = max(KEEPER_INTERVAL, self._starter.rest)
                    logger.warning("no warm process: %s; next try in %.0f s", error.message, pause)
            except Exception:
                logger.exception("the pool could not be tended; next try in %g s", KEEPER_INTERVAL)
            await asyncio.sleep(KEEPER_INTERVAL)

    async def _tend(self) -> None:
        self._sweep()
        # One after the other: starting many at once slows down the requests that run.
        while self._is_one_missing():
            self.roster.starting += 1
            try:
                worker = await self._starter.start("")
            finally:
                self.roster.starting -= 1
            self._admit(worker)
        self._dispatch()

    def _is_one_missing(self) -> bool:
        if self._is_closed or self._starter.rest:
            return False
        return self.size < min(self.limits.warm, self.limits.most)

    def _sweep(self) -> None:
        now = self._clock()
        for worker in sorted(self.roster.idle, key=lambda w: w.last_used):
            surplus = self.size > self.limits.warm and now - worker.last_used > self.limits.idle_ttl
            if surplus or self._is_used_up(worker):
                self._retire(worker)
            elif now - worker.born > PROVED_AGE:
                self._starter.succeeded(worker)
        for worker in tuple(self.roster.parked):
            if worker.has_ended:
                self.discard(worker)
        self._recall_parked(self.limits.parked_ttl, most=len(self.roster.parked))

    def _is_used_up(self, worker: Worker) -> bool:
        return (
            worker.has_ended
            or worker.is_doomed
            or worker.child.is_stopped
            or worker.child.has_lost_its_folder
            or worker.turns >= self.limits.max_turns
            or self._clock() - worker.born >= self.limits.max_age
            or worker.child.rss() >= self.limits.max_rss
        )

    def _retire(self, worker: Worker) -> None:
        """End a worker that is in nobody's hands."""
        if worker.has_ended and worker.is_untried and not worker.child.is_ending:
            self._starter.failed(worker.link.end_reason)
        self.roster.forget(worker)
        self._end(worker.child)
