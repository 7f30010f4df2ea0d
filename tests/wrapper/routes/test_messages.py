"""`/v1/messages` as Anthropic's own client sees it, on a real server and real processes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import pytest
from wrapper.support.servers import RunningServer, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

TOOLS: Any = [
    {
        "name": "weather",
        "description": "Tells the weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
TWO_CALLS = '[[tool:weather {"city": "Oslo"}]] [[tool:weather {"city": "Rome"}]]'
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhf"
    "DwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture
def claude(server: RunningServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0) as made:
        yield made


def ask(claude: anthropic.Anthropic, content: Any, **more: Any) -> Any:
    given: Any = {"model": "sonnet", "max_tokens": 500, **more}
    return claude.messages.create(messages=[{"role": "user", "content": content}], **given)


def context(claude: anthropic.Anthropic, content: Any = "[[context]]", **more: Any) -> Any:
    """What the model was sent."""
    return json.loads(ask(claude, content, **more).content[0].text)


def test_a_whole_message_has_text_reason_and_true_usage(claude: anthropic.Anthropic) -> None:
    reply = ask(claude, "[[text:hello]]")
    assert [block.text for block in reply.content] == ["hello"]
    assert (reply.stop_reason, reply.stop_sequence) == ("end_turn", None)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (10, 5)
    assert reply.usage.cache_read_input_tokens == 2
    assert reply._request_id


def test_a_stream_has_every_event_in_order(claude: anthropic.Anthropic) -> None:
    events = list(ask(claude, "[[chunks:2]]", stream=True))
    assert [event.type for event in events] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[0].message.usage.input_tokens == 10
    assert events[-2].usage.output_tokens == 5
    assert events[-2].delta.stop_reason == "end_turn"


def test_a_stream_opens_with_a_ping_and_pings_in_pauses(http: httpx.Client) -> None:
    body = {
        "model": "sonnet",
        "max_tokens": 5,
        "stream": True,
        "messages": [{"role": "user", "content": "[[midhang]]"}],
    }
    with http.stream("POST", "/v1/messages", json=body) as response:
        names = (line for line in response.iter_lines() if line.startswith("event:"))
        first = [next(names).removeprefix("event: ") for _ in range(5)]
    assert first == [
        "message_start", "ping", "content_block_start", "content_block_delta", "ping",
    ]  # fmt: skip


def test_the_clients_helper_collects_a_stream(claude: anthropic.Anthropic) -> None:
    given: Any = {"model": "sonnet", "max_tokens": 500, "tools": TOOLS}
    with claude.messages.stream(messages=[{"role": "user", "content": TWO_CALLS}], **given) as s:
        message = s.get_final_message()
    assert message.stop_reason == "tool_use"
    assert [block.input for block in message.content if block.type == "tool_use"] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]


@pytest.mark.parametrize("failed", [False, True])
def test_parallel_tool_calls_resume_on_their_own_process(
    claude: anthropic.Anthropic, failed: bool
) -> None:
    first = ask(claude, TWO_CALLS, tools=TOOLS)
    assert first.stop_reason == "tool_use"
    results: Any = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"dry {index}",
         "is_error": failed}
        for index, block in enumerate(first.content)
    ]  # fmt: skip
    history: Any = [
        {"role": "user", "content": TWO_CALLS},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    given: Any = {"model": "sonnet", "max_tokens": 500, "tools": TOOLS}
    reply = claude.messages.create(messages=history, **given)
    # Only the process that made the calls answers with their results in this way.
    prefix = "failed: " if failed else ""
    assert reply.content[0].text == f"results: {prefix}dry 0 | {prefix}dry 1"


def test_results_with_text_beside_them_continue_too(claude: anthropic.Anthropic) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "dry"}],
        "is_error": True,
    }
    history: Any = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [{"type": "text", "text": "let me see"}, use]},
        {"role": "user", "content": [result, {"type": "text", "text": "[[context]]"}]},
    ]
    given: Any = {"model": "sonnet", "max_tokens": 500, "tools": TOOLS}
    reply: Any = claude.messages.create(messages=history, **given)
    seen = json.loads(reply.content[0].text)["messages"]
    assert seen[1]["content"] == [{"type": "text", "text": "let me see"}, use]
    assert seen[2]["content"] == [result, {"type": "text", "text": "[[context]]"}]


def test_a_result_with_an_image_from_elsewhere_reaches_the_model(
    claude: anthropic.Anthropic,
) -> None:
    """It cannot be given to the process that waits, so the conversation is loaded anew."""
    given: Any = {"model": "sonnet", "max_tokens": 500, "tools": TOOLS}
    text = '[[tool:weather {"city": "Oslo"}]]'
    first: Any = ask(claude, text, tools=TOOLS)
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}}
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": [image]}
    history: Any = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second: Any = claude.messages.create(messages=history, **given)
    history += [
        {"role": "assistant", "content": second.content},
        {"role": "user", "content": "[[context]]"},
    ]
    reply: Any = claude.messages.create(messages=history, **given)
    assert json.loads(reply.content[0].text)["messages"][2]["content"] == [result]


@pytest.mark.parametrize("system", ["one", [{"type": "text", "text": "one"}]])
def test_the_system_prompt_is_text_or_blocks(claude: anthropic.Anthropic, system: Any) -> None:
    assert context(claude, system=system)["system"] == "one"


def test_instructions_between_turns_join_the_system_prompt(http: httpx.Client) -> None:
    messages = [
        {"role": "user", "content": "[[context]]"},
        {"role": "system", "content": "two"},
    ]
    body = {"model": "sonnet", "max_tokens": 9, "system": "one", "messages": messages}
    reply = http.post("/v1/messages", json=body).json()
    assert json.loads(reply["content"][0]["text"])["system"] == "one\n\ntwo"


def test_images_reach_the_model(claude: anthropic.Anthropic) -> None:
    inline = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    remote = {"type": "url", "url": "https://example.org/x.png"}
    content = [
        {"type": "text", "text": "[[context]]"},
        {"type": "image", "source": inline},
        {"type": "image", "source": remote},
    ]
    blocks = context(claude, content)["messages"][0]["content"]
    assert [block.get("source") for block in blocks] == [None, inline, remote]


def test_parameters_reach_the_api(claude: anthropic.Anthropic) -> None:
    choice = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    seen = context(
        claude, max_tokens=77, tools=TOOLS, tool_choice=choice, stop_sequences=["END"],
        extra_body={"temperature": 0.3, "top_p": 0.9, "top_k": 5},
    )  # fmt: skip
    assert seen["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "77"
    assert json.loads(seen["env"]["CLAUDE_CODE_EXTRA_BODY"]) == {
        "temperature": 0.3, "top_p": 0.9, "top_k": 5, "stop_sequences": ["END"],
        "tool_choice": choice,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason", "sequence"),
    [
        ("[[maxtok]] [[text:cut]]", "max_tokens", None),
        ("[[stopseq:END]] [[text:cut]]", "stop_sequence", "END"),
    ],
)
def test_the_reason_for_stopping_is_told(
    claude: anthropic.Anthropic, text: str, reason: str, sequence: str | None
) -> None:
    reply = ask(claude, text)
    assert (reply.stop_reason, reply.stop_sequence) == (reason, sequence)
    assert reply.content[0].text == "cut"


def test_a_json_schema_gives_an_object(claude: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    config = {"format": {"type": "json_schema", "schema": schema}}
    reply = ask(claude, '[[json:{"a": 7}]]', output_config=config)
    assert json.loads(reply.content[0].text) == {"a": 7}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"max_tokens": None}, "max_tokens", id="no limit"),
        pytest.param({"messages": []}, "messages", id="no messages"),
        pytest.param({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        pytest.param({"messages": [{"role": "king", "content": "x"}]}, "messages.0", id="role"),
        pytest.param({"messages": [{"role": "assistant", "content": "x"}]}, "prefilled"),
        pytest.param({"temperature": 1.5}, "temperature", id="too hot"),
        pytest.param({"tool_choice": {"type": "any"}}, "tool_choice", id="choice without tools"),
        pytest.param(
            {"tools": TOOLS, "tool_choice": {"type": "tool", "name": "other"}}, "'other'"
        ),
        pytest.param(
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"
        ),
        pytest.param({"tools": [{"name": "x"}]}, "tools.0.input_schema", id="no schema"),
        pytest.param({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        pytest.param({"prefill": "Yes,"}, "prefill"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
            "messages.0.content.0", id="document",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [
                {"type": "image", "source": {"type": "url", "url": "file:///x"}}]}]},
            "messages.0.content.0.source.url", id="image from a file",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "x"}]}]},
            "'t'", id="result of nothing",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(
    http: httpx.Client, change: dict[str, Any], named: str
) -> None:
    body = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    reply = http.post("/v1/messages", json={**body, **change})
    assert reply.status_code == 400
    document = reply.json()
    assert (document["type"], document["error"]["type"]) == ("error", "invalid_request_error")
    assert named in document["error"]["message"]
    assert document["request_id"] == reply.headers["request-id"]


def test_parameters_that_do_nothing_are_named(http: httpx.Client) -> None:
    body = {
        "model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
        "metadata": {"user_id": "me"}, "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
    }  # fmt: skip
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "whatever"}
    reply = http.post("/v1/messages", json=body, headers=headers)
    assert reply.headers["x-claude-wrapper-ignored-params"] == "output_config.effort,thinking"


def test_unknown_models_are_not_found(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="gpt-4"):
        ask(claude, "x", model="gpt-4")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, anthropic.AuthenticationError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_upstream_errors_keep_their_status(
    claude: anthropic.Anthropic, status: int, error: Any, kind: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        list(ask(claude, f"[[status:{status}]]", stream=stream))
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert ("retry-after" in caught.value.response.headers) == (status in (429, 529))


def test_a_crash_in_mid_stream_is_an_error_event_and_no_stop(claude: anthropic.Anthropic) -> None:
    seen = []
    with pytest.raises(anthropic.APIError, match="the CLI ended"):  # noqa: PT012
        for event in ask(claude, "[[crash]]", stream=True):
            seen.append(event.type)  # noqa: PERF401
    assert seen[-1] == "content_block_delta"


def test_every_way_to_miss_speaks_the_dialect_of_its_path(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("key-one\n")
    flags = ("--api-key-file", str(keys), "--max-request-size", "2K")
    with (
        running_server(tmp_path, *flags) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": "key-one"}) as http,
    ):
        big = {"content": "x" * 5000}
        replies = [
            (http.post("/v1/messages", headers={"x-api-key": "no"}), 401, "authentication_error"),
            (http.get("/v1/messages"), 405, "invalid_request_error"),
            (http.post("/v1/messages/nothing"), 404, "not_found_error"),
            (http.post("/v1/messages", json=big), 413, "request_too_large"),
            (http.post("/v1/messages", content=b"{"), 400, "invalid_request_error"),
            (http.post("/v1/messages", json=[]), 400, "invalid_request_error"),
        ]
        for reply, status, kind in replies:
            assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
            assert reply.json()["type"] == "error"
        other = http.get("/v1/messagesque")
        assert (other.status_code, other.json()["error"]["code"]) == (404, "not_found")
        assert "type" not in other.json()


def test_a_session_continues_across_dialects(http: httpx.Client) -> None:
    def say(path: str, **more: Any) -> Any:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "[[context]]"}], **more}
        return http.post(path, json=body, headers={"x-session-id": "two-tongues"}).json()

    say("/v1/chat/completions")
    seen = json.loads(say("/v1/messages", max_tokens=9)["content"][0]["text"])
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant", "user"]


def test_tokens_are_counted_roughly_and_said_to_be(claude: anthropic.Anthropic) -> None:
    def count(text: str, **more: Any) -> int:
        given: Any = {"model": "sonnet", **more}
        content: Any = [{"type": "text", "text": text}]
        return claude.messages.count_tokens(
            messages=[{"role": "user", "content": content}], **given
        ).input_tokens

    few = count("The quick brown fox jumps over the lazy dog.")
    assert 8 <= few <= 20
    assert count("word " * 1000) == pytest.approx(1000, rel=0.2)
    assert count("x", system="word " * 100) >= 100
    assert count("x", tools=TOOLS) > few
    raw = claude.messages.with_raw_response.count_tokens(
        model="sonnet", messages=[{"role": "user", "content": "x"}]
    )
    assert raw.headers["x-claude-wrapper-estimated"] == "input_tokens"
    with pytest.raises(anthropic.NotFoundError):
        count("x", model="gpt-4")


@pytest.mark.anyio
async def test_the_async_client_streams_many_at_once(server: RunningServer) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="x", max_retries=0) as claude:

        async def one(number: int) -> str:
            given: Any = {"model": "sonnet", "max_tokens": 9}
            content = f"[[text:{number}]]"
            async with claude.messages.stream(
                messages=[{"role": "user", "content": content}], **given
            ) as stream:
                return "".join([text async for text in stream.text_stream])

        assert await asyncio.gather(*map(one, range(12))) == [str(n) for n in range(12)]


def test_the_clients_tool_runner_goes_on_without_threads(claude: anthropic.Anthropic) -> None:
    @anthropic.beta_tool
    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: Where.
        """
        return f"rain in {city}"

    runner = claude.beta.messages.tool_runner(
        model="sonnet", max_tokens=500, tools=[weather],
        messages=[{"role": "user", "content": TWO_CALLS}],
    )  # fmt: skip
    assert runner.until_done().content[0].text == "results: rain in Oslo | rain in Rome"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}]
)
def test_a_thread_is_refused_so_that_its_client_sends_the_history(
    http: httpx.Client, path: str, thread: dict[str, str]
) -> None:
    messages = [{"role": "user", "content": "[[text:a]]"}]
    body = {"model": "sonnet", "max_tokens": 9, "messages": messages}
    reply = http.post(path, json={**body, "thread": thread})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["details"] == {"error_code": "thread_unsupported_request"}
    assert http.post(path, json={**body, "thread": None}).status_code == 200
