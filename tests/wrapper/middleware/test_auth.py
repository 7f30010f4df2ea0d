"""Whose key opens the door, in which header, and that nothing else does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from claude_wrapper.middleware.auth import AuthMiddleware

pytestmark = pytest.mark.anyio

KEYS = ("first-key", "zweiter-schlüssel")


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """What is behind the door."""
    await JSONResponse(scope["state"])(scope, receive, send)


async def get(headers: dict[str, bytes], path: str = "/v1/models") -> httpx.Response:
    transport = httpx.ASGITransport(AuthMiddleware(answer, KEYS))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        return await http.get(path, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": b"Bearer first-key"}, id="bearer"),
        pytest.param({"authorization": b"bearer  first-key "}, id="in any case"),
        pytest.param({"x-api-key": b"first-key"}, id="x-api-key"),
        pytest.param({"x-api-key": "zweiter-schlüssel".encode()}, id="UTF-8"),
        pytest.param({"authorization": b"Bearer other", "x-api-key": b"first-key"}, id="gateway"),
        pytest.param({"authorization": b"Bearer first-key", "x-api-key": b"other"}, id="client"),
    ],
)
async def test_a_known_key_opens(headers: dict[str, bytes]) -> None:
    reply = await get(headers)
    assert (reply.status_code, reply.json()["is_authenticated"]) == (200, True)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"authorization": b"Bearer "}, id="empty"),
        pytest.param({"authorization": b"Basic first-key"}, id="other scheme"),
        pytest.param({"authorization": b"first-key"}, id="no scheme"),
        pytest.param({"x-api-key": b"first-ke"}, id="prefix"),
        pytest.param({"x-api-key": b"first-key,zweiter"}, id="longer"),
        pytest.param({"x-api-key": "zweiter-schlüssel".encode("latin-1")}, id="other bytes"),
        pytest.param({"x-api-key": b"\xff\xfe"}, id="no text"),
    ],
)
async def test_nothing_else_opens(headers: dict[str, bytes]) -> None:
    reply = await get(headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "first-key" not in reply.text


async def test_the_owner_is_the_key_and_never_shows_it() -> None:
    """Conversations are kept apart by it, and it stands in the log."""
    owners = [(await get({"x-api-key": key.encode()})).json()["owner"] for key in KEYS]
    again = (await get({"authorization": b"Bearer first-key"})).json()["owner"]
    assert owners[0] == again != owners[1]
    assert not any(key in owner for key in KEYS for owner in owners)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_is_open_and_says_that_nobody_is_known(path: str) -> None:
    reply = await get({}, path)
    assert (reply.status_code, reply.json()["is_authenticated"]) == (200, False)


@pytest.mark.parametrize(
    "path", ["/health/", "/healthy", "/HEALTH", "//health", "/metrics", "/docs"]
)
async def test_paths_that_only_look_like_it_are_closed(path: str) -> None:
    assert (await get({}, path)).status_code == 401
