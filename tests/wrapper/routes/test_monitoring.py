"""What a running server says about itself: metrics, resources, health, logs and limits."""

from __future__ import annotations

import json
import re
import signal
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from wrapper.support.servers import RunningServer, running_server, wait_until, write_fake_cli

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(90)

LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def ask(http: httpx.Client, text: str = "hello", **more: Any) -> httpx.Response:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": text}], **more}
    return http.post("/v1/chat/completions", json=body)


def figures(http: httpx.Client) -> dict[tuple[str, str], float]:
    found = {}
    for line in http.get("/metrics").text.splitlines():
        match = LINE.match(line)
        if match:
            found[match[1], match[2] or ""] = float(match[3])
    return found


def test_the_metrics_count_what_happened(server: RunningServer, http: httpx.Client) -> None:
    wait_until(lambda: http.get("/health").json()["processes"]["idle"] >= 2, what="warm")
    before = figures(http)
    assert ask(http).status_code == 200
    assert ask(http, stream=True).status_code == 200
    assert ask(http, model="gpt-4").status_code == 404
    assert http.get("/v1/sessions/no-such-session").status_code == 404
    assert http.get("/somewhere/else").status_code == 404
    after = figures(http)

    def grown(name: str, labels: str = "") -> float:
        return after[name, labels] - before.get((name, labels), 0.0)

    chat = 'route="/v1/chat/completions"'
    assert grown("claude_wrapper_requests_total", f'model="sonnet",{chat},status="200"') == 2
    assert grown("claude_wrapper_ttft_seconds_count", chat) == 2
    assert grown("claude_wrapper_request_seconds_count", chat) == 3
    sessions = 'model="",route="/v1/sessions/{session}",status="404"'
    assert grown("claude_wrapper_requests_total", sessions) == 1
    assert grown("claude_wrapper_requests_total", 'model="",route="__other__",status="404"') == 1
    assert after["claude_wrapper_in_flight", ""] == 1
    assert after["claude_wrapper_cli_processes", 'state="idle"'] >= 2
    assert after["claude_wrapper_cli_rss_bytes", ""] > 10e6
    assert 20e6 < after["claude_wrapper_rss_bytes", ""] < 100e6
    for name in (
        "queue_depth", "queue_rejections_total", "sessions", "session_bytes",
        "orphans_reaped_total", "leak_alerts_total", "shutdown_seconds",
    ):  # fmt: skip
        assert (f"claude_wrapper_{name}", "") in after


def test_resources_list_what_is_held(server: RunningServer, http: httpx.Client) -> None:
    wait_until(lambda: http.get("/health").json()["processes"]["idle"] >= 2, what="warm")
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))):
        document = http.get("/v1/resources").json()
    held = document["held"]
    assert document["counts"] == {kind: len(rows) for kind, rows in held.items()}
    listening = [row for row in held["sockets"] if row["details"]["state"] == "listening"]
    assert len(listening) == 1
    children = sorted(child.pid for child in server.children())
    assert sorted(row["details"]["pid"] for row in held["processes"]) == children
    assert sorted(child["pid"] for child in document["children"]) == children
    assert all(child["rss"] > 1e6 and child["age"] > 0 for child in document["children"])
    names = {row["details"]["name"] for row in held["tasks"]}
    background = {"http-server", "pool-keeper", "session-sweeper", "state-keeper"}
    assert background | {"system-monitor sample"} <= names
    assert {row["details"].get("name") for row in held["threads"]} >= {"log-writer"}
    assert len(held["timers"]) > 0
    tracked = {(row["kind"], row["name"]) for row in document["tracked"]}
    assert ("emitter", "system-monitor") in tracked
    assert {("child", f"cli {pid}") for pid in children} <= tracked
    assert document["audit"]["strangers"] == []


