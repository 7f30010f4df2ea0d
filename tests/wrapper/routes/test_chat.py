"""`/v1/chat/completions` as the official client sees it, on a real server and real processes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from wrapper.support.servers import RunningServer, running_server, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
NO_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TEXT = {"type": "string"}
LOCAL_IMAGE = {"type": "image_url", "image_url": {"url": "file:///x"}}
TWO_CALLS = '[[tool:weather {"city": "Oslo"}]] [[tool:weather {"city": "Rome"}]]'
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhf"
    "DwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def ask(client: openai.OpenAI, text: str, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="sonnet", messages=messages, **more)


def test_a_whole_answer_has_text_reason_and_true_usage(client: openai.OpenAI) -> None:
    reply = ask(client, "[[text:hello]]")
    assert reply.choices[0].message.content == "hello"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (12, 5)
    assert reply.usage.prompt_tokens_details.cached_tokens == 2


def test_a_stream_begins_with_the_role_and_ends_with_the_usage(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "[[chunks:3]]", stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "word0 word1 word2 "
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 17
    assert all(c.usage is None for c in chunks[:-1])
    assert len({(c.id, c.created, c.model) for c in chunks}) == 1


def test_a_stream_is_not_collected_before_it_is_sent(http: httpx.Client) -> None:
    """The first piece arrives although the answer never ends."""
    body = {
        "model": "sonnet",
        "stream": True,
        "messages": [{"role": "user", "content": "[[midhang]]"}],
    }
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = response.iter_lines()
        assert any("This" in line for line in lines)
        assert any(line.startswith(": heartbeat") for line in lines)


def test_two_tool_calls_stream_and_resume(client: openai.OpenAI) -> None:
    chunks = list(ask(client, TWO_CALLS, tools=TOOLS, stream=True))
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        for piece in chunk.choices[0].delta.tool_calls or ():
            call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert [json.loads(call["arguments"]) for call in calls.values()] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]
    history: Any = [
        {"role": "user", "content": TWO_CALLS},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": c["id"], "type": "function",
                 "function": {"name": c["name"], "arguments": c["arguments"]}}
                for c in calls.values()
            ],
        },
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": f"dry {index}"}
            for index, call in calls.items()
        ),
    ]  # fmt: skip
    reply = client.chat.completions.create(model="sonnet", messages=history, tools=TOOLS)
    assert reply.choices[0].message.content == "results: dry 0 | dry 1"


def test_parameters_reach_the_api(client: openai.OpenAI) -> None:
    reply = ask(
        client, "[[context]]", temperature=0.3, top_p=0.9, stop=["END"], max_tokens=77,
        tools=TOOLS, tool_choice="required", parallel_tool_calls=False,
    )  # fmt: skip
    seen = json.loads(reply.choices[0].message.content)
    assert seen["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "77"
    assert json.loads(seen["env"]["CLAUDE_CODE_EXTRA_BODY"]) == {
        "temperature": 0.3, "stop_sequences": ["END"],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }  # fmt: skip
    assert seen["tools"][0]["name"] == "weather"


def test_system_and_developer_messages_become_the_system_prompt(client: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "[[context]]"},
    ]
    reply = client.chat.completions.create(model="sonnet", messages=messages)
    seen = json.loads(reply.choices[0].message.content or "")
    assert seen["system"] == "one\n\ntwo"
    assert len(seen["messages"]) == 1


def test_images_reach_the_model(client: openai.OpenAI) -> None:
    content: Any = [
        {"type": "text", "text": "[[context]]"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    reply = client.chat.completions.create(
        model="sonnet", messages=[{"role": "user", "content": content}]
    )
    seen = json.loads(reply.choices[0].message.content or "")
    source = seen["messages"][0]["content"][1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": PIXEL}


def test_a_json_schema_gives_an_object(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = ask(client, '[[json:{"a": 7}]]', response_format=wanted)
    assert json.loads(reply.choices[0].message.content) == {"a": 7}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        pytest.param({"messages": []}, "messages", id="no messages"),
        pytest.param({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        pytest.param({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role", id="role"),
        pytest.param({"n": 2}, "n", id="two answers"),
        pytest.param({"temperature": 3}, "temperature", id="too hot"),
        pytest.param({"tool_choice": "required"}, "tool_choice", id="choice without tools"),
        pytest.param({"functions": [{"name": "f"}]}, "functions", id="old functions"),
        pytest.param({"messages": [{"role": "assistant", "content": "I"}]}, "messages", id="end"),
        pytest.param(
            {"messages": [{"role": "tool", "tool_call_id": "t", "content": "x"}]},
            "messages.0.tool_call_id",
            id="result of nothing",
        ),
        pytest.param(
            {"messages": [{"role": "system", "content": "x"},
                          {"role": "tool", "tool_call_id": "t", "content": "x"}]},
            "messages.1.tool_call_id",
            id="counted as the client counts",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [LOCAL_IMAGE]}]},
            "messages.0.content.0.image_url",
            id="image from a file",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [NO_IMAGE]}]},
            "messages.0.content.0.image_url",
            id="no image",
        ),
        pytest.param({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        pytest.param(
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": TEXT}}]},
            "tools.0.function.parameters.type",
            id="a tool that takes a text",
        ),
        pytest.param(
            {"tools": [{"type": "function", "function": {"name": "f"}}] * 2}, "tools", id="twins"
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": TEXT}}},
            "response_format.json_schema.schema.type",
            id="an answer that is a text",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(
    http: httpx.Client, change: dict[str, Any], param: str
) -> None:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": "x"}], **change}
    reply = http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_unknown_models_are_404_and_new_claude_names_pass(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"
    reply = client.chat.completions.create(
        model="claude-next-9", messages=[{"role": "user", "content": "[[context]]"}]
    )
    assert json.loads(reply.choices[0].message.content or "")["model"] == "claude-next-9"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (529, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_upstream_errors_keep_their_status(
    client: openai.OpenAI, status: int, error: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(error) as caught:
        list(ask(client, f"[[status:{status}]]", stream=stream))
    assert caught.value.status_code == status
    assert ("retry-after" in caught.value.response.headers) == (status in (429, 529))


def test_a_crash_in_mid_stream_ends_with_an_error_event_and_without_done(
    http: httpx.Client,
) -> None:
    body = {
        "model": "sonnet",
        "stream": True,
        "messages": [{"role": "user", "content": "[[crash]]"}],
    }
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        lines = [line for line in response.iter_lines() if line.startswith("data:")]
    assert "[DONE]" not in lines[-1]
    assert json.loads(lines[-1].removeprefix("data:"))["error"]["code"] == "cli_failed"


def test_ignored_parameters_are_named(http: httpx.Client) -> None:
    body = {
        "model": "sonnet",
        "messages": [{"role": "user", "content": "x"}],
        "seed": 7,
        "user": "me",
    }
    reply = http.post("/v1/chat/completions", json=body)
    assert reply.headers["x-claude-wrapper-ignored-params"] == "seed"


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_frees_its_process(server: RunningServer, stream: bool) -> None:
    """Twice as many clients leave as there are processes; the next request must not wait."""
    body = {
        "model": "sonnet",
        "stream": stream,
        "messages": [{"role": "user", "content": "[[hang]]"}],
    }
    async with httpx.AsyncClient(base_url=server.url) as http:
        for _ in range(16):
            with pytest.raises(httpx.TimeoutException):
                await http.post(
                    "/v1/chat/completions", json=body, timeout=httpx.Timeout(5, read=0.05)
                )
        reply = await http.post(
            "/v1/chat/completions",
            json={
                **body,
                "stream": False,
                "messages": [{"role": "user", "content": "[[text:ok]]"}],
            },
            timeout=20,
        )
        assert reply.json()["choices"][0]["message"]["content"] == "ok"
    wait_until(
        lambda: httpx.get(f"{server.url}/health").json()["processes"]["busy"] == 0, what="all free"
    )


@pytest.mark.anyio
async def test_the_async_client_streams_many_at_once(server: RunningServer) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="x", max_retries=0
    ) as client:

        async def one(number: int) -> str:
            stream = await client.chat.completions.create(
                model="sonnet",
                stream=True,
                messages=[{"role": "user", "content": f"[[text:{number}]]"}],
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        assert await asyncio.gather(*map(one, range(20))) == [str(n) for n in range(20)]


def test_a_body_beyond_the_limit_is_413(tmp_path: Path) -> None:
    with running_server(tmp_path, "--max-request-size", "2K") as server:
        big = {"model": "sonnet", "messages": [{"role": "user", "content": "x" * 5000}]}
        assert httpx.post(f"{server.url}/v1/chat/completions", json=big).status_code == 413

        def chunks() -> Any:
            yield json.dumps(big).encode()

        reply = httpx.post(
            f"{server.url}/v1/chat/completions", content=chunks(),
            headers={"content-type": "application/json"},
        )  # fmt: skip
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


def test_strict_mode_refuses_what_it_would_ignore(tmp_path: Path) -> None:
    with running_server(tmp_path, "--strict") as server:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "x"}], "seed": 7}
        reply = httpx.post(f"{server.url}/v1/chat/completions", json=body)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "seed")


def test_keys_open_the_door_and_separate_sessions(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("key-one\nkey-two\n")
    with running_server(tmp_path, "--api-key-file", str(keys)) as server:
        assert httpx.get(f"{server.url}/v1/models").status_code == 401
        assert httpx.get(f"{server.url}/v1/models", headers={"x-api-key": "no"}).status_code == 401
        assert httpx.get(f"{server.url}/health").json() == {"status": "healthy"}
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="key-one") as client:
            ask(client, "[[text:x]]", extra_body={"session_id": "mine"})
        one = httpx.get(f"{server.url}/v1/sessions/mine", headers={"x-api-key": "key-one"})
        two = httpx.get(f"{server.url}/v1/sessions/mine", headers={"x-api-key": "key-two"})
        assert (one.status_code, two.status_code) == (200, 404)
        server.stop()
    assert "key-one" not in (tmp_path / "server.log").read_text()
