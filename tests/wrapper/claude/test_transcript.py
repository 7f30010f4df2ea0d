"""A long conversation that no process holds: handed over in one piece, and only where that is safe."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from wrapper.support.clock import FakeClock
from wrapper.support.engine import assistant, engine, read, result, user

from claude_wrapper.claude import PoolLimits
from claude_wrapper.claude.messages import fingerprint
from claude_wrapper.claude.pool import PAST_REST
from claude_wrapper.claude.transcript import MANY_TURNS, Past, past_of
from claude_wrapper.errors import ShuttingDownError
from claude_wrapper.model import ImagePart, Message, TextPart, ToolCall

if TYPE_CHECKING:
    from pathlib import Path

    from wrapper.support.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ONE = PoolLimits(warm=0, most=1, queue=4)
CALL = Message(role="assistant", tool_calls=(ToolCall(id="t1", name="f", arguments='{"a": 1}'),))
IMAGE = ImagePart(media_type="image/png", data="aGk=", url="")


def talk(turns: int, *more: Message) -> tuple[Message, ...]:
    said = (m for n in range(turns) for m in (user(f"u{n}"), assistant(f"a{n}")))
    return (*said, *more)


def past(messages: tuple[Message, ...], held: int = 0) -> Past | None:
    return past_of(messages, [fingerprint(message) for message in messages], held, "sonnet")


async def sent(cli: Engine, *messages: Message) -> list[tuple[str, Any]]:
    """What the model is sent, the way a conversation came to the process left out."""
    seen = json.loads(await cli.text(*messages, user("[[context]]")))
    return [(message["role"], message["content"]) for message in seen["messages"]]


async def test_it_arrives_as_if_it_had_been_told_message_by_message(tmp_path: Path) -> None:
    messages = (
        *talk(3),
        user("two"),
        Message(role="user", parts=(IMAGE, TextPart(text="half \ud83d of a pair"))),
        CALL,
        Message(role="tool", tool_call_id="t1", parts=(TextPart(text="no"),), is_error=True),
        assistant("after the call"),
        *talk(MANY_TURNS),
        user("the last"),
        CALL,
        result("t1", "yes"),
        CALL,
        result("t1", "and again"),
    )
    async with engine(tmp_path, ONE) as cli:
        at_once = await sent(cli, *messages)
        assert cli.table.started_total == 2
    async with engine(tmp_path, ONE) as cli:
        cli.pool._no_pasts_before = math.inf
        assert at_once == await sent(cli, *messages)
        assert cli.table.started_total == 1


async def test_nothing_of_it_stays_on_the_disk_and_the_process_goes_on(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        first = user("[[text:one]]")
        assert await cli.text(*talk(MANY_TURNS), first) == "one"
        [child] = cli.table.children
        assert not list(tmp_path.rglob("past.jsonl"))
        assert await cli.text(*talk(MANY_TURNS), first, assistant("one"), user("[[text:two]]")) == (
            "two"
        )
        assert cli.table.children == (child,)


async def test_the_file_is_for_nobody_else(tmp_path: Path) -> None:
    begun = past(talk(MANY_TURNS))
    assert begun is not None
    begun.write(tmp_path / "past")
    assert (tmp_path / "past").stat().st_mode & 0o777 == 0o600


async def test_another_owner_gets_another_process(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(*talk(MANY_TURNS), user("[[text:x]]"), owner="a")
        [child] = cli.table.children
        seen = json.loads(await cli.text(user("[[context]]"), owner="b"))
        assert len(seen["messages"]) == 1
        assert child.gone.is_set()


async def test_a_turn_that_is_given_up_leaves_what_was_before_it(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(*talk(MANY_TURNS), user("[[midhang]]"))
        assert await turn.next_event() is not None
        [child] = cli.table.children
        turn.abandon()
        await turn.finished.wait()
        assert len(await sent(cli, *talk(MANY_TURNS))) == 2 * MANY_TURNS + 1
        assert cli.table.children == (child,)


async def test_a_cli_that_does_not_take_it_is_told_message_by_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine(tmp_path, ONE, options=("--fake-amnesia",)) as cli:
        assert len(await sent(cli, *talk(MANY_TURNS))) == 2 * MANY_TURNS + 1
        assert "did not take a long conversation in one piece" in caplog.text
        assert len(await sent(cli, *talk(MANY_TURNS), *talk(1))) == 2 * MANY_TURNS + 3
    assert caplog.text.count("in one piece") == 1


async def test_without_room_for_the_file_it_is_told_message_by_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_past: Past, _path: Path) -> None:
        raise OSError(28, "No space left on device")

    clock = FakeClock()
    async with engine(tmp_path, ONE, clock=clock) as cli:
        with monkeypatch.context() as disk:
            disk.setattr(Past, "write", full)
            assert len(await sent(cli, *talk(MANY_TURNS))) == 2 * MANY_TURNS + 1
        # The disk has room again; that is found out after a while.
        for rest, is_taken in ((PAST_REST - 1, False), (1, True)):
            await clock.advance(rest)
            assert cli.pool.takes_pasts is is_taken
        writes: list[Path] = []
        write = Past.write
        monkeypatch.setattr(
            Past, "write", lambda past, path: (writes.append(path), write(past, path))
        )
        assert len(await sent(cli, *talk(MANY_TURNS), *talk(MANY_TURNS))) == 4 * MANY_TURNS + 1
        assert len(writes) == 1


async def test_who_leaves_meanwhile_frees_the_place(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[text:x]]"))
        turn = cli.start(*talk(MANY_TURNS), user("[[text:y]]"))
        while not cli.pool.roster.exchanging:
            await asyncio.sleep(0)
        turn.abandon()
        assert await read(turn) == []
        while cli.pool.roster.exchanging:
            await asyncio.sleep(0.01)
        # Its conversation may have been deleted, and is of no use to anybody else.
        assert cli.pool.counts()["idle"] == 0
        assert await cli.text(user("[[text:z]]")) == "z"


async def test_others_do_not_wait_for_it(tmp_path: Path) -> None:
    """The place it takes is its own: who comes meanwhile gets a process started as ever."""
    async with engine(tmp_path, PoolLimits(warm=0, most=3, queue=4)) as cli:
        await cli.text(user("[[text:x]]"))
        long = cli.start(*talk(MANY_TURNS), user("[[text:y]]"))
        while not cli.pool.roster.exchanging:
            await asyncio.sleep(0)
        short = cli.start(user("[[text:z]]"))
        assert cli.pool.roster.starting == 1
        await read(long)
        await read(short)


async def test_at_the_end_of_the_server_it_is_sent_away(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[text:x]]"))
        turn = cli.start(*talk(MANY_TURNS), user("[[text:y]]"))
        while not cli.pool.roster.exchanging:
            await asyncio.sleep(0)
        cli.pool.close()
        with pytest.raises(ShuttingDownError):
            await read(turn)


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(talk(MANY_TURNS - 1), id="too few"),
        pytest.param((user(""), assistant("a"), *talk(MANY_TURNS)), id="nothing said"),
        pytest.param((user("u"), assistant(" \n"), *talk(MANY_TURNS)), id="nothing answered"),
        pytest.param(
            (user("u"), Message(role="assistant"), *talk(MANY_TURNS)), id="nothing at all"
        ),
        pytest.param((user("u"), assistant("(no content)"), *talk(MANY_TURNS)), id="its word"),
        pytest.param(
            (user("u"), *[CALL, result("t1", "r")] * MANY_TURNS), id="no answer but calls"
        ),
    ],
)
async def test_what_the_cli_would_change_is_not_given_to_it(messages: tuple[Message, ...]) -> None:
    assert past(messages) is None


@pytest.mark.parametrize(
    "rest", [(user(" "),), (user("u"), CALL), (user("u"), CALL, result("t1", "r"))]
)
async def test_it_ends_with_an_answer_that_calls_nothing(rest: tuple[Message, ...]) -> None:
    begun = past((*talk(MANY_TURNS), *rest))
    assert begun is not None
    assert begun.messages == talk(MANY_TURNS)


async def test_what_is_held_already_counts() -> None:
    assert past(talk(MANY_TURNS + 9), held=18) is not None
    assert past(talk(MANY_TURNS + 9), held=20) is None
