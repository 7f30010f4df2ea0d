"""The real CLI against a fake API, both shut into a namespace without a way out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from wrapper.support.servers import RunningServer, running_server

from claude_wrapper.claude.locate import _bundled

if TYPE_CHECKING:
    from collections.abc import Iterator

API = Path(__file__).parents[1] / "support" / "fake_anthropic.py"


def is_isolated() -> bool:
    """Whether this process can reach loopback only."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    interfaces = {line.partition(":")[0].strip() for line in lines}
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    return interfaces == {"lo"} and not routes


@dataclass
class FakeApi:
    """The API that the CLI talks to."""

    url: str

    def requests(self) -> list[dict[str, Any]]:
        recorded: list[dict[str, Any]] = httpx.get(f"{self.url}/recorded").json()
        return recorded

    def last(self) -> dict[str, Any]:
        return self.requests()[-1]


@pytest.fixture(scope="session")
def binary() -> Path:
    found = _bundled()
    if found is None:
        pytest.skip("the real CLI is not here: install the extra 'cli'")
    if not Path("/proc/net/dev").exists() or not is_isolated():
        pytest.skip(
            f"not in a loopback-only network namespace: run {Path(__file__).parent / 'isolated.py'}"
        )
    return found


@pytest.fixture(scope="session")
def api(binary: Path) -> Iterator[FakeApi]:
    process = subprocess.Popen(
        [sys.executable, str(API)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[1])
    yield FakeApi(f"http://127.0.0.1:{port}")
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def server(
    binary: Path, api: FakeApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    env = {"ANTHROPIC_API_KEY": "sk-ant-dummy", "ANTHROPIC_BASE_URL": api.url}
    folder = tmp_path_factory.mktemp("real")
    with running_server(folder, "--max-concurrency", "2", cli=binary, **env) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as made:
        yield made
