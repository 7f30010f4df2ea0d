"""A signal in every state: exit code 0, within the promise, and no process left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from wrapper.support.servers import (
    RunningServer,
    is_alive,
    running_server,
    scrubbed_environment,
    suspend,
    wait_until,
)

from claude_wrapper.shutdown.watchdog import EXIT_FORCED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


def assert_nothing_left(folder: Path) -> None:
    """The server's own verdict, in its log and in its state folder."""
    assert (folder / "server.log").read_text().splitlines()[-1].endswith(": nothing left")
    report = json.loads((folder / "state" / "last-shutdown.json").read_text())
    assert report["left"] == []
    assert [step["name"] for step in report["steps"] if step["result"] != "done"] == []


class Streams:
    """Clients that keep a stream open, and remember its last line."""

    def __init__(self, server: RunningServer, text: str, count: int) -> None:
        self.last: list[str] = []
        self.threads = [
            threading.Thread(target=self._read, args=(server.url, text)) for _ in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def _read(self, url: str, text: str) -> None:
        messages = [{"role": "user", "content": text}]
        body = {"model": "sonnet", "stream": True, "messages": messages}
        try:
            with httpx.stream(
                "POST", f"{url}/v1/chat/completions", json=body, timeout=30
            ) as response:
                lines = [line for line in response.iter_lines() if line]
            self.last.append(lines[-1])
        except httpx.HTTPError as error:
            self.last.append(repr(error))

    def join(self) -> None:
        for thread in self.threads:
            thread.join(20)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("", 0, id="idle"),
        pytest.param("[[midhang]]", 20, id="20 open streams"),
        pytest.param("[[stuck]] [[ignore-sigterm]]", 2, id="a CLI that obeys nothing"),
        pytest.param("[[chunks:1000000]]", 2, id="clients that read as fast as they can"),
    ],
)
def test_the_server_stops_within_its_promise(tmp_path: Path, text: str, count: int) -> None:
    flags = ("--max-concurrency", "4", "--pool-size", "2")
    with running_server(tmp_path, *flags) as server:
        wait_until(
            lambda: httpx.get(f"{server.url}/health").json()["processes"]["idle"] == 2, what="warm"
        )
        streams = Streams(server, text, count)
        # All have arrived, not only those that have a process: who connects later is refused.
        wanted = {"busy": min(count, 4), "queued": max(0, count - 4)}
        wait_until(
            lambda: wanted.items() <= httpx.get(f"{server.url}/health").json()["processes"].items(),
            what=f"{wanted}",
        )
        children = [child.pid for child in server.children()]
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert not any(map(is_alive, children))
        streams.join()
    assert len(streams.last) == count
    assert all('"error"' in line for line in streams.last)
    assert list((tmp_path / "state" / "runs").iterdir()) == []
    assert_nothing_left(tmp_path)


def test_stopped_processes_and_pending_tool_calls_do_not_hold_it_up(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        body = {
            "model": "sonnet",
            "tools": tools,
            "messages": [{"role": "user", "content": "[[tool:f {}]]"}],
        }
        httpx.post(f"{server.url}/v1/chat/completions", json=body)
        assert httpx.get(f"{server.url}/health").json()["processes"]["parked"] == 1
        streams = Streams(server, "[[midhang]]", 1)
        wait_until(
            lambda: httpx.get(f"{server.url}/health").json()["processes"]["busy"] == 1, what="busy"
        )
        children = server.children()
        for child in children:
            suspend(child.pid)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert not any(is_alive(child.pid) for child in children)
        streams.join()
    assert_nothing_left(tmp_path)


def test_a_cli_that_hangs_at_start_does_not_hold_it_up(tmp_path: Path) -> None:
    """Before the start-up line: even `claude --version` does not answer."""
    script = tmp_path / "claude"
    script.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n")
    script.chmod(0o755)
    command = [
        sys.executable, "-m", "claude_wrapper", "serve", "--port", "0",
        "--state-dir", str(tmp_path / "state"), "--cli-path", str(script),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=scrubbed_environment(HOME=str(tmp_path)), stdout=subprocess.DEVNULL
    )
    try:
        server = psutil.Process(process.pid)
        wait_until(server.children, what="the CLI was asked for its version")
        children = server.children(recursive=True)
        began = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
        assert time.monotonic() - began < 5
        wait_until(lambda: not any(is_alive(c.pid) for c in children), what="all are gone")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("delay", "options"),
    [
        pytest.param("0.01", (), id="nearly done"),
        # 15 % of 20 s, and no less: the HTTP server has no patience of its own.
        pytest.param("0.1", ("--shutdown-timeout", "20"), id="a longer time to stop"),
    ],
)
def test_it_drains_what_will_be_done_in_time(
    tmp_path: Path, delay: str, options: tuple[str, ...]
) -> None:
    with running_server(tmp_path, *options) as server:
        streams = Streams(server, f"[[chunks:20]] [[delay:{delay}]]", 1)
        wait_until(
            lambda: httpx.get(f"{server.url}/health").json()["processes"]["busy"] == 1, what="busy"
        )
        assert server.stop() == 0
        streams.join()
    assert streams.last == ["data: [DONE]"]
    assert_nothing_left(tmp_path)


