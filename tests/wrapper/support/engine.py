"""The CLI driver without the server: pool, table and runner over the real fake executable."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrapper.support.servers import scrubbed_environment

from claude_wrapper.claude import Pool, PoolLimits, ProcessTable, TurnLimits, TurnRunner
from claude_wrapper.claude.ledger import Ledger, open_ledger
from claude_wrapper.claude.locate import CliBinary, demo_cli
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.model import Message, TextDelta, TextPart, TurnEvent, TurnRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from claude_wrapper.claude import Turn


@dataclass
class Engine:
    tracker: ResourceTracker
    ledger: Ledger
    table: ProcessTable
    pool: Pool
    runner: TurnRunner

    def start(self, *messages: Message, **more: Any) -> Turn:
        return self.runner.start(TurnRequest(model="sonnet", messages=messages, **more))

    async def text(self, *messages: Message, **more: Any) -> str:
        turn = self.start(*messages, **more)
        events = await read(turn)
        return "".join(event.text for event in events if isinstance(event, TextDelta))


async def read(turn: Turn) -> list[TurnEvent]:
    """All events of a turn, after it has left its process."""
    events = []
    try:
        while (event := await turn.next_event()) is not None:
            events.append(event)
            if type(event).__name__ == "TurnEnd":
                break
    finally:
        await turn.finished.wait()
    return events


def user(text: str) -> Message:
    return Message(role="user", parts=(TextPart(text=text),))


def assistant(text: str) -> Message:
    return Message(role="assistant", parts=(TextPart(text=text),))


def result(call_id: str, text: str) -> Message:
    return Message(role="tool", tool_call_id=call_id, parts=(TextPart(text=text),))


@contextlib.asynccontextmanager
async def engine(
    folder: Path,
    limits: PoolLimits,
    turns: TurnLimits | None = None,
    *,
    options: tuple[str, ...] = (),
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Engine]:
    """A driver that leaves nothing behind, and checks that it has not.

    Args:
        folder: The state folder.
        limits: Of the pool.
        turns: Of the turns.
        options: For the fake CLI.
        clock: For the pool.
    """
    tracker = ResourceTracker()
    ledger = open_ledger(folder)
    binary = CliBinary(prefix=(*demo_cli().prefix, *options), origin="given")
    table = ProcessTable(tracker, ledger, binary, scrubbed_environment())
    pool = Pool(table, tracker, limits, clock)
    runner = TurnRunner(pool, tracker, turns or TurnLimits(total=30, idle=20))
    try:
        yield Engine(tracker, ledger, table, pool, runner)
    finally:
        pool.close()
        for turn in runner.running:
            turn.abandon()
            await turn.finished.wait()
        await table.end_all(10)
        await tracker.cleanup_all(5)
        assert tracker.list() == (), tracker.list()
        assert list(ledger.work_folder.iterdir()) == []
        ledger.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [task for task in others if "cli" in task.get_name()] == []