def test_the_next_run_shows_the_last_shutdown(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert httpx.get(f"{server.url}/v1/resources").json()["last_shutdown"] is None
        assert server.stop() == 0
    with running_server(tmp_path) as server:
        last = httpx.get(f"{server.url}/v1/resources").json()["last_shutdown"]
    assert (last["clean"], last["left"]) == (True, [])
    assert last["steps"][0]["name"] == "stop accepting"


def test_health_notices_a_process_that_died_and_a_folder_that_is_gone(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, httpx.Client(base_url=server.url) as http:
        wait_until(lambda: http.get("/health").json()["processes"]["idle"] == 2, what="warm")
        assert http.get("/health").json()["status"] == "healthy"
        server.children()[0].send_signal(signal.SIGKILL)
        wait_until(lambda: http.get("/health").json()["status"] == "degraded", what="degraded")
        check = http.get("/health").json()["checks"]["cli"]
        assert (check["ok"], check["crashed"]) == (False, 1)
        assert "ended by itself" in check["failure"]
        runs = tmp_path / "state" / "runs"
        runs.rename(tmp_path / "elsewhere")
        # Where a folder could be made, there would soon be one again.
        runs.touch()
        assert http.get("/health").json()["checks"]["state_folder"]["status"] == "unhealthy"
        assert http.get("/health").json()["status"] == "unhealthy"
        runs.unlink()
        (tmp_path / "elsewhere").rename(runs)


def test_a_cli_that_cannot_be_started_is_no_mere_degradation(tmp_path: Path) -> None:
    cli = write_fake_cli(tmp_path, "--fake-crash")
    with (
        running_server(tmp_path, cli=cli) as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        wait_until(lambda: http.get("/health").json()["status"] == "unhealthy", what="unhealthy")
        assert "fake crash at start" in http.get("/health").json()["checks"]["cli"]["failure"]


def test_only_a_key_opens_the_details(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("the-right-key\n")
    with (
        running_server(tmp_path, "--api-key-file", str(keys)) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        assert set(http.get("/health").json()) == {"status"}
        for path in ("/metrics", "/v1/resources", "/v1/logs"):
            assert http.get(path).status_code == 401
            wrong = {"x-api-key": "the-right-kez"}
            assert http.get(path, headers=wrong).status_code == 401
            assert http.get(path, headers={"x-api-key": "the-right-key"}).status_code == 200
        known = {"authorization": "Bearer the-right-key"}
        assert "checks" in http.get("/health", headers=known).json()
        refused = "path=/metrics status=401"
        wait_until(lambda: refused in http.get("/v1/logs", headers=known).text, what="logged")
        assert "the-right-key" not in (tmp_path / "server.log").read_text()


def test_the_access_log_is_structured_and_cannot_be_forged(
    server: RunningServer, http: httpx.Client
) -> None:
    http.get("/health/live", headers={"x-request-id": "mine-1"})
    http.get("/nowhere%0A2026-01-01 INFO forged status=200")
    # A line is written after its answer, by another thread.
    wait_until(lambda: "forged" in http.get("/v1/logs").text, what="logged")
    lines = http.get("/v1/logs").json()["data"]
    fields = next(line for line in lines if "request_id=mine-1" in line)
    assert "method=GET path=/health/live status=200 ms=" in fields
    forged = next(line for line in lines if "forged" in line)
    assert 'path="/nowhere\\n2026-01-01 INFO forged status=200" status=404' in forged
    assert http.get("/v1/logs?limit=1").json()["data"] != []
    bad = http.get("/v1/logs?limit=0")
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "limit")


def test_prompts_are_not_logged(server: RunningServer, http: httpx.Client) -> None:
    assert ask(http, "my most private thought").status_code == 200
    assert ask(http, "my most private thought", temperature="hot").status_code == 400
    http.get("/health/live", headers={"x-request-id": "after-the-prompts"})
    wait_until(lambda: "after-the-prompts" in http.get("/v1/logs").text, what="logged")
    assert "private thought" not in json.dumps(http.get("/v1/logs?limit=1000").json())


def test_a_foreign_page_is_refused_by_the_wired_server(
    server: RunningServer, http: httpx.Client
) -> None:
    page = http.post(
        "/v1/chat/completions", content=b"{}",
        headers={"origin": "https://page.example", "content-type": "text/plain"},
    )  # fmt: skip
    rebound = http.get("/v1/models", headers={"host": "page.example"})
    form = http.post("/v1/messages", content=b"{}", headers={"content-type": "text/plain"})
    assert (page.status_code, rebound.status_code, form.status_code) == (403, 403, 415)
    assert form.json()["error"]["type"] == "invalid_request_error"


def test_the_rate_limit_and_cors_hold_in_the_wired_server(tmp_path: Path) -> None:
    flags = ("--rate-limit", "2", "--cors-origins", "https://page.example")
    with (
        running_server(tmp_path, *flags) as server,
        httpx.Client(base_url=server.url, headers={"origin": "https://page.example"}) as http,
    ):
        replies = [http.get("/v1/models") for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert int(replies[2].headers["retry-after"]) <= 30
        assert replies[2].headers["access-control-allow-origin"] == "https://page.example"
        assert figures(http)["claude_wrapper_rate_limited_total", ""] == 1
