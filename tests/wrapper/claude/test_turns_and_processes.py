"""What becomes of processes: after turns that are abandoned, in the end, and after their last turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from wrapper.support.engine import engine, read, user
from wrapper.support.servers import is_alive, suspend

from claude_wrapper.claude import PoolLimits, TurnLimits
from claude_wrapper.errors import RequestTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ONE = PoolLimits(warm=0, most=1, queue=4)


@pytest.mark.parametrize("state", ["[[hang]]", "[[midhang]]"])
async def test_an_abandoned_turn_is_interrupted_and_leaves_no_trace(
    tmp_path: Path, state: str
) -> None:
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user(state + " never again"))
        while not cli.table.children or not cli.pool.counts()["busy"]:
            await asyncio.sleep(0)
        if state == "[[midhang]]":
            await turn.next_event()
        turn.abandon()
        await turn.finished.wait()
        assert "never again" not in await cli.text(user("[[context]]"))
        assert cli.table.started_total == 1


async def test_a_turn_abandoned_between_its_end_and_the_return_of_its_process_still_ends(
    tmp_path: Path,
) -> None:
    """What waits for a client that has gone is dropped, but never the end: a reader would stay."""
    async with engine(tmp_path, ONE, TurnLimits(total=30, idle=0.3)) as cli:
        turn = cli.start(user("[[stuck]]"))
        while not len(turn.outbox):
            await asyncio.sleep(0)
        assert not turn.finished.is_set()
        turn.abandon()
        async with asyncio.timeout(10):
            # Also for who asks once more.
            assert [await turn.next_event() for _ in range(2)] == [None, None]


async def test_a_turn_abandoned_in_the_queue_gives_its_place_up(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        running = cli.start(user("[[midhang]]"))
        await running.next_event()
        waiting = cli.start(user("[[text:never]]"))
        waiting.abandon()
        await waiting.finished.wait()
        assert cli.pool.counts()["busy"] == 1
        running.abandon()
        await running.finished.wait()
        assert cli.pool.counts() == {
            "idle": 1,
            "busy": 0,
            "parked": 0,
            "starting": 0,
            "ending": 0,
            "queued": 0,
        }


async def test_a_process_that_ignores_interrupts_is_replaced(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE, TurnLimits(total=30, idle=0.3)) as cli:
        with pytest.raises(RequestTimeoutError, match=r"silent for 0\.3 s"):
            await cli.text(user("[[stuck]] [[ignore-sigterm]]"))
        assert await cli.text(user("[[text:fine]]")) == "fine"
        assert cli.table.started_total == 2
        await cli.table.end_all(10)
        assert cli.table.killed_total == 1


async def test_a_stopped_process_is_killed_at_the_end(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[text:x]]"))
        [child] = cli.table.children
        suspend(child.pid)
        await cli.table.end_all(10)
        assert cli.table.killed_total == 1
        assert not is_alive(child.pid)


async def test_a_grandchild_dies_with_its_group(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        grandchild = int(await cli.text(user("[[grandchild]]")))
        assert is_alive(grandchild)
        await cli.table.end_all(10)
        assert not is_alive(grandchild)


@pytest.mark.parametrize("kind", ["escapee", "stranger"])
async def test_a_grandchild_that_left_the_group_ends_with_its_process(
    tmp_path: Path, kind: str
) -> None:
    """It keeps the output open: the end of its parent must be seen without the end of that."""
    async with engine(tmp_path, ONE) as cli:
        escapee = int(await cli.text(user(f"[[{kind}]]")))
        [child] = cli.table.children
        cli.table.end(child)
        async with asyncio.timeout(5):
            await child.gone.wait()
        while is_alive(escapee):
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["escapee", "stranger"])
async def test_a_grandchild_that_left_the_group_does_not_survive_the_end(
    tmp_path: Path, kind: str
) -> None:
    async with engine(tmp_path, ONE) as cli:
        escapee = int(await cli.text(user(f"[[{kind}]]")))
        await cli.table.end_all(10)
        assert not is_alive(escapee)


async def test_a_process_counts_against_the_bound_until_it_is_gone(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[text:x]]"))
        [old] = cli.table.children
        suspend(old.pid)
        # Another schema needs another process, for which this one, which hangs on, has to go.
        turn = cli.start(user('[[json:{"a": 1}]]'), json_schema={"type": "object"})
        while not old.gone.is_set():
            assert len(cli.table.children) == 1
            assert cli.pool.size == 1
            await asyncio.sleep(0)
        await read(turn)
        assert cli.table.killed_total == 1


@pytest.mark.parametrize("most", [1, 2])
async def test_a_stopped_process_is_replaced_before_it_is_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, most: int
) -> None:
    """Its silence alone would cost the next turn two seconds, or all its time."""
    async with engine(tmp_path, PoolLimits(warm=1, most=most, queue=4)) as cli:
        await cli.text(user("[[text:x]]"))
        [old] = cli.table.children
        suspend(old.pid)
        assert await cli.text(user("[[text:y]]")) == "y"
        await old.gone.wait()
        assert f"process {old.pid} was stopped by a signal; it is replaced" in caplog.text
        assert old.pid not in [child.pid for child in cli.table.children]


async def test_a_process_is_replaced_after_its_turns(tmp_path: Path) -> None:
    async with engine(tmp_path, PoolLimits(warm=0, most=1, max_turns=2)) as cli:
        pids = [await cli.text(user("[[pid]]")) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_many_turns_share_few_processes(tmp_path: Path) -> None:
    async with engine(tmp_path, PoolLimits(warm=0, most=3, queue=30)) as cli:
        texts = await asyncio.gather(*(cli.text(user(f"[[text:{n}]]")) for n in range(30)))
        assert texts == [str(n) for n in range(30)]
        assert cli.table.started_total <= 3
