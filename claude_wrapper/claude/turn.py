"""One turn from the queue to its end, in a task of its own that no request can cancel."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.claude.answer import AnswerReader
from claude_wrapper.claude.events import (
    Abandoned,
    ApiEvent,
    CliEvent,
    ProcessEnded,
    RateLimitEvent,
    ResultEvent,
)
from claude_wrapper.claude.messages import fingerprint, prompt_start
from claude_wrapper.claude.upstream import upstream_error
from claude_wrapper.errors import CliFailedError, RequestTimeoutError, WrapperError
from claude_wrapper.model import Message, TurnEnd, TurnEvent, TurnRequest, Usage

if TYPE_CHECKING:
    from claude_wrapper.claude.pool import Pool, Ticket
    from claude_wrapper.claude.worker import Worker
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["Turn", "TurnLimits", "TurnRunner"]

logger = logging.getLogger(__name__)

ACQUIRE_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLimits:
    """Longest turn and longest silence within it, in seconds."""

    total: float = 600.0
    idle: float = 120.0


class Turn:
    """A running turn as its consumer sees it.

    Read `next_event` until it returns None or raises; call `abandon` whenever the answer is no
    longer wanted, also in a `finally`: it never waits.

    Attributes:
        opening_usage: What the API counted before it began to answer; zeros until then.
    """

    def __init__(self, request: TurnRequest) -> None:
        self.request = request
        self.answer: Message | None = None
        self.opening_usage = Usage()
        self.finished = asyncio.Event()
        self.is_abandoned = False
        self._events: asyncio.Queue[TurnEvent | WrapperError | None] = asyncio.Queue()
        self._ticket: Ticket | None = None
        self._worker: Worker | None = None
        self._abandon_error: WrapperError | None = None

    async def next_event(self) -> TurnEvent | None:
        """The next piece of the answer, or None after the last.

        Raises:
            WrapperError: The turn failed; nothing comes after that.
        """
        event = await self._events.get()
        if isinstance(event, WrapperError):
            raise event
        return event

    def abandon(self, error: WrapperError | None = None) -> None:
        """Nobody wants the answer: stop the turn and free its process. Returns at once.

        Args:
            error: What a consumer that still reads gets to see.
        """
        if self.is_abandoned or self.finished.is_set():
            return
        self.is_abandoned = True
        self._abandon_error = error
        if self._ticket is not None:
            self._ticket.cancel()
        if self._worker is not None:
            self._worker.inbox.put_nowait(Abandoned())

    # What follows is the runner's side.

    def publish(self, *events: TurnEvent) -> None:
        """Hand events to the consumer."""
        for event in events:
            self._events.put_nowait(event)

    def end(self, error: WrapperError | None = None) -> None:
        """No more events come."""
        self._events.put_nowait(error or self._abandon_error)

    def waits_in(self, ticket: Ticket) -> None:
        """The turn has a place in the queue."""
        self._ticket = ticket
        if self.is_abandoned:
            ticket.cancel()

    def runs_on(self, worker: Worker) -> None:
        """The turn has a process."""
        self._worker = worker
        if self.is_abandoned:
            worker.inbox.put_nowait(Abandoned())

    def left_worker(self) -> None:
        """The process no longer belongs to this turn."""
        self._worker = None


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

    def start(self, request: TurnRequest) -> Turn:
        """Begin a turn.

        Raises:
            OverloadedError: The queue is full.
            ShuttingDownError: The server no longer takes turns.
        """
        turn = Turn(request)
        turn.waits_in(self._pool.enqueue(request))
        self._running.add(turn)
        self._tracker.spawn(self._run(turn), name="turn")
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

    async def _run(self, turn: Turn) -> None:
        run = _Run(turn, self._pool, self._limits)
        error: WrapperError | None = None
        try:
            await run.go()
        except WrapperError as problem:
            error = problem
        except asyncio.CancelledError:
            # Only the end of the server cancels this task; the process table does the rest.
            error = CliFailedError("the server ended")
            raise
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

    def __init__(self, turn: Turn, pool: Pool, limits: TurnLimits) -> None:
        self._turn = turn
        self._request = turn.request
        self._pool = pool
        self._limits = limits
        self._ends_at = time.monotonic() + limits.total
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
        ticket = self._turn._ticket  # noqa: SLF001  # both sides of one object live in this file
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
            event = await self._next(worker)
            if isinstance(event, ApiEvent):
                if self._is_new_round(event):
                    return self._finish(keep=False)
                self._read(event)
                if self._reader.reason == "length":
                    return self._finish(keep=False)
            elif isinstance(event, ResultEvent):
                self._worker_is_mid_turn = False
                return self._conclude(event)
            elif isinstance(event, ProcessEnded):
                raise CliFailedError(f"the CLI ended in the middle of the turn: {event.stderr}")
            elif isinstance(event, Abandoned):
                return False
            elif isinstance(event, RateLimitEvent):
                self._resets_at = event.resets_at
            if self._all_calls_are_parked(worker):
                self._has_parked = True
                return self._finish(keep=True)

    def _read(self, event: ApiEvent) -> None:
        pieces = self._reader.read(event.event)
        if event.event.get("type") == "message_start":
            self._turn.opening_usage = self._reader.usage
        self._turn.publish(*pieces)

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
            self._turn.publish(self._reader.say(_structured(result)))
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


def _structured(result: ResultEvent) -> str:
    if result.structured_output is None:
        raise CliFailedError("the model did not answer in the schema asked for")
    return json.dumps(result.structured_output, ensure_ascii=False)
