"""What bounds a turn: its time, the queue before it, and a client that reads slowly or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from wrapper.support.engine import engine, read, user

from claude_wrapper.claude import PoolLimits, TurnLimits
from claude_wrapper.claude.outbox import MOST_WAITING
from claude_wrapper.claude.run import STOOD_STILL
from claude_wrapper.errors import OverloadedError, RequestTimeoutError
from claude_wrapper.model import TurnEnd

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ONE = PoolLimits(warm=0, most=1, queue=4)


async def test_a_client_that_does_not_read_holds_its_process_back(tmp_path: Path) -> None:
    """Neither our queues nor our memory grow: the process itself waits in a write."""
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user("[[chunks:100000]]"))
        while not turn.outbox.is_full:
            await asyncio.sleep(0)
        worker = next(iter(cli.pool.roster.busy))
        pipe = worker.child.process._transport.get_pipe_transport(1)
        assert isinstance(pipe, asyncio.ReadTransport)
        while pipe.is_reading():
            await asyncio.sleep(0)
        assert len(turn.outbox) <= MOST_WAITING + 1
        assert worker.inbox.qsize() < 10_000
        pieces = 0
        while not isinstance(await turn.next_event(), TurnEnd):
            pieces += 1
        assert pieces == 100_000


async def test_a_turn_held_back_can_be_abandoned(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user("[[chunks:100000]]"))
        while not turn.outbox.is_full:
            await asyncio.sleep(0)
        turn.abandon()
        await turn.finished.wait()
        assert await cli.text(user("[[text:fine]]")) == "fine"
        assert cli.table.started_total == 1


async def test_a_client_that_never_reads_runs_into_the_time_limit(tmp_path: Path) -> None:
    warm = PoolLimits(warm=1, most=1, queue=4)
    async with engine(tmp_path, warm, TurnLimits(total=1, idle=20)) as cli:
        # The start of a process is not what is to take the time.
        cli.pool.start()
        while not cli.pool.counts()["idle"]:
            await asyncio.sleep(0.01)
        turn = cli.start(user("[[chunks:100000]]"))
        await turn.finished.wait()
        with pytest.raises(RequestTimeoutError, match="did not read its answer"):
            await read(turn)


async def test_a_server_that_stood_still_does_not_take_its_own_silence_for_the_processes(
    tmp_path: Path,
) -> None:
    """As after SIGSTOP, or in a container that was paused: the process went on speaking."""
    async with engine(tmp_path, ONE, TurnLimits(total=30, idle=0.4)) as cli:
        turn = cli.start(user("[[chunks:12]] [[delay:0.05]]"))
        await turn.next_event()
        time.sleep(0.4 + STOOD_STILL + 0.1)  # the loop is to stand still
        await read(turn)
        assert turn.answer is not None


async def test_the_total_time_of_a_turn_is_enforced(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE, TurnLimits(total=0.5, idle=20)) as cli:
        with pytest.raises(RequestTimeoutError, match=r"longer than 0\.5 s"):
            await cli.text(user("[[chunks:100000]] [[delay:0.01]]"))


async def test_a_full_queue_refuses_and_says_when_to_come_back(tmp_path: Path) -> None:
    async with engine(tmp_path, PoolLimits(warm=0, most=1, queue=1)) as cli:
        turns = [cli.start(user("[[hang]]")), cli.start(user("[[text:x]]"))]
        with pytest.raises(OverloadedError) as caught:
            cli.start(user("[[text:x]]"))
        assert caught.value.retry_after
        for turn in turns:
            turn.abandon()


async def test_a_long_queue_costs_nothing_where_nobody_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path, PoolLimits(warm=0, most=1, queue=100)) as cli:
        first = cli.start(user("[[hang]]"))
        while not cli.pool.counts()["busy"]:
            await asyncio.sleep(0.01)
        looks = []
        choose = cli.pool.roster.choose
        monkeypatch.setattr(
            cli.pool.roster, "choose", lambda *a, **k: (looks.append(a), choose(*a, **k))[1]
        )
        others = [cli.start(user(f"[[text:{n}]]")) for n in range(100)]
        await asyncio.sleep(0)
        assert cli.pool.counts()["queued"] == 100
        assert looks == []
        first.abandon()
        for turn in others:
            await read(turn)
        # Each is looked at when its turn has come, and the one behind it never with it.
        assert len(looks) <= 2 * len(others)
