"""Lines of a CLI of another version, or of an API in front of which somebody else stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_wrapper.claude.answer import AnswerReader
from claude_wrapper.claude.control import ControlChannel, encode
from claude_wrapper.claude.events import ControlRequest, ResultEvent, TurnBegan, parse_line
from claude_wrapper.claude.messages import assistant_line, result_content, user_line
from claude_wrapper.claude.thinking import must_not_think
from claude_wrapper.claude.tools import ToolBridge
from claude_wrapper.claude.upstream import upstream_error
from claude_wrapper.errors import CliFailedError
from claude_wrapper.model import ImagePart, Message, TextPart, ToolCall, TurnRequest


@pytest.mark.parametrize(
    "line",
    [
        b"5", b"null", b"[]", b"{}", b"\xff\xfe", b'{"type": []}', b"[" * 100_000,
        b'{"type": "control_response", "response": 5}',
        b'{"type": "control_response", "response": {"response": 5}}',
        b'{"type": "control_request", "request": 7}',
        b'{"type": "stream_event", "event": 7}',
        b'{"type": "rate_limit_event", "rate_limit_info": 5}',
        b'{"type": "result", "user_message_uuids": 5}',
    ],
)  # fmt: skip
def test_a_line_of_another_shape_is_named(line: bytes) -> None:
    with pytest.raises(CliFailedError, match="not its stream-json protocol"):
        parse_line(line)


@pytest.mark.parametrize("status", [None, "429", "x", [], 429])
def test_a_result_tells_a_status_only_where_it_is_a_number(status: Any) -> None:
    line = json.dumps({"type": "result", "is_error": True, "api_error_status": status})
    result = parse_line(line.encode())
    assert isinstance(result, ResultEvent)
    assert upstream_error(result, None).http_status == (429 if status == 429 else 502)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("Prompt is too long", None, "context_length_exceeded"),
        ("API Error: 400 prompt is too long: 3 tokens > 2 maximum", 400, "context_length_exceeded"),
        ("API Error: 400 input length and `max_tokens` exceed context limit: 1 + 2 > 2", 400,
         "context_length_exceeded"),
        ("API Error: 400 something else", 400, "upstream_error"),
        ("Image base64 size (5.5MB) exceeds API limit (5MB). Please resize it.", None, None),
        ("API Error: 500 prompt is too long", 500, "upstream_error"),
    ],
)  # fmt: skip
def test_what_is_too_long_or_too_large_has_the_code_that_agents_know(
    text: str, status: int | None, code: str | None
) -> None:
    line = {"type": "result", "is_error": True, "result": text, "api_error_status": status}
    result = parse_line(json.dumps(line).encode())
    assert isinstance(result, ResultEvent)
    error = upstream_error(result, None)
    assert (error.code, error.http_status) == (code, status or 400)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1.5}', {"a": None, "b": None, "c": None, "d": 1.5}),
        ("[1]", {}),
        ("{nope", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_arguments_of_a_call_never_spoil_the_line_to_the_cli(
    arguments: str, sent: dict[str, Any]
) -> None:
    """Python writes NaN into JSON, and agents send their histories as they are."""
    call = ToolCall(id="x", name="f", arguments=arguments)
    line = encode(assistant_line(Message(role="assistant", tool_calls=(call,))))
    assert b"NaN" not in line
    assert b"Infinity" not in line
    assert json.loads(line)["message"]["content"][0]["input"] == sent


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start", "message": 5},
        {"type": "message_start", "message": {"usage": 5}},
        {"type": "message_start", "message": {"usage": {"output_tokens_details": 5}}},
        {"type": "content_block_start", "content_block": 5},
        {"type": "content_block_start", "index": "x", "content_block": {"type": "tool_use"}},
        {"type": "content_block_delta", "delta": 5},
        {"type": "content_block_delta", "index": None, "delta": {"type": "input_json_delta"}},
        {"type": "message_delta", "delta": 5},
        {"type": "message_delta", "usage": {"output_tokens_details": {"thinking_tokens": "x"}}},
    ],
)
def test_an_event_of_another_shape_is_named(event: dict[str, Any]) -> None:
    with pytest.raises(CliFailedError, match="event of an unknown shape"):
        AnswerReader(structured=False).read(event)


@pytest.mark.parametrize("message", [5, [], {"method": 5}, {"method": "tools/call", "params": 5}])
def test_a_tool_message_of_another_shape_does_not_end_the_reading(message: Any) -> None:
    written: list[bytes] = []
    bridge = ToolBridge(ControlChannel(written.append))
    body = {"subtype": "mcp_message", "message": message}
    bridge.take(ControlRequest(request_id="1", subtype="mcp_message", body=body))
    assert written or bridge.parked


@pytest.mark.parametrize(
    ("tools", "told"),
    [(["a", "b"], frozenset("ab")), ([], frozenset()), (None, None), ("ab", None), (5, None)],
)
def test_the_tools_of_a_turn_are_compared_only_where_they_are_told(tools: Any, told: Any) -> None:
    line = {"type": "system", "subtype": "init", "tools": tools}
    assert parse_line(json.dumps(line).encode()) == TurnBegan(tools=told)


BLANK, IMAGE = TextPart(text=" \n"), ImagePart(media_type="image/png", data="aGk=", url="")
NO_OUTPUT: Any = {"type": "text", "text": "(no output)"}


@pytest.mark.parametrize("parts", [(), (TextPart(text=""),), (BLANK, BLANK)])
def test_a_tool_that_says_nothing_is_told_as_such(parts: tuple[TextPart, ...]) -> None:
    """The API refuses blank texts, and many commands print nothing."""
    message = Message(role="tool", tool_call_id="t", parts=parts)
    assert result_content(message) == [NO_OUTPUT]
    [block] = user_line((message,), "u", ask=True)["message"]["content"]
    assert block["content"] == [NO_OUTPUT]


@pytest.mark.parametrize("role", ["user", "tool"])
def test_blank_texts_beside_anything_else_are_left_out(role: Any) -> None:
    message = Message(role=role, tool_call_id="t", parts=(BLANK, IMAGE, TextPart(text=" x\n")))
    [*_, block] = user_line((message,), "u", ask=True)["message"]["content"]
    texts = [block] if role == "user" else block["content"][1:]
    assert texts == [{"type": "text", "text": " x\n"}]


@pytest.mark.parametrize(("text", "kinds"), [(" \n", ["tool_use"]), ("x", ["text", "tool_use"])])
def test_a_blank_text_beside_calls_is_left_out(text: str, kinds: list[str]) -> None:
    call = ToolCall(id="t", name="f", arguments="{}")
    message = Message(role="assistant", parts=(TextPart(text=text),), tool_calls=(call,))
    content = assistant_line(message)["message"]["content"]
    assert [block["type"] for block in content] == kinds


def test_a_user_who_says_nothing_is_told_so_by_the_api() -> None:
    message = Message(role="user", parts=(BLANK,))
    content = user_line((message,), "u", ask=True)["message"]["content"]
    assert content == [{"type": "text", "text": " \n"}]


@pytest.mark.parametrize(
    ("body", "most", "expected"),
    [
        ({}, None, False),
        ({"temperature": 1, "top_p": 1.0, "stop_sequences": ["x"]}, None, False),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, 32_000, False),
        ({"temperature": 0}, None, True),
        ({"top_p": 0.9}, None, True),
        ({"top_k": 5}, None, True),
        ({"tool_choice": {"type": "any"}}, None, True),
        ({"tool_choice": {"type": "tool", "name": "f"}}, None, True),
        ({}, 31_999, True),
    ],
)
def test_a_model_thinks_only_where_the_api_and_the_limit_let_it(
    body: dict[str, Any], most: int | None, expected: bool
) -> None:
    request = TurnRequest(model="sonnet", messages=(), body=body, max_tokens=most)
    assert must_not_think(request) is expected


@pytest.mark.parametrize("kind", ["text", "arguments", "calls"])
def test_an_answer_without_end_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is kept until the turn is over."""
    monkeypatch.setattr("claude_wrapper.claude.answer.MOST_CHARACTERS", 1000)
    monkeypatch.setattr("claude_wrapper.claude.answer.MOST_CALLS", 10)
    reader = AnswerReader(structured=False)
    block = {"type": "tool_use", "id": "a", "name": "f"}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    deltas = {
        "text": {"type": "text_delta", "text": "x" * 100},
        "arguments": {"type": "input_json_delta", "partial_json": "1" * 100},
    }
    again = start
    if kind in deltas:
        reader.read(start)
        again = {"type": "content_block_delta", "index": 0, "delta": deltas[kind]}

    for _ in range(9):
        reader.read(again)
    with pytest.raises(CliFailedError, match="it was given up"):
        list(map(reader.read, [again, again]))
