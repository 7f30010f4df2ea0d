"""One turn from the queue to its end, in a task of its own that no request can cancel."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from claude_wrapper.claude.answer import AnswerReader, structured_text
from claude_wrapper.claude.events import (
    Abandoned,
    ApiEvent,
    CliEvent,
    ProcessEnded,
    RateLimitEvent,
    ResultEvent,
)
from claude_wrapper.claude.messages import fingerprint, prompt_start
from claude_wrapper.claude.turn import Turn, TurnLimits
from claude_wrapper.claude.upstream import upstream_error
from claude_wrapper.errors import (
    CliFailedError,
    InvalidRequestError,
    RequestTimeoutError,
    WrapperError,
)
from claude_wrapper.model import TurnEnd

if TYPE_CHECKING:
    from claude_wrapper.claude.pool import Pool
    from claude_wrapper.claude.worker import Worker
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import TurnRequest

__all__ = ["TurnRunner"]

logger = logging.getLogger(__name__)

ACQUIRE_TRIES = 3


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
        turn = Turn(request)
        turn.waits_in(self._pool.enqueue(request))
        self._running.add(turn)
        self._tracker.spawn(self._run(turn, waited), name="turn")
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

    async def _run(self, turn: Turn, waited: float) -> None:
        run = _Run(turn, self._pool, self._limits, waited)
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


class _Run:
    """The story of one turn."""

    def __init__(self, turn: Turn, pool: Pool, limits: TurnLimits, waited: float) -> None:
        self._turn = turn
        self._request = turn.request
        self._pool = pool
        self._limits = limits
        self._ends_at = time.monotonic() + limits.total - waited
        self._worker: Worker | None = None
        self._is_in_flight = False
        self._has_parked = False
        self._is_sound = False
        self._worker_is_mid_turn = True
        self._reader = AnswerReader(structured=self._request.json_schema is not None)
        self._resets_at: float | None = None

    async def go(self) -> None:
        """Get a process, ask, and pass the answer on."""
        start = prompt_start(self._request.messages)
        history, prompt = self._request.messages[:start], self._request.messages[start:]
        worker = await self._ready_worker()
        if worker is None:
            return
        is_resumed = worker.waits_for(self._request)
        self._is_in_flight = is_resumed
        await worker.configure(self._request)
        if not is_resumed:
            await worker.load(history)
            worker.discard_inbox()
        self._turn.runs_on(worker)
        if self._turn.is_abandoned:
            return
        self._is_in_flight = True
        worker.give_results(prompt) if is_resumed else worker.ask(prompt)
        if await self._follow(worker):
            answer = self._reader.message()
            worker.context.add([fingerprint(message) for message in (*prompt, answer)])
            self._is_sound = True

    async def leave_worker(self) -> None:
        """Give the process back as the turn found it, parked, or not at all."""
        worker, self._worker = self._worker, None
        self._turn.left_worker()
        if worker is None:
            return
        if self._is_sound:
            worker.discard_inbox()
            self._pool.park(worker) if self._has_parked else self._pool.release(worker)
        elif await self._took_back(worker):
            self._pool.release(worker)
        else:
            self._pool.discard(worker)

    async def _took_back(self, worker: Worker) -> bool:
        if worker.has_ended:
            return False
        if not self._is_in_flight:
            return await worker.reset()
        if self._worker_is_mid_turn and not await worker.interrupt():
            return False
        return await worker.rewind()

    async def _ready_worker(self) -> Worker | None:
        for attempt in range(ACQUIRE_TRIES):
            if attempt:
                self._turn.waits_in(self._pool.enqueue(self._request, first=True))
            worker = await self._next_worker()
            if worker is None:
                return None
            self._worker = worker
            if worker.waits_for(self._request):
                return worker
            # What is held belongs to this conversation, or goes before anything else happens.
            if not worker.has_ended and (worker.holds(self._request) or await worker.reset()):
                return worker
            self._worker = None
            self._pool.discard(worker)
        raise CliFailedError(f"{ACQUIRE_TRIES} processes in a row could not be made ready")

    async def _next_worker(self) -> Worker | None:
        ticket = self._turn.ticket
        assert ticket is not None
        try:
            return await asyncio.wait_for(ticket.worker, self._remaining())
        except asyncio.CancelledError:
            if self._turn.is_abandoned and ticket.worker.cancelled():
                return None
            raise
        except TimeoutError:
            raise RequestTimeoutError(
                f"no process was free within {self._limits.total:g} s; "
                "raise --max-concurrency or --request-timeout"
            ) from None

    def _remaining(self) -> float:
        return max(0.001, self._ends_at - time.monotonic())

    async def _follow(self, worker: Worker) -> bool:
        """Pass events on until the turn ends; True when it ended well and is kept."""
        while True:
            verdict = self._take(await self._next(worker))
            if verdict is not None:
                return verdict
            if self._all_calls_are_parked(worker):
                self._has_parked = True
                return self._finish(keep=True)
            if self._turn.outbox.is_full:
                await self._wait_for_consumer(worker)

    def _take(self, event: CliEvent) -> bool | None:
        """What one event means for the turn: kept, given up, or None to go on."""
        if isinstance(event, ApiEvent):
            return self._take_api_event(event)
        if isinstance(event, ResultEvent):
            self._worker_is_mid_turn = False
            return self._conclude(event)
        if isinstance(event, ProcessEnded):
            raise CliFailedError(f"the CLI ended in the middle of the turn: {event.stderr}")
        if isinstance(event, Abandoned):
            return False
        if isinstance(event, RateLimitEvent):
            self._resets_at = event.resets_at
        return None

    def _take_api_event(self, event: ApiEvent) -> bool | None:
        if self._is_new_round(event):
            return self._finish(keep=False)
        pieces = self._reader.read(event.event)
        if event.event.get("type") == "message_start":
            self._turn.opening_usage = self._reader.usage
        self._turn.publish(*pieces)
        return self._finish(keep=False) if self._reader.reason == "length" else None

    async def _wait_for_consumer(self, worker: Worker) -> None:
        """Stop listening to the process until the client has caught up: it then waits, too."""
        worker.child.process.hold_output(is_held=True)
        try:
            async with asyncio.timeout(self._remaining()):
                await self._turn.outbox.wait_for_room()
        except TimeoutError:
            raise RequestTimeoutError(
                f"the client did not read its answer within {self._limits.total:g} s"
            ) from None
        finally:
            worker.child.process.hold_output(is_held=False)

    async def _next(self, worker: Worker) -> CliEvent:
        with suppress(asyncio.QueueEmpty):
            return worker.inbox.get_nowait()
        try:
            async with asyncio.timeout(min(self._limits.idle, self._remaining())):
                return await worker.inbox.get()
        except TimeoutError:
            raise self._timeout() from None

    def _timeout(self) -> RequestTimeoutError:
        if time.monotonic() >= self._ends_at:
            return RequestTimeoutError(f"the turn took longer than {self._limits.total:g} s")
        return RequestTimeoutError(f"the CLI was silent for {self._limits.idle:g} s")

    def _all_calls_are_parked(self, worker: Worker) -> bool:
        reader = self._reader
        return (
            reader.reason == "tool_calls"
            and bool(reader.call_ids)
            and not reader.saw_structured_call
            and reader.call_ids <= worker.tools.parked
        )

    def _is_new_round(self, event: ApiEvent) -> bool:
        """The CLI answered a call by itself (an unknown tool): the client has seen it, so end."""
        is_start = event.event.get("type") == "message_start"
        return is_start and bool(self._reader.call_ids) and self._reader.reason == "tool_calls"

    def _conclude(self, result: ResultEvent) -> bool:
        if result.is_error:
            raise upstream_error(result, self._resets_at)
        if self._request.json_schema is not None:
            self._turn.publish(self._reader.say(structured_text(result)))
            self._reader.reason = "stop"
        if not self._reader.has_begun and result.text:
            self._turn.publish(self._reader.say(result.text))
        return self._finish(keep=True)

    def _finish(self, *, keep: bool) -> bool:
        reader = self._reader
        self._turn.answer = reader.message()
        reason = reader.reason or "stop"
        end = TurnEnd(
            reason=reason, usage=reader.usage, model=reader.model,
            stop_sequence=reader.stop_sequence,
        )  # fmt: skip
        self._turn.publish(end)
        return keep and reason != "content_filter"
