"""Which warm process a turn gets: sticky where it can be, bounded always, replaced in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from claude_wrapper.claude.ticket import PoolLimits, Ticket
from claude_wrapper.claude.worker import Worker
from claude_wrapper.errors import OverloadedError, ShuttingDownError, WrapperError

if TYPE_CHECKING:
    from claude_wrapper.claude.table import Child, ProcessTable
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import TurnRequest

__all__ = ["Pool", "PoolLimits"]

logger = logging.getLogger(__name__)

KEEPER_INTERVAL = 1.0
MAX_BACKOFF = 30.0
STARTS_AT_ONCE = 2
# A client needs a moment to run its tools; a call parked for less is not taken away from it.
PARKED_GRACE = 5.0


class Pool:
    """Owns the workers. Requests take tickets; workers are handed out in the order of arrival."""

    def __init__(self, table: ProcessTable, tracker: ResourceTracker, limits: PoolLimits) -> None:
        self._table = table
        self._tracker = tracker
        self.limits = limits
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._parked: dict[Worker, float] = {}
        self._ending: set[Child] = set()
        self._starting = 0
        self._queue: deque[Ticket] = deque()
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._is_closed = False
        self.last_failure = ""
        self.rejected_total = 0

    def start(self) -> None:
        """Begin to keep processes warm."""
        self._tracker.spawn(self._keep(), name="pool-keeper")

    def close(self) -> None:
        """Refuse everything that waits and everything to come; running turns go on."""
        self._is_closed = True
        for ticket in self._queue:
            if not ticket.worker.done():
                ticket.worker.set_exception(ShuttingDownError("the server is shutting down"))
        self._queue.clear()

    @property
    def size(self) -> int:
        """Processes there are or will be in a moment; one counts until it is gone."""
        living = (*self._idle, *self._busy, *self._parked, *self._ending)
        return len(living) + self._starting

    def counts(self) -> dict[str, int]:
        """Processes by state, and requests that wait."""
        return {
            "idle": len(self._idle),
            "busy": len(self._busy),
            "parked": len(self._parked),
            "starting": self._starting,
            "ending": len(self._ending),
            "queued": len(self._queue),
        }

    def enqueue(self, request: TurnRequest, *, first: bool = False) -> Ticket:
        """Ask for a process; `first` is for a turn that had its place already.

        Raises:
            OverloadedError: The queue is full.
            ShuttingDownError: The pool is closed.
        """
        if self._is_closed:
            raise ShuttingDownError("the server is shutting down; try another one", retry_after=5)
        ticket = Ticket(request)
        self._queue.appendleft(ticket) if first else self._queue.append(ticket)
        self._dispatch()
        if not ticket.worker.done() and not first and self._is_overfull():
            self._queue.remove(ticket)
            self.rejected_total += 1
            raise OverloadedError(
                f"{self.limits.most} turns run and {self.limits.queue} wait; try again later",
                retry_after=2,
            )
        return ticket

    def release(self, worker: Worker) -> None:
        """A turn is over and the worker is sound: keep it, or replace it when it is used up."""
        self._busy.discard(worker)
        worker.turns += 1
        worker.last_used = time.monotonic()
        if self._is_closed or self._is_used_up(worker):
            self._end(worker.child)
        else:
            self._idle.append(worker)
        self._dispatch()

    def park(self, worker: Worker) -> None:
        """The worker waits for the results of its tool calls."""
        self._busy.discard(worker)
        worker.last_used = time.monotonic()
        if worker.is_doomed:
            self.discard(worker)
            return
        self._parked[worker] = worker.last_used
        self._dispatch()

    def discard(self, worker: Worker) -> None:
        """The worker is no longer trusted: end it."""
        self._forget(worker)
        self._end(worker.child)
        self._dispatch()

    def drop_session(self, owner: str, session: str) -> None:
        """A session is gone: end the processes that still hold its conversation.

        One that is just finishing its turn is ended when the turn has left it.
        """
        for worker in (*self._idle, *self._parked, *self._busy):
            if worker.session == session and worker.owner == owner:
                worker.is_doomed = True
                if worker not in self._busy:
                    self.discard(worker)

    def _is_overfull(self) -> bool:
        # Those for whom a process is starting have their place already.
        waiting = sum(not ticket.worker.done() for ticket in self._queue)
        return waiting - self._starting > self.limits.queue

    def _dispatch(self) -> None:
        for ticket in tuple(self._queue):
            if ticket.worker.done():
                self._queue.remove(ticket)
                continue
            worker = self._choose(ticket)
            if worker is not None:
                self._queue.remove(ticket)
                self._take(worker)
                ticket.worker.set_result(worker)
        self._start_what_is_missing()

    def _choose(self, ticket: Ticket) -> Worker | None:
        """The best worker that is free now: the fewer milliseconds it needs, the better."""
        for worker in self._parked:
            if worker.waits_for(ticket.request) and not worker.has_ended:
                return worker
        fitting = [w for w in self._idle if w.schema == ticket.schema and not w.has_ended]
        holding = [w for w in fitting if w.holds(ticket.request)]
        if holding:
            return max(holding, key=lambda w: (len(w.context.fingerprints), w.last_used))
        free = [w for w in fitting if not w.session or self.size >= self.limits.most]
        return min(free, key=lambda w: w.last_used, default=None)

    def _take(self, worker: Worker) -> None:
        self._forget(worker)
        self._busy.add(worker)

    def _start_what_is_missing(self) -> None:
        waiting = [ticket for ticket in self._queue if not ticket.worker.done()]
        for ticket in waiting[self._starting :]:
            if self.size >= self.limits.most:
                break
            self._starting += 1
            self._tracker.spawn(self._start_for(ticket), name="pool-start")
        # Each process that is ending makes room for one of those that still have none.
        for _ in range(len(waiting) - self._starting - len(self._ending)):
            if not self._make_room():
                return

    def _end(self, child: Child) -> None:
        """End a process; it counts against the bound until it is gone."""
        self._ending.add(child)
        self._table.end(child)
        self._tracker.spawn(self._await_end(child), name=f"pool-end {child.pid}")

    async def _await_end(self, child: Child) -> None:
        await child.gone.wait()
        self._ending.discard(child)
        if not self._is_closed:
            self._dispatch()

    def _make_room(self) -> bool:
        """End an idle process of another kind, or take back a long parked one."""
        if self._idle:
            oldest = min(self._idle, key=lambda worker: worker.last_used)
            self._forget(oldest)
            self._end(oldest.child)
            return True
        self._recall_parked(PARKED_GRACE)
        return False

    def _recall_parked(self, older_than: float) -> None:
        now = time.monotonic()
        for worker, since in tuple(self._parked.items()):
            if now - since >= older_than:
                self._take(worker)
                self._tracker.spawn(self._recall(worker), name=f"pool-recall {worker.child.pid}")

    async def _recall(self, worker: Worker) -> None:
        if await worker.interrupt() and await worker.rewind():
            self.release(worker)
        else:
            self.discard(worker)

    async def _start_for(self, ticket: Ticket) -> None:
        try:
            worker = await self._start_worker(ticket.schema)
        except WrapperError as error:
            self._starting -= 1
            if not ticket.worker.done():
                ticket.worker.set_exception(error)
            self._dispatch()
            return
        self._starting -= 1
        self._admit(worker)

    async def _start_worker(self, schema: str) -> Worker:
        async with self._starts:
            child = await self._table.spawn()
            worker = Worker(child, self._tracker, schema)
            try:
                await worker.start()
            except WrapperError as error:
                self.last_failure = f"{error.message}: {child.process.stderr}".strip(": ")
                error.message = self.last_failure
                self._end(child)
                raise
            self.last_failure = ""
            return worker

    def _admit(self, worker: Worker) -> None:
        if self._is_closed:
            self._end(worker.child)
            return
        self._idle.append(worker)
        self._dispatch()

    async def _keep(self) -> None:
        pause = KEEPER_INTERVAL
        while not self._is_closed:
            try:
                await self._tend()
                pause = KEEPER_INTERVAL
            except WrapperError as error:
                pause = min(pause * 2, MAX_BACKOFF)
                self._complain(error, pause)
            await asyncio.sleep(pause)

    def _complain(self, error: WrapperError, pause: float) -> None:
        # At the end of the server a process that was just starting is ended: no news.
        if not self._is_closed:
            logger.warning("no warm process: %s; next try in %g s", error.message, pause)

    async def _tend(self) -> None:
        self._sweep()
        # One after the other: starting many at once slows down the requests that run.
        while not self._is_closed and self.size < min(self.limits.warm, self.limits.most):
            self._starting += 1
            try:
                worker = await self._start_worker("")
            finally:
                self._starting -= 1
            self._admit(worker)
        self._dispatch()

    def _sweep(self) -> None:
        now = time.monotonic()
        for worker in sorted(self._idle, key=lambda w: w.last_used):
            surplus = self.size > self.limits.warm and now - worker.last_used > self.limits.idle_ttl
            if surplus or self._is_used_up(worker):
                self._forget(worker)
                self._end(worker.child)
        for worker in tuple(self._parked):
            if worker.has_ended:
                self.discard(worker)
        self._recall_parked(self.limits.parked_ttl)

    def _is_used_up(self, worker: Worker) -> bool:
        return (
            worker.has_ended
            or worker.is_doomed
            or worker.turns >= self.limits.max_turns
            or time.monotonic() - worker.born >= self.limits.max_age
            or worker.child.rss() >= self.limits.max_rss
        )

    def _forget(self, worker: Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
        self._busy.discard(worker)
        self._parked.pop(worker, None)
