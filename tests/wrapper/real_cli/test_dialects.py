"""Anthropic's dialect and the Responses one on the real CLI: what reaches the API, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openai
    from wrapper.real_cli.conftest import FakeApi
    from wrapper.support.servers import RunningServer

pytestmark = pytest.mark.timeout(120)

MODEL = "claude-sonnet-5-5"
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
TWO_CALLS = '[[tool:weather {"city": "Oslo"}]] [[tool:weather {"city": "Rome"}]]'


def results(api: FakeApi) -> list[tuple[str, bool]]:
    """The tool results in the newest request: text, and whether the tool failed.

    Sorted: the CLI sends results in the order in which its calls happen to end.
    """
    blocks = [
        block
        for message in api.last()["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    return sorted((_text(block["content"]), bool(block.get("is_error"))) for block in blocks)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.fixture
def claude(server: RunningServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="x", max_retries=0) as made:
        yield made


def test_messages_stream_with_the_usage_of_the_api(claude: anthropic.Anthropic) -> None:
    given: Any = {"model": MODEL, "max_tokens": 99}
    content = "[[chunks:3]] [[text:w]]"
    with claude.messages.stream(messages=[{"role": "user", "content": content}], **given) as s:
        assert list(s.text_stream) == ["w0 ", "w1 ", "w2 "]
        message = s.get_final_message()
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 7)


def test_tool_results_of_messages_reach_the_api_in_the_same_turn(
    claude: anthropic.Anthropic, api: FakeApi
) -> None:
    given: Any = {"model": MODEL, "max_tokens": 99}
    tools: Any = [{"name": "weather", "description": "w", "input_schema": SCHEMA}]
    first = claude.messages.create(
        messages=[{"role": "user", "content": TWO_CALLS}], tools=tools, **given
    )
    assert first.stop_reason == "tool_use"
    before = len(api.requests())
    history: Any = [
        {"role": "user", "content": TWO_CALLS},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"dry {index}",
             "is_error": index == 1}
            for index, block in enumerate(first.content)
            if block.type == "tool_use"
        ]},
    ]  # fmt: skip
    reply: Any = claude.messages.create(messages=history, tools=tools, **given)
    assert reply.stop_reason == "end_turn"
    assert len(api.requests()) - before == 1
    assert results(api) == [("dry 0", False), ("dry 1", True)]


def test_parameters_of_messages_reach_the_api(claude: anthropic.Anthropic, api: FakeApi) -> None:
    claude.messages.create(
        model=MODEL, max_tokens=123, system="be brief", stop_sequences=["END"],
        messages=[{"role": "user", "content": "x"}], extra_body={"top_k": 5},
    )  # fmt: skip
    seen = api.last()
    assert (seen["max_tokens"], seen["stop_sequences"], seen["top_k"]) == (123, ["END"], 5)
    assert seen["system"][-1]["text"] == "be brief"


def test_upstream_errors_of_messages_keep_their_kind(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.InternalServerError) as caught:
        claude.messages.create(
            model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "[[status:529]]"}]
        )
    body: Any = caught.value.body
    assert (caught.value.status_code, body["error"]["type"]) == (529, "overloaded_error")


def test_responses_continue_by_id(client: openai.OpenAI, api: FakeApi) -> None:
    first = client.responses.create(model=MODEL, input="[[text:one]]", instructions="goes")
    second = client.responses.create(
        model=MODEL, input="two", previous_response_id=first.id, instructions="comes"
    )
    assert second.output_text == "pong"
    spoken = [m for m in api.last()["messages"] if m["role"] != "system"]
    assert [m["role"] for m in spoken] == ["user", "assistant", "user"]
    assert api.last()["system"][-1]["text"] == "comes"


def test_calls_of_responses_resume_in_the_same_turn(client: openai.OpenAI, api: FakeApi) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
    events = list(client.responses.create(model=MODEL, input=TWO_CALLS, tools=tools, stream=True))
    last: Any = events[-1]
    assert last.type == "response.completed"
    calls = last.response.output
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Oslo", "Rome"]
    before = len(api.requests())
    outputs: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"dry {index}"}
        for index, call in enumerate(calls)
    ]
    reply = client.responses.create(
        model=MODEL, input=outputs, tools=tools, previous_response_id=last.response.id
    )
    assert reply.status == "completed"
    assert len(api.requests()) - before == 1
    assert results(api) == [("dry 0", False), ("dry 1", False)]


def test_a_custom_tool_is_a_function_with_one_text(client: openai.OpenAI, api: FakeApi) -> None:
    tools: Any = [{"type": "custom", "name": "patch", "description": "d"}]
    reply: Any = client.responses.create(
        model=MODEL, input='[[tool:patch {"input": "*** Begin"}]]', tools=tools
    )
    assert [(item.type, item.input) for item in reply.output] == [("custom_tool_call", "*** Begin")]
    [tool] = api.last()["tools"]
    assert tool["input_schema"]["required"] == ["input"]
