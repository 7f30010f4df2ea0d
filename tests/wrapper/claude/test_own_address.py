"""A server whose CLI would ask the server itself: each request would take all processes there are."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from wrapper.support.servers import running_server, scrubbed_environment, write_fake_cli

from claude_wrapper.claude.own_address import check_base_url
from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000),
        ("http://localhost:8000/", "127.0.0.1", 8000),
        ("http://LOCALHOST:8000/v1", "127.0.0.1", 8000),
        ("http://127.9.9.9:8000", "0.0.0.0", 8000),
        ("http://[::1]:8000", "::", 8000),
        ("http://localhost", "localhost", 80),
        ("http://Box.lan:8000", "box.lan", 8000),
        ("https://192.0.2.7", "192.0.2.7", 443),
    ],
)
def test_an_address_of_the_server_itself_is_refused(url: str, host: str, port: int) -> None:
    with pytest.raises(SettingsError, match="which is this server"):
        check_base_url({"ANTHROPIC_BASE_URL": url}, host, port)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("", "127.0.0.1"),
        ("http://127.0.0.1:8001", "127.0.0.1"),
        ("https://api.example:8000", "127.0.0.1"),
        ("http://192.0.2.7:8000", "127.0.0.1"),
        ("http://127.0.0.1:8000", "192.0.2.7"),
        ("http://[::1:8000", "127.0.0.1"),
        ("http://127.0.0.1:80000", "127.0.0.1"),
        ("127.0.0.1:8000", "127.0.0.1"),
    ],
)
def test_any_other_address_is_fine(url: str, host: str) -> None:
    check_base_url({"ANTHROPIC_BASE_URL": url}, host, 8000)


def test_the_server_says_so_in_one_line_and_does_not_start(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    command = [
        sys.executable, "-m", "claude_wrapper", "serve", "--port", str(port),
        "--state-dir", str(tmp_path / "state"), "--cli-path", str(write_fake_cli(tmp_path)),
    ]  # fmt: skip
    env = scrubbed_environment(HOME=str(tmp_path), ANTHROPIC_BASE_URL=url)
    ended = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"claude-wrapper: ANTHROPIC_BASE_URL is {url}")
    assert ended.stderr.count("\n") == 1


def test_doctor_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "claude_wrapper", "doctor", "--state-dir", str(tmp_path)]
    env = scrubbed_environment(HOME=str(tmp_path), ANTHROPIC_BASE_URL="http://127.0.0.1:8000")
    cli = str(write_fake_cli(tmp_path))
    ended = subprocess.run(
        [*command, "--cli-path", cli],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert "PROBLEM settings: ANTHROPIC_BASE_URL is http://127.0.0.1:8000, which is" in ended.stdout


def test_another_server_may_be_asked(tmp_path: Path) -> None:
    with running_server(tmp_path, ANTHROPIC_BASE_URL="http://127.0.0.1:1"):
        pass
