"""What clients rely on in `/v1/chat/completions` beyond the answer itself: shapes and refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from wrapper.support.servers import running_server

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.timeout(60)

WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
NEWS: Any = {"type": "function", "function": {"name": "news"}}
JSON = {"content-type": "application/json"}
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
}


def body(text: str = "[[context]]", **more: Any) -> dict[str, Any]:
    return {"model": "sonnet", "messages": [{"role": "user", "content": text}], **more}


def ask(client: openai.OpenAI, text: str = "[[context]]", **more: Any) -> Any:
    return client.chat.completions.create(**body(text, **more))


def context(client: openai.OpenAI, **more: Any) -> Any:
    """What the model was sent."""
    return json.loads(ask(client, **more).choices[0].message.content)


def events(http: httpx.Client, **more: Any) -> list[str]:
    """The raw events of a stream, comments left out."""
    with http.stream("POST", "/v1/chat/completions", json=body(stream=True, **more)) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-accel-buffering"] == "no"
        response.read()
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    return [block for block in blocks if not block.startswith(":")]


def test_the_raw_stream_has_the_shape_that_clients_parse(http: httpx.Client) -> None:
    *chunks, done = events(http, text="[[chunks:2]]")
    assert done == "data: [DONE]"
    documents = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    assert {document["object"] for document in documents} == {"chat.completion.chunk"}
    choices = [document["choices"][0] for document in documents]
    assert [(choice["delta"], choice["finish_reason"]) for choice in choices] == [
        ({"role": "assistant", "content": ""}, None),
        ({"content": "word0 "}, None),
        ({"content": "word1 "}, None),
        ({}, "stop"),
    ]
    assert not any("usage" in document for document in documents)


def test_usage_comes_in_a_chunk_of_its_own_only_when_asked_for(http: httpx.Client) -> None:
    *chunks, last, _done = events(http, text="[[text:x]]", stream_options={"include_usage": True})
    document = json.loads(last.removeprefix("data: "))
    assert (document["choices"], document["usage"]["total_tokens"]) == ([], 17)
    assert all(json.loads(c.removeprefix("data: "))["usage"] is None for c in chunks)


def test_an_error_in_mid_stream_is_raised_by_the_client(client: openai.OpenAI) -> None:
    seen = []
    with pytest.raises(openai.APIError, match="the CLI ended") as caught:  # noqa: PT012
        for chunk in ask(client, "[[crash]]", stream=True):
            seen.append(chunk.choices[0].delta.content)  # noqa: PERF401
    assert len(seen) == 2
    assert caught.value.code == "cli_failed"


@pytest.mark.parametrize(
    ("choice", "sent", "tools"),
    [
        pytest.param("auto", None, 2, id="auto"),
        pytest.param("none", None, 0, id="none"),
        pytest.param("required", {"type": "any"}, 2, id="required"),
        pytest.param(
            {"type": "function", "function": {"name": "news"}},
            {"type": "tool", "name": "news"}, 2, id="named",
        ),
    ],
)  # fmt: skip
def test_every_tool_choice_is_carried(
    client: openai.OpenAI, choice: Any, sent: Any, tools: int
) -> None:
    seen = context(client, tools=[WEATHER, NEWS], tool_choice=choice)
    assert json.loads(seen["env"]["CLAUDE_CODE_EXTRA_BODY"]).get("tool_choice") == sent
    assert len(seen["tools"]) == tools


@pytest.mark.parametrize("tool_choice", ["auto", None])
def test_parallel_calls_can_be_switched_off(client: openai.OpenAI, tool_choice: Any) -> None:
    seen = context(client, tools=[WEATHER], tool_choice=tool_choice, parallel_tool_calls=False)
    assert json.loads(seen["env"]["CLAUDE_CODE_EXTRA_BODY"])["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }


def test_a_json_schema_streams_as_text(client: openai.OpenAI) -> None:
    chunks = ask(client, '[[json:{"a": 7}]]', response_format=SCHEMA, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert json.loads(text) == {"a": 7}


def test_any_json_object_can_be_asked_for(client: openai.OpenAI) -> None:
    reply = ask(client, '[[json:{"b": 1}]]', response_format={"type": "json_object"})
    assert json.loads(reply.choices[0].message.content) == {"b": 1}


def test_an_answer_cut_at_the_limit_says_length(client: openai.OpenAI) -> None:
    reply = ask(client, "[[maxtok]] [[text:cut]]", max_completion_tokens=3)
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content == "cut"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        pytest.param({"logprobs": True}, "logprobs"),
        pytest.param({"top_logprobs": 2}, "top_logprobs"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities"),
        pytest.param({"n": 0}, "n"),
        pytest.param({"function_call": "auto"}, "function_call"),
        pytest.param({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        pytest.param({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        pytest.param(
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools.0.function.name", id="name with a space",
        ),
        pytest.param(
            {"tools": [WEATHER],
             "tool_choice": {"type": "function", "function": {"name": "other"}}},
            "tool_choice", id="choice of another",
        ),
        pytest.param(
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema", id="no schema",
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema", id="empty schema",
        ),
        pytest.param({"max_tokens": 0}, "max_tokens"),
        pytest.param({"stream": "perhaps"}, "stream"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages.0.content.0.type", id="audio",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(
    client: openai.OpenAI, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**body("x"), extra_body=change)
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", param)


def test_what_does_nothing_is_named_and_what_says_nothing_is_not(http: httpx.Client) -> None:
    given = body(
        "x", seed=7, logit_bias={"1": 1}, reasoning_effort="high", temperature=1.5,
        presence_penalty=0, frequency_penalty=0.5, logprobs=False, store=True, user="me",
        service_tier="auto", metadata={"a": "b"}, n=1,
    )  # fmt: skip
    reply = http.post("/v1/chat/completions", json=given)
    assert reply.status_code == 200
    named = "frequency_penalty,logit_bias,reasoning_effort,seed,temperature"
    assert reply.headers["x-claude-wrapper-ignored-params"] == named


_USER = {"role": "user", "content": "x"}
_TOOL = {"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}


def _called_with(arguments: str) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": arguments}}
    said = {"role": "assistant", "content": None, "tool_calls": [{**call, "index": 1}]}
    return [_USER, said, {"role": "tool", "tool_call_id": "c1", "content": "ok"}]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"messages": [{**_USER, "name": "bob"}, {**_USER, "name": "eve"}]}, "messages.name"),
        ({"tools": [{**_TOOL, "odd": 1}]}, "tools.odd"),
        (
            {"tools": [_TOOL], "messages": _called_with("{cut")},
            "messages.tool_calls.function.arguments",
        ),
        (
            {"tools": [_TOOL], "messages": _called_with("[1]")},
            "messages.tool_calls.function.arguments",
        ),
        ({"tools": [_TOOL], "messages": _called_with("{}")}, None),
        (
            {
                "messages": [
                    _USER,
                    {"role": "assistant", "content": "a", "id": "m", "audio": None},
                    _USER,
                ]
            },
            None,
        ),
    ],
)
def test_what_is_dropped_within_messages_and_tools_is_named(
    http: httpx.Client, change: dict[str, Any], named: str | None
) -> None:
    reply = http.post("/v1/chat/completions", json={**body("x"), **change})
    assert reply.status_code == 200
    assert reply.headers.get("x-claude-wrapper-ignored-params") == named


def test_an_earlier_refusal_is_carried_and_an_earlier_function_call_refused(
    http: httpx.Client,
) -> None:
    said = {"role": "assistant", "content": None}
    refusal = {"messages": [_USER, {**said, "refusal": "never"}, _USER]}
    reply = http.post("/v1/chat/completions", json={**body("x"), **refusal})
    assert "x-claude-wrapper-ignored-params" not in reply.headers
    called = {"messages": [_USER, {**said, "function_call": {"name": "f"}}, _USER]}
    refused = http.post("/v1/chat/completions", json={**body("x"), **called})
    assert (refused.status_code, refused.json()["error"]["param"]) == (
        400,
        "messages.1.function_call",
    )


@pytest.mark.parametrize(
    "messages", [[_USER] * 10_001, [{"role": "user", "content": [{}] * 10_001}]]
)
def test_a_million_tiny_parts_hold_nobody_up(http: httpx.Client, messages: list[Any]) -> None:
    """They would be checked one by one in the loop that serves everybody."""
    reply = http.post("/v1/chat/completions", json={**body("x"), "messages": messages})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages")
    assert "10,000" in reply.json()["error"]["message"]


def test_strict_mode_refuses_in_every_dialect(tmp_path: Path) -> None:
    import httpx

    asked = {
        "/v1/chat/completions": body("x", seed=7),
        "/v1/messages": body("x", max_tokens=9, thinking={"type": "adaptive"}),
        "/v1/responses": {"model": "sonnet", "input": "x", "reasoning": {"effort": "low"}},
    }
    with running_server(tmp_path, "--strict") as server:
        replies = {path: httpx.post(server.url + path, json=asked[path]) for path in asked}
    assert {path: reply.status_code for path, reply in replies.items()} == dict.fromkeys(asked, 400)
    assert replies["/v1/chat/completions"].json()["error"]["param"] == "seed"
    assert replies["/v1/responses"].json()["error"]["param"] == "reasoning"
    assert "thinking" in replies["/v1/messages"].json()["error"]["message"]


@pytest.mark.parametrize(
    ("field", "value"), [("stream", "yes"), ("max_tokens", True), ("max_tokens", "12"), ("n", "1")]
)
def test_a_value_of_another_type_is_refused_and_not_read_as_the_right_one(
    http: httpx.Client, field: str, value: object
) -> None:
    """As the API of OpenAI does: ``"no"`` for a truth would be read as one thing or the other."""
    reply = http.post("/v1/chat/completions", json={**body("x"), field: value})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == field


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/models/gpt-4", 404),
        ("GET", "/v1/sessions/none", 404),
        ("GET", "/v1/responses/none", 404),
    ],
)
def test_every_miss_is_an_openai_error(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    reply = http.request(method, path)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    if status == 405:
        assert reply.headers["allow"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000, b'{"n":NaN}', b'{"n":1e999}']
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_no_body_makes_the_server_fail(http: httpx.Client, path: str, content: bytes) -> None:
    reply = http.post(path, content=content, headers=JSON)
    assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(("depth", "status"), [(200, 200), (500, 400)])
def test_a_response_repeats_what_is_not_nested_too_deeply(
    http: httpx.Client, depth: int, status: int
) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    content = f'{{"model":"sonnet","input":"x","metadata":{nested}}}'
    assert http.post("/v1/responses", content=content, headers=JSON).status_code == status


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_half_a_surrogate_pair_passes_through(http: httpx.Client, path: str, stream: bool) -> None:
    half = "\ud83d"
    asked = {**body(f"[[text:{half}]]", max_tokens=9), "input": f"[[text:{half}]]"}
    asked |= {"stream": stream, "instructions": half}
    reply = http.post(path, content=json.dumps(asked).encode(), headers=JSON)
    assert reply.status_code == 200
    assert r'"\ud83d"' in reply.text
