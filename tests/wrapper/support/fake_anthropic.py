"""A fake Anthropic API on loopback: what the real CLI talks to in our tests.

Run as ``python fake_anthropic.py``; it prints ``port N`` and serves until it is ended. The reply
is steered by directives in the newest user text, so that tests need no side channel::

    [[text:hello]]            answer with this text (else the text "pong")
    [[tool:NAME {"a": 1}]]    ask for a tool; several directives ask for several at once
    [[chunks:50]] [[delay:0.02]]   how many text deltas, and the pause before each in seconds
    [[status:529]]            an HTTP error instead of an answer
    [[hang]] / [[midhang]]    never answer / stop answering after the first delta
    [[drop]]                  cut the connection after the first delta
    [[maxtok]]                stop_reason "max_tokens"
    [[refuse]]                stop_reason "refusal"

``GET /recorded`` returns every ``POST /v1/messages`` body seen so far.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

DIRECTIVE = re.compile(r"\[\[(\w+)(?::(.*?))?\]\](?!\])", re.DOTALL)


def newest_user_text(body: dict[str, Any]) -> str:
    """The text of the last user message, or "" when it holds tool results only."""
    users = [m for m in body["messages"] if m["role"] == "user"]
    content = users[-1]["content"] if users else ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def tool_results(body: dict[str, Any]) -> list[str]:
    """The texts of the tool results in the last user message."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return []
    results = [p for p in content if p["type"] == "tool_result"]
    return [
        r["content"] if isinstance(r["content"], str) else json.dumps(r["content"]) for r in results
    ]


def event(name: str, **data: Any) -> bytes:
    """One server-sent event of the Messages API."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


async def answer(body: dict[str, Any], directives: list[tuple[str, str]]) -> AsyncIterator[bytes]:
    """The events of one answer, steered by the directives."""
    flags = dict(directives)
    usage = {"input_tokens": 11, "output_tokens": 1}
    message = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield event("message_start", message=message)
    index = -1
    calls = [value for name, value in directives if name == "tool"]
    results = tool_results(body)
    offered = {tool["name"] for tool in body.get("tools", [])}
    schema_tool = "StructuredOutput" in offered
    if results:
        calls = []
    if schema_tool and not results:
        calls = [f"StructuredOutput {flags.get('json', '{}')}"]
    if not calls:
        index += 1
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        text = flags.get("text", "pong") if not results else "results: " + " | ".join(results)
        count = int(flags.get("chunks", "1"))
        for number in range(count):
            await asyncio.sleep(float(flags.get("delay", "0")))
            piece = text if count == 1 else f"{text}{number} "
            yield event(
                "content_block_delta", index=index, delta={"type": "text_delta", "text": piece}
            )
            if "drop" in flags:
                raise ConnectionResetError
            if "midhang" in flags:
                await asyncio.Event().wait()
        yield event("content_block_stop", index=index)
    for call in calls:
        index += 1
        name, _, arguments = call.partition(" ")
        if name not in offered and f"{name}_" in offered:
            # The model calls a tool by the name it sees, whatever its client calls it.
            name = f"{name}_"
        block = {
            "type": "tool_use",
            "id": f"toolu_{index}_{abs(hash(call)) % 10**8}",
            "name": name,
            "input": {},
        }
        yield event("content_block_start", index=index, content_block=block)
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    reason = "tool_use" if calls else "max_tokens" if "maxtok" in flags else "end_turn"
    reason = "refusal" if "refuse" in flags else reason
    yield event(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None},
        usage={"output_tokens": 7},
    )
    yield event("message_stop")


def whole_message(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that does not stream: the CLI checks model names with one."""
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": "pong"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def refusal(body: dict[str, Any]) -> str:
    """What the real API would refuse in a request, or ""."""
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        if body.get("temperature", 1) != 1 or body.get("top_p", 1) < 0.95 or "top_k" in body:
            return "no other sampling than the default beside thinking"
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            return "no forced tool beside thinking"
        if body["thinking"].get("budget_tokens", 0) >= body["max_tokens"]:
            return "more tokens to think for than to answer in"
    if "temperature" in body and "top_p" in body:
        return "not both temperature and top_p"
    contents = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    blocks = [block for content in contents for block in content]
    blocks += [
        inner
        for block in blocks
        if isinstance(block.get("content"), list)
        for inner in block["content"]
    ]
    if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
        return "no blank texts"
    return ""


class FakeApi:
    """The application and what it recorded."""

    def __init__(self) -> None:
        self.recorded: list[dict[str, Any]] = []

    async def messages(self, request: Request) -> Response:
        body = await request.json()
        self.recorded.append(body)
        directives = DIRECTIVE.findall(newest_user_text(body))
        flags = dict(directives)
        if "status" in flags:
            error = {"type": "fake_error", "message": f"fake {flags['status']}"}
            headers = {"retry-after": "7"} if flags["status"] in ("429", "529") else {}
            return JSONResponse({"type": "error", "error": error}, int(flags["status"]), headers)
        if wrong := refusal(body):
            error = {"type": "invalid_request_error", "message": wrong}
            return JSONResponse({"type": "error", "error": error}, 400)
        if "hang" in flags:
            await asyncio.Event().wait()
        if not body.get("stream"):
            return JSONResponse(whole_message(body))
        return StreamingResponse(answer(body, directives), media_type="text/event-stream")

    async def list_recorded(self, _request: Request) -> Response:
        return JSONResponse(self.recorded)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/messages", self.messages, methods=["POST"]),
                Route("/recorded", self.list_recorded),
            ]
        )


def main() -> None:
    """Serve on a free port of loopback and print which."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"port {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(FakeApi().app(), log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
