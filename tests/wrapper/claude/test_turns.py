"""Turns on real processes of the fake CLI: answers, isolation, and failures."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from wrapper.support.engine import assistant, engine, read, result, user

from claude_wrapper.claude import PoolLimits
from claude_wrapper.claude.run import Run
from claude_wrapper.errors import CliFailedError, UpstreamError
from claude_wrapper.model import (
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    ToolSpec,
    TurnEnd,
    TurnRequest,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ONE = PoolLimits(warm=0, most=1, queue=4)
WEATHER = ToolSpec(name="weather", description="Tells it", parameters={"type": "object"})
TWO_CALLS = '[[tool:weather {"city": "Oslo"}]] [[tool:weather {"city": "Rome"}]]'


async def test_pieces_arrive_one_by_one(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        events = await read(cli.start(user("[[chunks:3]]")))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["word0 ", "word1 ", "word2 "]
    end = events[-1]
    assert isinstance(end, TurnEnd)
    assert (end.reason, end.usage.prompt_tokens, end.usage.output_tokens) == ("stop", 12, 5)


async def test_unrelated_requests_share_a_process_but_nothing_else(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        first = await cli.text(
            user("secret of the first [[text:x]]"), system="first", max_tokens=5, tools=(WEATHER,),
            body={"temperature": 0.5}, owner="a",
        )  # fmt: skip
        seen = json.loads(await cli.text(user("[[context]]"), owner="b"))
        assert cli.table.started_total == 1
    assert first == "x"
    assert "secret" not in json.dumps(seen)
    assert seen["tools"] == []
    assert seen["system"] != "first"
    assert seen["env"] == {
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "",
        "CLAUDE_CODE_EXTRA_BODY": "{}",
        "CLAUDE_CODE_DISABLE_THINKING": "",
    }


async def test_the_same_words_of_another_owner_are_not_continued(tmp_path: Path) -> None:
    """The context is reset and loaded anew: the process must not carry state across keys."""
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[text:x]]"), owner="a")
        worker = cli.pool.roster.idle[0]
        kept = worker.context.points[0].uuid
        await cli.text(user("[[text:x]]"), assistant("x"), user("more [[text:y]]"), owner="b")
        assert kept not in [point.uuid for point in worker.context.points]


async def test_a_conversation_continues_without_being_loaded_again(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        await cli.text(user("[[text:x]]"))
        kept = cli.pool.roster.idle[0].context.points[0].uuid
        seen = json.loads(await cli.text(user("[[text:x]]"), assistant("x"), user("[[context]]")))
        assert cli.pool.roster.idle[0].context.points[0].uuid == kept
    assert [m["role"] for m in seen["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("first", "then"), [({"system": "one"}, {"system": "two"}), ({}, {"model": "opus"})]
)
async def test_a_change_of_model_or_system_prompt_is_not_told_to_the_model(
    tmp_path: Path, first: dict[str, str], then: dict[str, str]
) -> None:
    """The CLI writes it into a conversation that has begun; so the conversation begins anew."""
    talk = (user("[[text:x]]"), assistant("x"), user("[[context]]"))
    async with engine(tmp_path, ONE) as cli:
        await cli.text(talk[0], **first)
        turn = cli.runner.start(TurnRequest(**{"model": "sonnet", "messages": talk, **then}))
        said = "".join(e.text for e in await read(turn) if isinstance(e, TextDelta))
    texts = [m["content"][0]["text"] for m in json.loads(said)["messages"]]
    assert texts == ["[[text:x]]", "x", "[[context]]"]


async def test_results_under_another_system_prompt_do_not_resume(tmp_path: Path) -> None:
    async with engine(tmp_path, PoolLimits(warm=0, most=2, queue=4)) as cli:
        turn = cli.start(user(TWO_CALLS), tools=(WEATHER,), system="one")
        await read(turn)
        assert turn.answer is not None
        results = [result(call.id, "rain") for call in turn.answer.tool_calls]
        history = (user(TWO_CALLS), turn.answer, *results)
        answer = await cli.text(*history, tools=(WEATHER,), system="two")
        # The fake CLI tells results only in the turn that made the calls.
        assert "rain" not in answer
        # Nobody will answer the parked calls any more: their process is taken back, not replaced.
        assert cli.table.started_total == 1
        assert cli.pool.counts()["parked"] == 0


async def test_history_is_loaded_in_order_when_no_process_holds_it(tmp_path: Path) -> None:
    history = [user("u1"), assistant("a1"), user("u2"), assistant("a2"), user("[[context]]")]
    async with engine(tmp_path, ONE) as cli:
        seen = json.loads(await cli.text(*history))
    texts = [message["content"][0]["text"] for message in seen["messages"]]
    assert texts == ["u1", "a1", "u2", "a2", "[[context]]"]


async def test_parallel_tool_calls_are_parked_and_resumed_on_the_same_process(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user(TWO_CALLS), tools=(WEATHER,))
        events = await read(turn)
        assert turn.answer is not None
        calls = turn.answer.tool_calls
        assert [json.loads(call.arguments)["city"] for call in calls] == ["Oslo", "Rome"]
        assert sum(isinstance(e, ToolCallStarted) for e in events) == 2
        assert sum(isinstance(e, ToolArgumentsDelta) for e in events) == 4
        assert cli.pool.counts()["parked"] == 1
        results = [result(calls[0].id, "rain"), result(calls[1].id, "sun")]
        text = await cli.text(user(TWO_CALLS), turn.answer, *results, tools=(WEATHER,))
        assert text == "results: rain | sun"
        assert cli.table.started_total == 1


async def test_results_are_replayed_when_the_parked_process_is_gone(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user(TWO_CALLS), tools=(WEATHER,))
        await read(turn)
        assert turn.answer is not None
        [child] = cli.table.children
        cli.table.end(child)
        await child.gone.wait()
        calls = turn.answer.tool_calls
        results = [result(call.id, "rain") for call in calls]
        cli.pool.crew._sweep()
        await cli.text(user(TWO_CALLS), turn.answer, *results, tools=(WEATHER,))
        assert cli.table.started_total == 2


async def test_a_schema_gets_its_own_process_and_a_checked_object(tmp_path: Path) -> None:
    async with engine(tmp_path, PoolLimits(warm=0, most=2)) as cli:
        text = await cli.text(user('[[json:{"a": 1}]]'), json_schema={"type": "object"})
    assert json.loads(text) == {"a": 1}


async def test_the_token_limit_ends_the_answer_instead_of_going_on(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        events = await read(cli.start(user("[[maxtok]] [[text:cut]]")))
        assert cli.pool.counts()["idle"] == 1
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["cut"]
    assert isinstance(events[-1], TurnEnd)
    assert events[-1].reason == "length"


async def test_a_refusal_is_the_answer_whatever_the_cli_does_about_it(tmp_path: Path) -> None:
    """It asks once more by itself: the client got both answers as one."""
    async with engine(tmp_path, ONE) as cli:
        events = await read(cli.start(user("[[refuse]] [[text:no]]")))
        seen = json.loads(await cli.text(user("[[context]]")))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["no"]
    assert isinstance(events[-1], TurnEnd)
    assert events[-1].reason == "content_filter"
    assert len(seen["messages"]) == 1


async def test_an_answer_that_begins_anew_is_no_answer(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        with pytest.raises(CliFailedError, match="anew after a part of it"):
            await cli.text(user("[[anew]] [[chunks:3]]"))
        assert await cli.text(user("[[text:fine]]")) == "fine"


@pytest.mark.parametrize("status", [400, 401, 429, 529])
async def test_api_errors_keep_their_status_and_the_process(tmp_path: Path, status: int) -> None:
    async with engine(tmp_path, ONE) as cli:
        with pytest.raises(UpstreamError, match=f"answered {status}: fake error") as caught:
            await cli.text(user(f"[[status:{status}]]"))
        assert "API Error" not in await cli.text(user("[[context]]"))
        assert cli.table.started_total == 1
    assert caught.value.http_status == status


async def test_a_crash_in_mid_stream_is_an_error_and_the_next_turn_works(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        with pytest.raises(CliFailedError, match="broke off: the CLI ended with exit code"):
            await cli.text(user("[[crash]]"))
        assert await cli.text(user("[[text:fine]]")) == "fine"


async def test_a_process_that_is_killed_in_mid_stream_is_said_to_be(tmp_path: Path) -> None:
    """Most often it is the kernel that does it, for want of memory."""
    async with engine(tmp_path, ONE) as cli:
        turn = cli.start(user("[[midhang]]"))
        assert await turn.next_event() is not None
        os.kill(cli.table.children[0].pid, signal.SIGKILL)
        with pytest.raises(
            CliFailedError, match=r"broke off: the CLI ended by signal 9 \(Killed\)"
        ):
            await turn.next_event()
        assert await cli.text(user("[[text:fine]]")) == "fine"


async def test_the_demo_does_not_repeat_megabytes(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        said = await cli.text(user("many words " * 100_000))
    assert len(said) < 3000
    assert "and 1097999 more characters" in said


async def test_a_line_of_two_megabytes_is_read(tmp_path: Path) -> None:
    async with engine(tmp_path, ONE) as cli:
        assert len(await cli.text(user("[[huge:2000000]]"))) == 2_000_000


async def test_a_turn_that_is_over_is_freed_without_the_collector(tmp_path: Path) -> None:
    """It holds a conversation, which may be tens of megabytes, and the collector comes seldom."""
    async with engine(tmp_path, ONE) as cli:
        gc.collect()
        before = sum(isinstance(one, Run) for one in gc.get_objects())
        gc.disable()
        try:
            assert await cli.text(user("[[text:x]]")) == "x"
            # The task that ran it is let go at the next turn of the loop.
            await asyncio.sleep(0)
            assert sum(isinstance(one, Run) for one in gc.get_objects()) == before
        finally:
            gc.enable()


@pytest.mark.parametrize("length", [150_000, 600_000])
async def test_a_long_result_reaches_the_model_whole(tmp_path: Path, length: int) -> None:
    """The CLI puts one away that is longer than it was told, and in any case beyond half a million."""
    tools = (ToolSpec(name="f", description="", parameters={"type": "object"}),)
    async with engine(tmp_path, ONE) as cli:
        asked = user("[[tool:f]]")
        turn = cli.start(asked, tools=tools)
        await read(turn)
        assert turn.answer is not None
        [call] = turn.answer.tool_calls
        found = result(call.id, "x" * length)
        history = (asked, turn.answer, found)
        answer = await cli.text(*history, tools=tools)
        seen = await cli.text(*history, assistant(answer), user("[[context]]"), tools=tools)
        assert found.text in seen
        # Also where it cannot be given to the call that waits: that turn is taken back at once.
        assert cli.table.started_total == 1
