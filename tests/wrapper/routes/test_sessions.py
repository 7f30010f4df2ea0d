"""Sessions over HTTP: they continue, stay as they were after a failure, and stay within bounds."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from wrapper.support.servers import is_alive, running_server, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def test_a_history_sent_again_may_write_its_arguments_differently(
    http: httpx.Client, session: str
) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    asked = {"role": "user", "content": '[[tool:f {"a": 1}]]'}
    answer = say(http, session, "", messages=[asked], tools=tools).json()["choices"][0]["message"]
    [call] = answer["tool_calls"]
    call["function"]["arguments"] = '{"a":1}'
    result = {"role": "tool", "tool_call_id": call["id"], "content": "done"}
    again = say(http, session, "", messages=[asked, answer, result], tools=tools).json()
    assert again["choices"][0]["message"]["content"] == "results: done"
    assert http.get(f"/v1/sessions/{session}").json()["message_count"] == 4


@pytest.mark.parametrize("failure", ["[[status:529]]", "[[crash]]"])
def test_a_failed_turn_leaves_the_conversation_as_it_was(
    http: httpx.Client, session: str, failure: str
) -> None:
    say(http, session, "[[text:one]]")
    assert say(http, session, failure).status_code >= 500
    assert context(http, session) == ["[[text:one]]", "one", "[[context]]"]


@contextlib.contextmanager
def hanging_turn(http: httpx.Client, session: str) -> Iterator[list[httpx.Response]]:
    """A session in the middle of a turn, which is stopped at the end; the list has its answer."""
    say(http, session, "[[text:one]]")
    replies: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: replies.append(say(http, session, "[[hang]]")))
    thread.start()
    wait_until(
        lambda: http.get("/health").json()["processes"]["busy"] == 1, what="the first turn runs"
    )
    try:
        yield replies
    finally:
        http.delete(f"/v1/sessions/{session}")
        thread.join(20)


@contextlib.contextmanager
def leaving_turn(url: str, session: str) -> Iterator[Callable[[], None]]:
    """A session in the middle of a turn, whose client leaves when told."""
    body = {"model": "sonnet", "stream": True}
    body["messages"] = [{"role": "user", "content": "[[midhang]] [[text:word]]"}]
    with contextlib.ExitStack() as stack:
        response = stack.enter_context(
            httpx.stream(
                "POST", f"{url}/v1/chat/completions", json=body, headers={"x-session-id": session}
            )
        )
        lines = response.iter_lines()
        next(line for line in lines if "word" in line)
        yield stack.close


def test_a_second_turn_is_409_where_nobody_waits(http: httpx.Client, session: str) -> None:
    with hanging_turn(http, session) as replies:
        http.headers["x-session-busy"] = "reject"
        second = say(http, session, "[[text:two]]")
        assert (second.status_code, second.json()["error"]["code"]) == (409, "session_busy")
        assert second.headers["retry-after"] == "1"
        http.headers["x-session-busy"] = "perhaps"
        third = say(http, session, "[[text:three]]")
        assert (third.status_code, third.json()["error"]["param"]) == (400, "x-session-busy")
        assert http.delete(f"/v1/sessions/{session}").json()["deleted"] is True
    assert replies[0].status_code == 409
    assert http.get(f"/v1/sessions/{session}").status_code == 404


def test_the_setting_refuses_a_second_turn_and_the_header_may_wait(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "--session-busy", "reject") as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
        leaving_turn(server.url, "s") as leave,
        ThreadPoolExecutor(1) as threads,
    ):
        assert say(http, "s", "[[text:two]]").status_code == 409
        http.headers["x-session-busy"] = "wait"
        waiting = threads.submit(say, http, "s", "[[text:three]]")
        wait_until(
            lambda: httpx.get(f"{server.url}/v1/sessions/stats").json()["waiting"] == 1,
            what="one is in line",
        )
        assert not waiting.done()
        leave()
        assert waiting.result(20).status_code == 200


def test_what_waits_for_a_session_does_so_within_its_own_time(tmp_path: Path) -> None:
    """The first has its answer when its time is over; the second waited, and has as much."""
    with (
        running_server(tmp_path, "--request-timeout", "2") as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
        ThreadPoolExecutor(2) as threads,
    ):
        turns = [threads.submit(say, http, "s", "[[hang]]") for _ in range(2)]
        assert [turn.result(30).status_code for turn in turns] == [504, 504]


def test_turns_of_one_session_wait_for_each_other(http: httpx.Client, session: str) -> None:
    def one(number: int) -> int:
        return say(http, session, f"[[chunks:3]] [[delay:0.02]] [[text:{number}]]").status_code

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(one, range(6))) == {200}
    shown = http.get(f"/v1/sessions/{session}").json()["messages"]
    assert [message["role"] for message in shown] == ["user", "assistant"] * 6
    # Each answer stands after its own question: no two turns were mixed.
    for question, answer in zip(shown[::2], shown[1::2], strict=True):
        number = re.findall(r"text:(\d)", question["content"])[0]
        assert answer["content"].startswith(f"{number}0 {number}1")


def test_deleting_a_session_sends_away_who_waits(http: httpx.Client, session: str) -> None:
    with hanging_turn(http, session), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(say, http, session, "[[text:two]]")
        wait_until(
            lambda: http.get("/v1/sessions/stats").json()["waiting"] == 1, what="one is in line"
        )
        assert http.delete(f"/v1/sessions/{session}").status_code == 200
        reply = waiting.result(20)
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "session_busy")


def test_a_client_that_leaves_the_line_takes_no_turn(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "--queue-size", "1") as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        with hanging_turn(http, "s"):
            for _ in range(3):
                # With room for one in line, the second would be refused if the first had stayed.
                with pytest.raises(httpx.ReadTimeout):
                    http.post(
                        "/v1/chat/completions", timeout=0.3, headers={"x-session-id": "s"},
                        json={"model": "sonnet", "messages": [{"role": "user", "content": "x"}]},
                    )  # fmt: skip
        wait_until(
            lambda: http.get("/health").json()["processes"]["busy"] == 0, what="nothing runs"
        )
        assert http.get("/v1/sessions/s").status_code == 404


def test_the_line_is_bounded(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "--queue-size", "0") as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
        hanging_turn(http, "s"),
    ):
        reply = say(http, "s", "[[text:two]]")
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "queue_full")
        assert int(reply.headers["retry-after"]) > 0


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


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_history_in_a_file_survives_the_server(tmp_path: Path, end: int) -> None:
    flags = ("--session-store", f"sqlite:{tmp_path / 'sessions.db'}")
    with running_server(tmp_path, *flags) as server, httpx.Client(base_url=server.url) as http:
        say(http, "s", "[[text:one]]")
        server.stop(end)
    with running_server(tmp_path, *flags) as server, httpx.Client(base_url=server.url) as http:
        assert context(http, "s") == ["[[text:one]]", "one", "[[context]]"]
        assert http.get("/v1/sessions/stats").json()["active"] == 1
