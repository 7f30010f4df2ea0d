"""`/v1/responses` as the official client sees it, on a real server and real processes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from wrapper.support.servers import RunningServer, running_server

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.timeout(60)

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
TWO_CALLS = '[[tool:weather {"city": "Oslo"}]] [[tool:weather {"city": "Rome"}]]'
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhf"
    "DwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def ask(client: openai.OpenAI, given: Any, **more: Any) -> Any:
    return client.responses.create(**{"model": "sonnet", "input": given, **more})


def context(client: openai.OpenAI, given: Any = "[[context]]", **more: Any) -> Any:
    """What the model was sent."""
    return json.loads(ask(client, given, **more).output_text)


def test_a_whole_response_has_text_status_and_true_usage(client: openai.OpenAI) -> None:
    reply = ask(client, "[[text:hello]]", instructions="be brief", metadata={"a": "b"})
    assert (reply.output_text, reply.status, reply.error) == ("hello", "completed", None)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (12, 5)
    assert reply.usage.input_tokens_details.cached_tokens == 2
    assert (reply.instructions, reply.metadata) == ("be brief", {"a": "b"})


def test_a_stream_has_every_event_numbered_and_in_order(client: openai.OpenAI) -> None:
    events = list(ask(client, "[[chunks:2]]", stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert len({event.item_id for event in events if hasattr(event, "item_id")}) == 1
    final = events[-1].response
    assert (final.id, final.output_text) == (events[0].response.id, "word0 word1 ")
    assert final.usage.total_tokens == 17
    assert events[-2].item == final.output[0]


def test_calls_are_streamed_with_their_arguments_and_resume(client: openai.OpenAI) -> None:
    events = list(ask(client, TWO_CALLS, tools=[WEATHER], stream=True))
    kinds = [event.type.removeprefix("response.") for event in events]
    one_call = [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
    ]  # fmt: skip
    assert kinds == ["created", "in_progress", *one_call, *one_call, "completed"]
    whole = "".join(e.delta for e in events if e.type.endswith("arguments.delta"))
    assert whole == '{"city": "Oslo"}{"city": "Rome"}'
    calls = events[-1].response.output
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"dry {index}"}
        for index, call in enumerate(calls)
    ]
    reply = ask(client, outputs, tools=[WEATHER], previous_response_id=events[-1].response.id)
    # Only the process that made the calls answers with their results in this way.
    assert reply.output_text == "results: dry 0 | dry 1"


def test_calls_resume_when_the_client_keeps_the_history_itself(client: openai.OpenAI) -> None:
    given: Any = [{"role": "user", "content": TWO_CALLS}]
    first = ask(client, given, tools=[WEATHER], store=False)
    given += [item.model_dump() for item in first.output]
    given += [
        {"type": "function_call_output", "call_id": item.call_id,
         "output": [{"type": "input_text", "text": "dry"}]}
        for item in first.output
    ]  # fmt: skip
    reply = ask(client, given, tools=[WEATHER], store=False)
    assert reply.output_text == "results: dry | dry"


@pytest.mark.parametrize("stream", [False, True])
def test_custom_tools_take_free_text(client: openai.OpenAI, stream: bool) -> None:
    text = '[[tool:apply_patch {"input": "*** Begin"}]]'
    if stream:
        events = list(ask(client, text, tools=[PATCH], stream=True))
        kinds = [event.type.removeprefix("response.") for event in events]
        assert kinds[3:5] == ["custom_tool_call_input.delta", "custom_tool_call_input.done"]
        response = events[-1].response
    else:
        response = ask(client, text, tools=[PATCH])
    [call] = response.output
    assert (call.type, call.input) == ("custom_tool_call", "*** Begin")
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    reply = ask(client, [output], tools=[PATCH], previous_response_id=response.id)
    assert reply.output_text == "results: done"


def test_the_grammar_of_a_custom_tool_is_told_to_the_model(client: openai.OpenAI) -> None:
    [tool] = context(client, tools=[PATCH])["tools"]
    assert "start: /.+/" in tool["description"]
    assert tool["inputSchema"]["required"] == ["input"]


def test_a_conversation_continues_by_the_id_of_its_last_response(client: openai.OpenAI) -> None:
    given = [
        {"role": "developer", "content": "stays"},
        {"role": "user", "content": "[[text:one]]"},
    ]
    first = ask(client, given, instructions="goes")
    seen = context(client, previous_response_id=first.id)
    assert [message["content"][0]["text"] for message in seen["messages"]] == [
        "[[text:one]]", "one", "[[context]]",
    ]  # fmt: skip
    assert seen["system"] == "stays"
    # The same response can be continued twice: the branches know nothing of each other.
    again = context(client, previous_response_id=first.id)
    assert len(again["messages"]) == 3


def test_items_of_all_kinds_reach_the_model(client: openai.OpenAI) -> None:
    content = [
        {"type": "input_text", "text": "[[context]]"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
    ]
    given = [
        {"role": "system", "content": "inner"},
        {"type": "message", "role": "user", "content": "weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "let me see", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "weather",
         "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "dry"},
        {"role": "user", "content": content},
    ]  # fmt: skip
    seen = context(client, given, instructions="outer", tools=[WEATHER])
    assert seen["system"] == "outer\n\ninner"
    user, assistant, result = seen["messages"]
    assert user["content"][0]["text"] == "weather?"
    assert [block["type"] for block in assistant["content"]] == ["text", "tool_use"]
    assert [block["type"] for block in result["content"]] == ["tool_result", "text", "image"]


def test_parameters_reach_the_api(client: openai.OpenAI) -> None:
    seen = context(
        client, max_output_tokens=77, temperature=0.3, top_p=0.9, tools=[WEATHER, PATCH],
        parallel_tool_calls=False,
        tool_choice={
            "type": "allowed_tools", "mode": "required",
            "tools": [{"type": "function", "name": "weather"}],
        },
    )  # fmt: skip
    assert seen["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "77"
    assert json.loads(seen["env"]["CLAUDE_CODE_EXTRA_BODY"]) == {
        "temperature": 0.3,
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }  # fmt: skip
    assert [tool["name"] for tool in seen["tools"]] == ["weather"]


def test_a_json_schema_gives_an_object(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    reply = ask(client, '[[json:{"a": 7}]]', text=wanted)
    assert json.loads(reply.output_text) == {"a": 7}
    assert reply.text.format.schema_ == schema


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_cut_is_incomplete(client: openai.OpenAI, stream: bool) -> None:
    reply = ask(client, "[[maxtok]] [[text:cut]]", stream=stream)
    if stream:
        [*_, last] = reply
        assert last.type == "response.incomplete"
        reply = last.response
    assert (reply.status, reply.output_text) == ("incomplete", "cut")
    assert reply.incomplete_details.reason == "max_output_tokens"


def test_stored_responses_can_be_read_and_removed(client: openai.OpenAI) -> None:
    made = ask(client, "[[text:one]]")
    [*_, last] = ask(client, "[[text:two]]", stream=True, previous_response_id=made.id)
    assert client.responses.retrieve(made.id) == made
    assert client.responses.retrieve(last.response.id) == last.response
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.retrieve(made.id)
    assert caught.value.code == "response_not_found"
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, "x", previous_response_id=made.id)
    assert caught.value.param == "previous_response_id"
    # What continues a removed response keeps the whole conversation.
    assert len(context(client, previous_response_id=last.response.id)["messages"]) == 5


def test_what_must_not_be_stored_is_not(client: openai.OpenAI) -> None:
    made = ask(client, "[[text:one]]", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_failed_response_is_not_stored(client: openai.OpenAI) -> None:
    [created, *_, last] = ask(client, "[[crash]]", stream=True)
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"
    assert "the CLI ended" in last.response.error.message
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(created.response.id)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        pytest.param({"input": None}, "input", id="no input"),
        pytest.param({"input": []}, "input", id="empty input"),
        pytest.param({"input": [{"role": "king", "content": "x"}]}, "input.0.role", id="role"),
        pytest.param({"input": [{"type": "item_reference", "id": "x"}]}, "input.0", id="item"),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input.0.content.0.type", id="file",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [
                {"type": "input_image", "image_url": "file:///x"}]}]},
            "input.0.content.0.image_url", id="image from a file",
        ),
        pytest.param(
            {"input": [{"role": "developer", "content": "x"},
                       {"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "input.1.call_id", id="result of nothing",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": "x"},
                       {"type": "function_call", "call_id": "c", "name": "f"}]},
            "input", id="call without a result",
        ),
        pytest.param({"input": [{"role": "user", "content": []}]}, "input.0.content", id="nothing"),
        pytest.param({"background": True}, "background"),
        pytest.param({"conversation": "conv_1"}, "conversation"),
        pytest.param({"prompt": {"id": "p"}}, "prompt"),
        pytest.param({"top_logprobs": 3}, "top_logprobs"),
        pytest.param({"include": ["message.output_text.logprobs"]}, "include"),
        pytest.param({"tool_choice": "required"}, "tool_choice", id="choice without tools"),
        pytest.param(
            {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "other"}},
            "tool_choice", id="choice of another",
        ),
        pytest.param({"tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        pytest.param({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        pytest.param(
            {"previous_response_id": "resp_1", "session_id": "s"}, "previous_response_id"
        ),
        pytest.param(
            {"input": [{"type": "function_call_output", "call_id": "t", "output": "x"}]},
            "input.0.call_id", id="output of nothing",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(
    http: httpx.Client, change: dict[str, Any], param: str
) -> None:
    reply = http.post("/v1/responses", json={"model": "sonnet", "input": "x", **change})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_what_does_nothing_is_named(http: httpx.Client) -> None:
    """As a coding agent asks: most of it is harmless, hosted tools are left out and named."""
    body = {
        "model": "sonnet", "input": "x", "store": False, "stream": False,
        "tools": [WEATHER, {"type": "web_search", "external_web_access": False}],
        "tool_choice": "auto", "parallel_tool_calls": False, "include": [],
        "reasoning": {"effort": "medium"}, "prompt_cache_key": "k",
        "text": {"verbosity": "low"}, "client_metadata": {"a": "b"},
    }  # fmt: skip
    reply = http.post("/v1/responses", json=body)
    named = "reasoning,text.verbosity,tools.web_search"
    assert (reply.status_code, reply.headers["x-claude-wrapper-ignored-params"]) == (200, named)


@pytest.mark.parametrize("stream", [False, True])
def test_upstream_errors_keep_their_status(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        list(ask(client, "[[status:429]]", stream=stream))
    assert int(caught.value.response.headers["retry-after"]) > 0


def test_unknown_models_are_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, "x", model="gpt-4")
    assert caught.value.code == "model_not_found"


def test_keys_separate_stored_responses(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("key-one\nkey-two\n")
    with running_server(tmp_path, "--api-key-file", str(keys)) as server:
        url = f"{server.url}/v1"
        with openai.OpenAI(base_url=url, api_key="key-one", max_retries=0) as one:
            made = ask(one, "[[text:x]]")
            assert one.responses.retrieve(made.id).id == made.id
        with openai.OpenAI(base_url=url, api_key="key-two", max_retries=0) as two:
            for attempt in (two.responses.retrieve, two.responses.delete):
                with pytest.raises(openai.NotFoundError):
                    attempt(made.id)
            with pytest.raises(openai.NotFoundError):
                ask(two, "x", previous_response_id=made.id)


def test_stored_responses_stay_within_the_limits_of_sessions(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "--max-sessions", "2") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client,
    ):
        ids = [ask(client, "[[text:x]]").id for _ in range(3)]
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(ids[0])
        assert [client.responses.retrieve(kept).id for kept in ids[1:]] == ids[1:]


@pytest.mark.anyio
async def test_the_async_client_streams_and_continues(server: RunningServer) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="x", max_retries=0
    ) as client:

        async def one(number: int) -> list[str]:
            first = await client.responses.create(model="sonnet", input=f"[[text:{number}]]")
            stream = await client.responses.create(
                model="sonnet", input="[[context]]", previous_response_id=first.id, stream=True
            )
            pieces = [e.delta async for e in stream if e.type == "response.output_text.delta"]
            messages = json.loads("".join(pieces))["messages"]
            return [message["content"][0]["text"] for message in messages]

        answers = await asyncio.gather(*map(one, range(8)))
    assert answers == [[f"[[text:{n}]]", str(n), "[[context]]"] for n in range(8)]


def test_the_clients_stream_helper_accumulates(client: openai.OpenAI) -> None:
    with client.responses.stream(model="sonnet", input="[[chunks:3]]") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == "word0 word1 word2 "
