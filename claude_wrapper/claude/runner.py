"""Turns, each in a task of its own that no request can cancel."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from claude_wrapper.claude.run import Run
from claude_wrapper.claude.turn import Turn, TurnLimits
from claude_wrapper.claude.wanted import Wanted
from claude_wrapper.errors import CliFailedError, InvalidRequestError, WrapperError

if TYPE_CHECKING:
    from claude_wrapper.claude.pool import Pool
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import TurnRequest

__all__ = ["TurnRunner"]

logger = logging.getLogger(__name__)


class TurnRunner:
    """Starts turns and sees each to its end."""

    def __init__(self, pool: Pool, tracker: ResourceTracker, limits: TurnLimits) -> None:
        self._pool = pool
        self._tracker = tracker
        self._limits = limits
        self._running: set[Turn] = set()

    @property
    def running(self) -> tuple[Turn, ...]:
        """The turns that wait or run."""
        return tuple(self._running)

    def start(self, request: TurnRequest, *, waited: float = 0.0) -> Turn:
        """Begin a turn.

        Args:
            request: What to ask.
            waited: Seconds that the request has waited already; they count as its time.

        Raises:
            OverloadedError: The queue is full.
            ShuttingDownError: The server no longer takes turns.
        """
        turn, wanted = Turn(request), Wanted(request)
        turn.waits_in(self._pool.enqueue(wanted))
        self._running.add(turn)
        self._tracker.spawn(self._run(turn, wanted, waited), name="turn")
        return turn

    async def stop(self, error: WrapperError, deadline: float) -> int:
        """Abandon every turn, wait until they have left their processes; how many there were."""
        turns = self.running
        for turn in turns:
            turn.abandon(error)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                for turn in turns:
                    await turn.finished.wait()
        return len(turns)

    async def _run(self, turn: Turn, wanted: Wanted, waited: float) -> None:
        run = Run(turn, wanted, self._pool, self._limits, waited)
        error: WrapperError | None = None
        try:
            await run.go()
        except WrapperError as problem:
            error = problem
        except asyncio.CancelledError:
            # Only the end of the server cancels this task; the process table does the rest.
            error = CliFailedError("the server ended")
            raise
        except RecursionError:
            # Reading JSON takes deeper nesting than writing it; nothing was sent yet.
            error = InvalidRequestError("the request is nested too deeply; 200 levels are fine")
        except Exception:
            logger.exception("a turn failed in an unforeseen way")
            error = WrapperError("the server made a mistake; its log says which")
        finally:
            turn.end(error)
            try:
                await run.leave_worker()
            finally:
                self._running.discard(turn)
                turn.finished.set()
