"""The workers there are: kept warm, parked, replaced in time, ended."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from claude_wrapper.claude.roster import Roster
from claude_wrapper.claude.starter import Starter
from claude_wrapper.errors import WrapperError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude.child import Child
    from claude_wrapper.claude.table import ProcessTable
    from claude_wrapper.claude.ticket import PoolLimits
    from claude_wrapper.claude.worker import Worker
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["PARKED_GRACE", "Crew"]

logger = logging.getLogger(__name__)

KEEPER_INTERVAL = 1.0
# An idle process that has lived for so long starts well, whatever becomes of it.
PROVED_AGE = 10.0
# A client needs a moment to run its tools; a call parked for less is not taken away from it.
PARKED_GRACE = 5.0


class Crew:
    """Owns the workers, whoever they work for.

    Args:
        table: Starts and ends the processes.
        tracker: Runs what happens beside the requests.
        limits: The bounds.
        clock: Monotonic seconds.
        on_change: Told when a worker has become free, or a place for one.

    Attributes:
        roster: The workers.
        starter: Makes new ones.
    """

    def __init__(
        self,
        table: ProcessTable,
        tracker: ResourceTracker,
        limits: PoolLimits,
        clock: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._table = table
        self._tracker = tracker
        self._limits = limits
        self._clock = clock
        self._on_change = on_change
        self.roster = Roster()
        self.starter = Starter(table, tracker, clock)
        self._is_closed = False

    def start(self) -> None:
        """Begin to keep processes warm."""
        self._tracker.spawn(self._keep(), name="pool-keeper")

    def close(self) -> None:
        """Whose turn ends is ended, too; nobody new is taken in."""
        self._is_closed = True

    def release(self, worker: Worker) -> None:
        """A turn is over and the worker is sound: keep it, or replace it when it is used up."""
        self.roster.busy.discard(worker)
        self.starter.succeeded(worker)
        worker.turns += 1
        worker.last_used = self._clock()
        if self._is_closed or self._is_used_up(worker):
            self.end(worker.child)
        else:
            self.roster.idle.append(worker)
        self._on_change()

    def park(self, worker: Worker) -> None:
        """The worker waits for the results of its tool calls."""
        self.roster.busy.discard(worker)
        worker.last_used = self._clock()
        if worker.is_doomed:
            self.discard(worker)
            return
        self.roster.parked[worker] = worker.last_used
        self._on_change()

    def discard(self, worker: Worker) -> None:
        """The worker is no longer trusted: end it."""
        self.retire(worker)
        self._on_change()

    def drop_session(self, owner: str, session: str) -> None:
        """A session is gone: end the processes that still hold its conversation.

        One that is just finishing its turn is ended when the turn has left it.
        """
        for worker in (*self.roster.idle, *self.roster.parked, *self.roster.busy):
            if worker.session == session and worker.owner == owner:
                worker.is_doomed = True
                if worker not in self.roster.busy:
                    self.discard(worker)

    def admit(self, worker: Worker) -> None:
        """A new worker that is free for whoever waits."""
        if self._is_closed:
            self.end(worker.child)
            return
        self.roster.idle.append(worker)
        self._on_change()

    def end(self, child: Child) -> None:
        """End a process; it counts against the bound until it is gone."""
        self.roster.ending.add(child)
        self._table.end(child)
        self._tracker.spawn(self._await_end(child), name=f"pool-end {child.pid}")

    def retire(self, worker: Worker) -> None:
        """End a worker that is in nobody's hands."""
        if worker.has_ended and worker.is_untried and not worker.child.is_ending:
            self.starter.failed(worker.link.end_reason)
        self.roster.forget(worker)
        self.end(worker.child)

    def make_room(self) -> bool:
        """End an idle process of another kind, or take back the one that is parked longest."""
        if self.roster.idle:
            self.retire(min(self.roster.idle, key=lambda worker: worker.last_used))
            return True
        return self.recall_parked(PARKED_GRACE, most=1) > 0

    def recall_parked(self, older_than: float, most: int) -> int:
        """Take back what is parked for so long, the oldest first; how many."""
        now = self._clock()
        old = [worker for worker, since in self.roster.parked.items() if now - since >= older_than]
        for worker in old[:most]:
            self.recall(worker)
        return len(old[:most])

    def recall(self, worker: Worker) -> None:
        """Begin to take back a parked turn; the worker is free then, or ended."""
        self.roster.take(worker)
        self.roster.recalling.add(worker)
        self._tracker.spawn(self._take_back(worker), name=f"pool-recall {worker.child.pid}")

    async def _take_back(self, worker: Worker) -> None:
        is_sound = await worker.interrupt() and await worker.rewind()
        self.roster.recalling.discard(worker)
        self.release(worker) if is_sound else self.discard(worker)

    async def _await_end(self, child: Child) -> None:
        await child.gone.wait()
        self.roster.ending.discard(child)
        if not self._is_closed:
            self._on_change()

    async def _keep(self) -> None:
        while not self._is_closed:
            try:
                await self._tend()
            except WrapperError as error:
                # At the end of the server a process that was just starting is ended: no news.
                if not self._is_closed:
                    pause = max(KEEPER_INTERVAL, self.starter.rest)
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
                worker = await self.starter.start("")
            finally:
                self.roster.starting -= 1
            self.admit(worker)
        self._on_change()

    def _is_one_missing(self) -> bool:
        if self._is_closed or self.starter.rest:
            return False
        return self.roster.size < min(self._limits.warm, self._limits.most)

    def _sweep(self) -> None:
        now = self._clock()
        for worker in sorted(self.roster.idle, key=lambda w: w.last_used):
            is_idle_long = now - worker.last_used > self._limits.idle_ttl
            surplus = is_idle_long and self.roster.size > self._limits.warm
            if surplus or self._is_used_up(worker):
                self.retire(worker)
            elif now - worker.born > PROVED_AGE:
                self.starter.succeeded(worker)
        for worker in tuple(self.roster.parked):
            if worker.has_ended:
                self.discard(worker)
        self.recall_parked(self._limits.parked_ttl, most=len(self.roster.parked))

    def _is_used_up(self, worker: Worker) -> bool:
        return (
            worker.has_ended
            or worker.is_doomed
            or worker.child.is_stopped
            or worker.child.has_lost_its_folder
            or worker.turns >= self._limits.max_turns
            or self._clock() - worker.born >= self._limits.max_age
            or worker.child.rss() >= self._limits.max_rss
        )
