"""The head of a request: forms that the parser lets pass, and what must not be guessed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from claude_wrapper.middleware.request_head import LARGEST_HEAD, RequestHeadMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Scope

pytestmark = pytest.mark.anyio


def head(target: bytes = b"/v1/models", **more: Any) -> Scope:
    path = target.partition(b"?")[0]
    scope = {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "path": path.decode(),
        "raw_path": path,
        "query_string": target.partition(b"?")[2],
        "headers": [(b"host", b"localhost")],
    }
    return {**scope, **more}


async def passed(scope: Scope) -> Scope | tuple[int, dict[str, Any]]:
    """The scope that reaches the application, or status and error of the refusal."""
    reached: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, _receive: Any, _send: Any) -> None:
        reached.append(scope)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await RequestHeadMiddleware(app)(scope, receive, send)
    if reached:
        return reached[0]
    assert (b"connection", b"close") in sent[0]["headers"]
    return sent[0]["status"], json.loads(sent[1]["body"])["error"]


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://127.0.0.1:8000/v1/models?a=b", "/v1/models", b"127.0.0.1:8000"),
        (b"HTTP://localhost", "/", b"localhost"),
        (b"https://user@page.example/a%20b", "/a b", b"page.example"),
        (b"/v1/models", "/v1/models", b"localhost"),
        (b"/http://x/y", "/http://x/y", b"localhost"),
    ],
)
async def test_a_target_in_absolute_form_is_path_and_host(
    target: bytes, path: str, host: bytes
) -> None:
    scope = await passed(head(target))
    assert isinstance(scope, dict)
    assert scope["path"] == path
    assert dict(scope["headers"])[b"host"] == host


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (head(b"http://[::1/x"), 400),
        (head(headers=[(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]), 400),
        (head(headers=[(b"x", b"a" * LARGEST_HEAD)]), 431),
        (head(headers=[(b"x", b"a")] * (LARGEST_HEAD // 5)), 431),
        (head(b"/" + b"a" * LARGEST_HEAD), 431),
        (head(http_version="2.0"), 505),
        (head(http_version="0.9"), 505),
    ],
)
async def test_what_must_not_be_guessed_is_refused(scope: Scope, status: int) -> None:
    answer = await passed(scope)
    assert isinstance(answer, tuple)
    assert answer[0] == status
    assert answer[1]["type"] == "invalid_request_error"


async def test_a_server_need_not_tell_the_path_as_it_was_sent() -> None:
    scope = head()
    del scope["raw_path"]
    assert await passed(scope) is scope


async def test_a_head_up_to_the_limit_passes() -> None:
    assert isinstance(await passed(head(headers=[(b"x", b"a" * (LARGEST_HEAD - 100))])), dict)
