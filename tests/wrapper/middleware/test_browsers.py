"""A foreign page cannot drive a server without a key; programs and listed pages can."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from claude_wrapper.middleware.browsers import BrowserGuardMiddleware

pytestmark = pytest.mark.anyio

HOST = {"host": "127.0.0.1:8000"}
JSON = {"content-type": "application/json"}
PAGE = "https://page.example"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """What is behind the guard."""
    await JSONResponse({"reached": True})(scope, receive, send)


def client(origins: tuple[str, ...] = (), *, has_keys: bool = False) -> httpx.AsyncClient:
    app = BrowserGuardMiddleware(answer, origins=origins, has_keys=has_keys, host="127.0.0.1")
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8000", "127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.8.9.1:80"],
)
async def test_own_names_are_answered(host: str) -> None:
    async with client() as http:
        assert (await http.get("/health", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("page.example:8000", id="rebound name"),
        pytest.param("localhost.page.example", id="prefix"),
        pytest.param("127.0.0.1.page.example", id="address as prefix"),
        pytest.param("93.184.216.34", id="another address"),
        pytest.param("[", id="nonsense"),
        pytest.param("", id="none"),
    ],
)
async def test_a_name_that_is_not_ours_is_refused(host: str) -> None:
    async with client() as http:
        reply = await http.get("/v1/models", headers={"host": host})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden_host")


@pytest.mark.parametrize("origin", [PAGE, "null", "http://127.0.0.1:9999", "http://localhost:8000"])
async def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    async with client() as http:
        reply = await http.post(
            "/v1/chat/completions", headers={**HOST, **JSON, "origin": origin}, content=b"{}"
        )
        preflight = await http.options(
            "/v1/chat/completions",
            headers={**HOST, "origin": origin, "access-control-request-method": "POST"},
        )
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden_origin")
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in {*reply.headers, *preflight.headers}


async def test_the_servers_own_page_is_answered() -> None:
    async with client() as http:
        reply = await http.post(
            "/x", headers={**HOST, **JSON, "origin": "http://127.0.0.1:8000"}, content=b"{}"
        )
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param("text/plain", 415, id="what a page may send unasked"),
        pytest.param("application/x-www-form-urlencoded", 415, id="form"),
        pytest.param("multipart/form-data; boundary=x", 415, id="upload"),
        pytest.param("", 415, id="nothing"),
        pytest.param("text/plain; application/json", 415, id="json in a parameter"),
        pytest.param("application/json", 200, id="json"),
        pytest.param("Application/JSON; charset=utf-8", 200, id="json with charset"),
        pytest.param("application/vnd.api+json", 200, id="json by suffix"),
    ],
)
async def test_a_body_must_be_json(kind: str, status: int) -> None:
    async with client() as http:
        headers = {**HOST, "content-type": kind} if kind else HOST
        reply = await http.post("/x", headers=headers, content=b"{}")
    assert reply.status_code == status


async def test_listed_origins_get_preflight_and_headers() -> None:
    async with client((PAGE,)) as http:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "a, b"}
        preflight = await http.options("/x", headers={**HOST, "origin": PAGE, **asked})
        reply = await http.post("/x", headers={**HOST, **JSON, "origin": PAGE}, content=b"{}")
        other = await http.get("/x", headers={**HOST, "origin": "https://other.example"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "a, b"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for one in (preflight, reply):
        assert one.headers["access-control-allow-origin"] == PAGE
        assert "origin" in one.headers["vary"].lower()
    assert reply.json() == {"reached": True}
    assert other.status_code == 403


async def test_with_a_key_nothing_is_checked_and_no_page_may_read() -> None:
    async with client(has_keys=True) as http:
        reply = await http.post(
            "/x", headers={"host": "wrapper.example", "origin": PAGE}, content=b"{}"
        )
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers
