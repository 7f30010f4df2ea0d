"""Tools of a client that are called like the CLI's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wrapper.support.engine import engine, read, result, user

from claude_wrapper.claude import PoolLimits
from claude_wrapper.claude.tool_names import TAKEN, cli_name, client_name
from claude_wrapper.model import Message, ToolCall, ToolSpec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

taken = st.builds(
    lambda name, marks: name + "_" * marks, st.sampled_from(sorted(TAKEN)), st.integers(0, 3)
)
names = st.one_of(taken, st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))


# The first name takes a second on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names, names)
def test_every_name_comes_back_and_no_two_become_one(one: str, other: str) -> None:
    assert client_name(cli_name(one)) == one
    assert (cli_name(one) == cli_name(other)) == (one == other)
    assert cli_name(one) not in TAKEN


@pytest.mark.anyio
@pytest.mark.parametrize("name", sorted(TAKEN))
async def test_they_are_the_clients_in_every_way(tmp_path: Path, name: str) -> None:
    """Offered, called, answered in the same turn, replayed from the history, and forced."""
    tools = (ToolSpec(name=name, description="", parameters={"type": "object"}),)
    asked = user(f'[[tool:{name} {{"a": 1}}]]')
    async with engine(tmp_path, PoolLimits(warm=0, most=1)) as cli:
        turn = cli.start(asked, tools=tools)
        await read(turn)
        assert turn.answer is not None
        [call] = turn.answer.tool_calls
        assert (call.name, json.loads(call.arguments)) == (name, {"a": 1})
        history = (asked, turn.answer, result(call.id, "fine"))
        assert await cli.text(*history, tools=tools) == "results: fine"
        assert cli.table.started_total == 1
        forced = {"tool_choice": {"type": "tool", "name": name}}
        seen = json.loads(await cli.text(*replayed(name), tools=tools, body=forced))
    assert [tool["name"] for tool in seen["tools"]] == [cli_name(name)]
    assert seen["messages"][1]["content"][0]["name"] == cli_name(name)
    body = json.loads(seen["env"]["CLAUDE_CODE_EXTRA_BODY"])
    assert body == {"tool_choice": {"type": "tool", "name": cli_name(name)}}


def replayed(name: str) -> tuple[Message, ...]:
    """A conversation that no process holds."""
    called = Message(role="assistant", tool_calls=(ToolCall(id="t", name=name, arguments="{}"),))
    return (user("before"), called, result("t", "done"), user("[[context]]"))
