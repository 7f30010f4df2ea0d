"""A server without a free descriptor goes on with what it has, and recovers."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from wrapper.support.servers import running_server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit"),
]

DESCRIPTORS = 48


@contextlib.contextmanager
def few_descriptors() -> Iterator[None]:
    """What is started within may open only so many."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(connection: socket.socket, text: str) -> bytes:
    messages = [{"role": "user", "content": text}]
    body = json.dumps({"model": "sonnet", "messages": messages}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_it_serves_who_is_connected_and_takes_others_again(tmp_path: Path) -> None:
    flags = ("--max-concurrency", "4", "--pool-size", "1")
    with contextlib.ExitStack() as stack:
        with few_descriptors():
            server = stack.enter_context(running_server(tmp_path, *flags))
        process = psutil.Process(server.pid)
        wait_until(
            lambda: httpx.get(f"{server.url}/health").json()["processes"]["idle"] == 1, what="warm"
        )
        host, port = server.url.removeprefix("http://").split(":")
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(100)
        ]
        wait_until(lambda: process.num_fds() >= DESCRIPTORS - 1, what="no descriptor is free")
        log = tmp_path / "server.log"
        wait_until(lambda: "out of system resource" in log.read_text(), what="it says so")
        assert b"fine" in ask(connections[0], "[[text:fine]]")
        for connection in connections:
            connection.close()
        assert httpx.get(f"{server.url}/health/live", timeout=20).status_code == 200
        assert server.stop() == 0
        assert log.read_text().count("out of system resource") < 10


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_log_on_a_full_disk_costs_neither_answers_nor_the_orderly_end(tmp_path: Path) -> None:
    with running_server(tmp_path, "--log-file", "/dev/full", "--pool-size", "0") as server:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "[[text:fine]]"}]}
        assert httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=20).is_success
        assert "log_lines_dropped_total 0" not in httpx.get(f"{server.url}/metrics").text
        assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
    assert json.loads((tmp_path / "state" / "last-shutdown.json").read_text())["left"] == []
