"""Which signals stop a server, which force it, and which of two servers has a place."""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from wrapper.support.servers import running_server, wait_until

from claude_wrapper.shutdown.signals import SignalHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="signals and addresses as Linux has them"),
]


@pytest.fixture
def ignored_hangup() -> Iterator[None]:
    """What `nohup` does for what it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("ignored_hangup")
def test_a_server_started_with_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.process.send_signal(signal.SIGHUP)
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert server.stop() == 0
    assert "SIGHUP" not in (tmp_path / "server.log").read_text()


def test_a_hangup_stops_any_other_server(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert server.stop(signal.SIGHUP) == 0
    assert "received SIGHUP" in (tmp_path / "server.log").read_text()


@pytest.fixture(params=["SIGQUIT", "SIGUSR1", "SIGALRM", "SIGXCPU", "SIGIO"])
def stray(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """One that nobody handles; a shell has what it starts in the background ignore SIGQUIT."""
    number = signal.Signals[request.param]
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    signal.signal(number, before)


def test_a_stray_signal_ends_no_server_where_it_stands(
    stray: signal.Signals, tmp_path: Path
) -> None:
    """Their default would leave children, the record and the folder of the run."""
    with running_server(tmp_path) as server:
        assert server.stop(stray) == 0
    assert f"received {stray.name}" in (tmp_path / "server.log").read_text()
    assert json.loads((tmp_path / "state" / "last-shutdown.json").read_text())["left"] == []


@pytest.mark.anyio
async def test_who_handles_a_stray_signal_of_his_own_keeps_it() -> None:
    """As a program may in which the server is embedded."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    hub = SignalHub()
    try:
        hub.install()
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGUSR2) != signal.SIG_DFL
    finally:
        hub.restore()
        signal.signal(signal.SIGUSR1, before)
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


def test_a_hangup_right_after_sigterm_is_no_impatience(tmp_path: Path) -> None:
    """The pair that systemd sends both where SendSIGHUP is set."""
    with running_server(tmp_path) as server:
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(20) == 0


def test_a_second_server_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    """The same port on another address: the record would be overwritten."""
    with running_server(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        with (
            pytest.raises(AssertionError, match=f"the server with pid {server.pid} has port"),
            running_server(tmp_path, "--host", "127.0.0.2", "--port", port),
        ):
            pass
        assert (tmp_path / "state" / f"server-{port}.json").exists()
        with running_server(tmp_path) as beside:
            wait_until(
                lambda: httpx.get(f"{beside.url}/health/ready").status_code == 200, what="ready"
            )
            assert "previous run: clean" in beside.announcement
        assert httpx.get(f"{server.url}/health/live").status_code == 200
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_signals_that_go_on_to_the_end_leave_an_exit_code_and_a_report(tmp_path: Path) -> None:
    """Also those that come while the process is compared, and while the interpreter ends."""
    with running_server(tmp_path) as server:
        numbers = itertools.cycle((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        while server.process.poll() is None:
            server.process.send_signal(next(numbers))
            time.sleep(0.002)
        assert server.process.returncode == 1
    assert "stopped in" in (tmp_path / "server.log").read_text().splitlines()[-1]
    report = json.loads((tmp_path / "state" / "last-shutdown.json").read_text())
    assert report["left"] == []
