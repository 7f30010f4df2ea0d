"""One real server for the tests of the endpoints; each test leaves it as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import openai
import pytest
from wrapper.support.servers import RunningServer, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    # After so long a stream begins without its first piece, and an error can have no status any
    # more: long enough for a busy machine, short enough for those that wait for a heartbeat.
    with running_server(folder, "--heartbeat-interval", "1.5") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as made:
        yield made
