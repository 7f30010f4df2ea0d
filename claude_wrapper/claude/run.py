"""The story of one turn: from the queue to a process, from question to answer, and back."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from claude_wrapper.claude.acquisition import Acquisition
from claude_wrapper.claude.answer import STRUCTURED_TOOL, AnswerReader, structured_text
from claude_wrapper.claude.events import (
    Abandoned,
    ApiEvent,
    CliEvent,
    ProcessEnded,
    RateLimitEvent,
    ResultEvent,
    TurnBegan,
)
from claude_wrapper.claude.messages import fingerprint
from claude_wrapper.claude.tool_names import cli_name
from claude_wrapper.claude.turn import Deadline, Turn, TurnLimits, nothing
from claude_wrapper.claude.upstream import upstream_error
from claude_wrapper.errors import CliFailedError, InvalidRequestError, RequestTimeoutError
from claude_wrapper.model import TurnEnd

if TYPE_CHECKING:
    from claude_wrapper.claude.pool import Pool
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.claude.worker import Worker

__all__ = ["Run"]

# Getting ready takes milliseconds: a process that does not make it in so many seconds after the
# client has left is not worth waiting for.
READY_GRACE = 1.0
# A timer that is so many seconds late says that the whole server did not run.
STOOD_STILL = 1.0


class Run:
    """One turn; `go` first, and `leave_worker` in any case.

    Args:
        turn: What its consumer sees.
        wanted: The request.
        pool: Where processes come from, and go back to.
        limits: Its longest time and silence.
        waited: Seconds of that time that are over already.
    """

    def __init__(
        self, turn: Turn, wanted: Wanted, pool: Pool, limits: TurnLimits, waited: float
    ) -> None:
        self._turn = turn
        self._wanted = wanted
        self._request = turn.request
        self._pool = pool
        self._limits = limits
        self._deadline = Deadline(time.monotonic() + limits.total - waited)
        self._acquisition = Acquisition(turn, wanted, pool, limits, self._deadline)
        self._is_in_flight = False
        self._has_parked = False
        self._is_sound = False
        self._is_lost = False
        self._worker_is_mid_turn = True
        self._reader = AnswerReader(structured=self._request.json_schema is not None)
        self._resets_at: float | None = None

    async def go(self) -> None:
        """Get a process, ask, and pass the answer on."""
        worker = await self._acquisition.ready_worker()
        if worker is None or self._turn.is_abandoned:
            return
        is_resumed = self._is_in_flight = worker.waits_for(self._wanted)
        if not await self._prepared(worker, is_resumed=is_resumed):
            return
        self._turn.runs_on(worker)
        self._is_in_flight = True
        prompt = self._wanted.prompt
        worker.give_results(prompt) if is_resumed else worker.ask(prompt)
        if await self._follow(worker):
            answer = self._reader.message()
            worker.context.add([fingerprint(message) for message in (*prompt, answer)])
            self._is_sound = True

    async def _prepared(self, worker: Worker, *, is_resumed: bool) -> bool:
        """Configure and load; False when the client went away meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline.remaining) as limit:

                def hurry() -> None:
                    if not limit.expired():
                        limit.reschedule(min(limit.when() or 0, loop.time() + READY_GRACE))

                self._turn.on_abandoned = hurry
                await worker.configure(self._request)
                if not is_resumed:
                    await worker.load(self._wanted)
                    worker.discard_inbox()
        except TimeoutError:
            self._is_lost = True
            if self._turn.is_abandoned:
                return False
            raise self._timeout() from None
        finally:
            self._turn.on_abandoned = nothing
        return not self._turn.is_abandoned

    async def leave_worker(self) -> None:
        """Give the process back as the turn found it, parked, or not at all."""
        worker, self._acquisition.worker = self._acquisition.worker, None
        self._turn.left_worker()
        if worker is None:
            return
        try:
            is_sound = self._is_sound or await self._took_back(worker)
        except BaseException:
            self._pool.crew.discard(worker)
            raise
        if self._is_sound:
            worker.discard_inbox()
        if not is_sound:
            self._pool.crew.discard(worker)
        elif self._is_sound and self._has_parked:
            self._pool.crew.park(worker)
        else:
            self._pool.crew.release(worker)

    async def _took_back(self, worker: Worker) -> bool:
        if worker.has_ended or self._is_lost:
            return False
        if not self._is_in_flight:
            return await worker.reset()
        if self._worker_is_mid_turn and not await worker.interrupt():
            return False
        return await worker.rewind()

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
            raise CliFailedError(f"the turn broke off: {event.reason}")
        if isinstance(event, Abandoned):
            return False
        if isinstance(event, RateLimitEvent):
            self._resets_at = event.resets_at
        if isinstance(event, TurnBegan) and event.tools is not None:
            self._check_tools(event.tools)
        return None

    def _check_tools(self, offered: frozenset[str]) -> None:
        """The CLI leaves out what it does not like, says nothing, and asks the model all the same."""
        if self._request.json_schema is not None and STRUCTURED_TOOL not in offered:
            raise InvalidRequestError(
                "the CLI cannot use the JSON schema of the answer; it must be a valid one of draft 7"
            )
        names = (tool.name for tool in self._request.tools)
        missing = {name for name in names if cli_name(name) not in offered}
        if missing:
            raise CliFailedError(f"the CLI did not take the tools {', '.join(sorted(missing))}")

    def _take_api_event(self, event: ApiEvent) -> bool | None:
        if self._is_new_round(event):
            return self._finish(keep=False)
        pieces = self._reader.read(event.event)
        if event.event.get("type") == "message_start":
            self._turn.opening_usage = self._reader.usage
        self._turn.publish(*pieces)
        # The CLI would go on by itself where the limit was met, and explain a refusal.
        is_over = self._reader.reason in ("length", "content_filter")
        return self._finish(keep=False) if is_over else None

    async def _wait_for_consumer(self, worker: Worker) -> None:
        """Stop listening to the process until the client has caught up: it then waits, too."""
        worker.child.process.hold_output(is_held=True)
        try:
            async with asyncio.timeout(self._deadline.remaining):
                await self._turn.outbox.wait_for_room()
        except TimeoutError:
            raise RequestTimeoutError(
                f"the client did not read its answer within {self._limits.total:g} s"
            ) from None
        finally:
            worker.child.process.hold_output(is_held=False)

    async def _next(self, worker: Worker) -> CliEvent:
        while True:
            with suppress(asyncio.QueueEmpty):
                return worker.inbox.get_nowait()
            due = time.monotonic() + min(self._limits.idle, self._deadline.remaining)
            try:
                async with asyncio.timeout(due - time.monotonic()):
                    return await worker.inbox.get()
            except TimeoutError:
                now = time.monotonic()
                # One that wakes up far too late has stood still itself (SIGSTOP, a paused
                # container): what the process has said meanwhile could not be heard.
                if now - due < STOOD_STILL or self._deadline.is_over:
                    raise self._timeout() from None

    def _timeout(self) -> RequestTimeoutError:
        if self._deadline.is_over:
            return RequestTimeoutError(f"the turn took longer than {self._limits.total:g} s")
        return RequestTimeoutError(f"the CLI was silent for {self._limits.idle:g} s")

    def _all_calls_are_parked(self, worker: Worker) -> bool:
        reader = self._reader
        return (
            reader.reason == "tool_calls"
            and bool(reader.call_ids)
            and not reader.saw_structured_call
            and reader.call_ids <= worker.parked_calls
        )

    def _is_new_round(self, event: ApiEvent) -> bool:
        """The CLI asks the model once more by itself: the client has its answer already, so end.

        It does so after a call of an unknown tool, which it answers itself.

        Raises:
            CliFailedError: The answer was not whole yet; the client has seen a part of it.
        """
        reader = self._reader
        if event.event.get("type") != "message_start" or not reader.has_begun:
            return False
        if reader.reason is None:
            raise CliFailedError("the CLI began its answer anew after a part of it")
        return True

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
