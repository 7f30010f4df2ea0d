"""Sessions over HTTP: they continue, stay as they were after a failure, and stay within bounds."""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from wrapper.support.servers import is_alive, running_server, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


def say(http: httpx.Client, session: str, text: str, **more: Any) -> httpx.Response:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": text}], **more}
    return http.post("/v1/chat/completions", json=body, headers={"x-session-id": session})


def context(http: httpx.Client, session: str) -> list[str]:
    reply = say(http, session, "[[context]]").json()["choices"][0]["message"]["content"]
    return [message["content"][0]["text"] for message in json.loads(reply)["messages"]]


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


def test_a_session_continues(http: httpx.Client, session: str) -> None:
    say(http, session, "[[text:one]]")
    assert context(http, session) == ["[[text:one]]", "one", "[[context]]"]


def test_a_client_that_sends_the_history_again_does_not_double_it(
    http: httpx.Client, session: str
) -> None:
    say(http, session, "[[text:one]]")
    history = [
        {"role": "user", "content": "[[text:one]]"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "[[text:two]]"},
    ]
    say(http, session, "", messages=history)
    assert http.get(f"/v1/sessions/{session}").json()["message_count"] == 4


@pytest.mark.parametrize("failure", ["[[status:529]]", "[[crash]]"])
def test_a_failed_turn_leaves_the_conversation_as_it_was(
    http: httpx.Client, session: str, failure: str
) -> None:
    say(http, session, "[[text:one]]")
    assert say(http, session, failure).status_code >= 500
    assert context(http, session) == ["[[text:one]]", "one", "[[context]]"]


def test_two_turns_at_once_are_409_and_delete_stops_the_first(
    http: httpx.Client, session: str
) -> None:
    say(http, session, "[[text:one]]")
    replies: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: replies.append(say(http, session, "[[hang]]")))
    thread.start()
    wait_until(
        lambda: http.get("/health").json()["processes"]["busy"] == 1, what="the first turn runs"
    )
    second = say(http, session, "[[text:two]]")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "session_busy")
    assert http.delete(f"/v1/sessions/{session}").json()["deleted"] is True
    thread.join(20)
    assert replies[0].status_code == 409
    assert http.get(f"/v1/sessions/{session}").status_code == 404


def test_the_session_endpoints(http: httpx.Client, session: str) -> None:
    reply = http.post(f"/v1/sessions/{session}/messages", json={"content": "[[text:hello]]"})
    assert reply.json()["choices"][0]["message"]["content"] == "hello"
    assert session in [item["id"] for item in http.get("/v1/sessions").json()["data"]]
    shown = http.get(f"/v1/sessions/{session}").json()
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"]
    assert http.get("/v1/sessions/stats").json()["active"] >= 1
    assert http.delete(f"/v1/sessions/{session}").status_code == 200
    assert http.delete(f"/v1/sessions/{session}").status_code == 404


@pytest.mark.parametrize("text", ["[[pid]]", "[[tool:f {}]]"])
def test_deleting_a_session_ends_the_process_that_holds_it(tmp_path: Path, text: str) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    with (
        running_server(tmp_path, "--max-concurrency", "1") as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        assert say(http, "s", text, tools=tools).status_code == 200
        children = server.children()
        assert len(children) == 1, [child.cmdline() for child in children]
        [holder] = children
        assert http.delete("/v1/sessions/s").status_code == 200
        wait_until(lambda: not is_alive(holder.pid), what="the process of the session is gone")
        assert say(http, "s", "[[text:new]]").status_code == 200


def test_cap_and_expiry_hold_in_the_wired_server(tmp_path: Path) -> None:
    flags = ("--max-sessions", "3", "--session-ttl", "1s", "--session-cleanup-interval", "100ms")
    with running_server(tmp_path, *flags) as server, httpx.Client(base_url=server.url) as http:
        for number in range(5):
            say(http, f"s{number}", "[[text:x]]")
        stats = http.get("/v1/sessions/stats").json()
        assert stats["active"] <= 3
        wait_until(lambda: http.get("/v1/sessions/stats").json()["active"] == 0, what="all expired")
        assert http.get("/v1/sessions/s4").status_code == 404


def test_a_session_outlives_its_process(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "--worker-max-turns", "1") as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        say(http, "s", "[[text:one]]")
        assert context(http, "s") == ["[[text:one]]", "one", "[[context]]"]