def test_a_client_that_does_not_read_its_answer_is_cut_off(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "[[huge:9000000]]"}]
    body = json.dumps({"model": "sonnet", "messages": messages}).encode()
    head = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with running_server(tmp_path) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", urlsplit(server.url).port or 0))
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
        # The turn is over, and its answer on the way.
        client.recv(1)
        assert server.stop() == 0
    assert_nothing_left(tmp_path)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_a_second_signal_forces(tmp_path: Path) -> None:
    with running_server(tmp_path, "--shutdown-timeout", "60s") as server:
        streams = Streams(server, "[[midhang]]", 1)
        wait_until(
            lambda: httpx.get(f"{server.url}/health").json()["processes"]["busy"] == 1, what="busy"
        )
        children = server.children()
        server.process.send_signal(signal.SIGINT)
        log = tmp_path / "server.log"
        wait_until(lambda: "received SIGINT" in log.read_text(), what="the first signal was seen")
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert server.process.wait(20) == 1
        assert time.monotonic() - began < 5
        streams.join()
        assert not any(is_alive(child.pid) for child in children)


def test_a_taken_port_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with running_server(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        with (
            pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1 port {port}"),
            running_server(tmp_path / "second", "--port", port),
        ):
            pass
    assert "Traceback" not in (tmp_path / "second" / "server.log").read_text()
    assert psutil.pid_exists(server.pid) is False


def test_who_is_still_sending_a_request_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    """Half a body, and one that is too large and is being taken and dropped."""
    with running_server(tmp_path) as server, contextlib.ExitStack() as stack:
        parts = urlsplit(server.url)
        heads = []
        for size in (1000, 40_000_000):
            connection = stack.enter_context(
                socket.create_connection((parts.hostname, parts.port), timeout=20)
            )
            connection.sendall(
                b"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n{" % size
            )
            heads.append(connection)
        # The answer to the second shows that both have come.
        assert heads[1].recv(65536).startswith(b"HTTP/1.1 413 ")
        assert server.stop() == 0
        answer = b"".join(iter(lambda: heads[0].recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"shutting_down" in answer
    assert "Traceback" not in server.log.read_text()


_WATCHED = """
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.shutdown import Watchdog
import threading
Watchdog(ResourceTracker(), 0.01, lambda: None)
threading.Event().wait()
"""


def _fill(writer: int) -> None:
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    os.set_blocking(writer, True)


def test_last_words_that_nobody_reads_hold_up_no_forced_end() -> None:
    reader, writer = os.pipe()
    try:
        _fill(writer)
        done = subprocess.run(
            [sys.executable, "-c", _WATCHED], stderr=writer, check=False, timeout=30
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == EXIT_FORCED


def test_a_first_line_that_nobody_reads_changes_no_exit_code(tmp_path: Path) -> None:
    """As with `| true`: what could not be printed is still in the buffer at the end."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [
        sys.executable,
        "-m",
        "claude_wrapper",
        "serve",
        "--demo",
        "--port",
        "0",
        "--state-dir",
    ]
    process = subprocess.Popen(
        [*command, str(tmp_path / "state")],
        env=scrubbed_environment(HOME=str(tmp_path)),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    with process:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "start-up line could not be printed" in line)
        process.terminate()
        process.stderr.read()
    assert "http://" in told
    assert process.returncode == 0


@pytest.mark.parametrize("is_read", [True, False], ids=["reader gone", "reader asleep"])
def test_a_log_that_nobody_reads_holds_up_no_end(tmp_path: Path, *, is_read: bool) -> None:
    """As where `2>&1 | head -1` has ended, or a collector of logs hangs: its pipe is full."""
    reader, writer = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, writer)
        if not is_read:
            _fill(writer)
            stack.callback(os.close, reader)
        with running_server(tmp_path, stderr=writer) as server:
            if is_read:
                os.close(reader)
            assert httpx.get(f"{server.url}/health/live").status_code == 200
            assert server.stop() == 0
    assert json.loads((tmp_path / "state" / "last-shutdown.json").read_text())["left"] == []
