"""The verbs, as a user runs them: real processes, real exit codes, one line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from wrapper.support.servers import is_alive, scrubbed_environment, suspend, wait_until

from claude_wrapper.server_record import describe_self, read_records, signal_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from claude_wrapper.server_record import ServerRecord

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def run(tmp_path: Path, state: Path) -> Iterator[Run]:
    """Runs a verb on a state folder of its own; ends what was started there."""

    def verb(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "claude_wrapper", *words]
        environ = scrubbed_environment(
            HOME=str(tmp_path), CLAUDE_WRAPPER_STATE_DIR=str(state), **env
        )
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    yield verb
    for record in read_records(state) if state.is_dir() else ():
        signal_server(record, signal.SIGKILL)
        wait_until(lambda record=record: not record.is_running, what="the server is gone")  # type: ignore[misc]


def start(run: Run, state: Path, *words: str, **env: str) -> ServerRecord:
    """Start a demo server on a free port."""
    done = run("start", "-d", "--demo", "--port", "0", "--pool-size", "1", *words, **env)
    assert done.returncode == 0, done
    [record] = read_records(state)
    assert done.stdout.endswith(f"started: pid {record.pid}, {record.url}\n")
    return record


def one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    """The command was refused with one line that holds these words."""
    assert done.returncode == 2, done
    assert done.stderr.startswith("claude-wrapper: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr


def test_a_life_in_the_background(run: Run, state: Path) -> None:
    assert run("status").returncode == 3
    record = start(run, state)
    assert httpx.get(f"{record.url}/health/ready").status_code == 200
    status = run("status", "--json")
    assert status.returncode == 0
    [one] = json.loads(status.stdout)["servers"]
    assert (one["pid"], one["ready"], one["needs_key"]) == (record.pid, True, False)
    assert record.url in run("status", str(record.port)).stdout
    assert run("status", "1").returncode == 3
    again = run("start", "-d", "--demo", "--port", str(record.port))
    assert (again.returncode, "already running" in again.stdout) == (0, True)
    children = psutil.Process(record.pid).children(recursive=True)
    stopped = run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, f"stopped: pid {record.pid}\n")
    assert not any(is_alive(pid) for pid in (record.pid, *(child.pid for child in children)))
    status = run("status", "--json")
    assert status.returncode == 3
    assert json.loads(status.stdout)["last_shutdown"]["left"] == []
    assert "nothing left" in run("logs").stdout
    assert run("stop").stdout == "not running\n"


def test_of_two_starts_at_once_the_second_finds_the_first(run: Run, state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    words = ("start", "-d", "--demo", "--port", port, "--pool-size", "1")
    with ThreadPoolExecutor(2) as both:
        said = [done.result() for done in [both.submit(run, *words) for _ in range(2)]]
    assert [done.returncode for done in said] == [0, 0], said
    [record] = read_records(state)
    assert sorted(done.stdout.split(":")[0] for done in said) == ["already running", "started"]
    assert all(f"pid {record.pid}, " in done.stdout for done in said)


def test_what_is_on_disk_is_private_and_holds_no_key(run: Run, state: Path) -> None:
    key = "a-very-secret-key"
    record = start(run, state, CLAUDE_WRAPPER_API_KEY=key)
    assert state.stat().st_mode & 0o777 == 0o700
    assert record.path(state).stat().st_mode & 0o777 == 0o600
    run("stop")
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if key in path.read_text(errors="replace")]


def test_a_generated_key_is_shown_once_and_is_on_no_command_line(run: Run, state: Path) -> None:
    done = run("start", "-d", "-k", "--demo", "--port", "0")
    key = done.stdout.partition("key (shown once): ")[2].split()[0]
    assert done.stdout.count(key) == 1
    [record] = read_records(state)
    server = psutil.Process(record.pid)
    lines = [server.cmdline(), *(child.cmdline() for child in server.children(recursive=True))]
    assert not [line for line in lines if any(key in word for word in line)]
    answers = [
        httpx.get(f"{record.url}/v1/models", headers=headers).status_code
        for headers in ({}, {"x-api-key": key})
    ]
    assert answers == [401, 200]
    refused = run("restart")
    one_line(refused, "requires a key that is not known here")
    assert record.is_running
    again = run("restart", "-k")
    assert again.returncode == 0
    [newer] = read_records(state)
    assert newer.pid != record.pid
    assert key not in again.stdout


def test_restart_keeps_port_and_flags(run: Run, state: Path) -> None:
    record = start(run, state, "--queue-size", "7")
    assert run("restart").returncode == 0
    [newer] = read_records(state)
    assert (newer.port, newer.pid != record.pid) == (record.port, True)
    assert "--queue-size=7" in newer.arguments
    assert not record.is_running


def test_stop_forces_a_server_that_does_not_react(run: Run, state: Path) -> None:
    record = start(run, state, "--shutdown-timeout", "0.5")
    children = psutil.Process(record.pid).children(recursive=True)
    suspend(record.pid)
    stopped = run("stop")
    assert (stopped.returncode, stopped.stdout.startswith("killed")) == (0, True)
    wait_until(lambda: not any(is_alive(c.pid) for c in children), what="its children are gone")
    assert "killed" in run("status").stdout
    newer = start(run, state)
    assert newer.previous_run.startswith("unclean")


def test_a_stranger_with_the_recorded_pid_is_not_touched(run: Run, state: Path) -> None:
    state.mkdir(mode=0o700)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        record = describe_self(
            host="127.0.0.1", port=8000, needs_key=False, arguments=(), shutdown_timeout=0.5,
            log_file="", previous_run="clean",
        )  # fmt: skip
        replace(record, pid=stranger.pid, started="1").write(state)
        assert run("status").returncode == 3
        assert run("stop").stdout == "not running\n"
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize(
    "wrong",
    [{"since": "yesterday"}, {"host": 5}, {"port": "8000"}, {"arguments": [5]}, {"seconds": "long"},
     {"left": 5}, {"left": [5]}],
    ids=str,
)  # fmt: skip
def test_files_of_the_state_folder_that_somebody_has_edited(
    run: Run, state: Path, wrong: dict[str, object]
) -> None:
    record = start(run, state)
    signal_server(record, signal.SIGTERM)
    wait_until(lambda: not record.is_running, what="the server is gone")
    report = state / "last-shutdown.json"
    assert "last shutdown: " in run("status").stdout
    replace(record, port=8000).write(state)
    assert "killed: the server on port 8000" in run("status").stdout
    for path in (report, state / "server-8000.json"):
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {k: v for k, v in wrong.items() if k in document}))
    done = run("status")
    assert (done.returncode, done.stderr) == (3, "")
    assert len(done.stdout.splitlines()) == 2, "all but the file that is wrong"
    assert start(run, state).previous_run == "clean"


def test_two_servers_must_be_told_apart(run: Run, state: Path) -> None:
    for _ in range(2):
        assert run("start", "-d", "--demo", "--port", "0", "--pool-size", "0").returncode == 0
    first, second = read_records(state)
    one_line(run("stop"), f"on the ports {first.port}, {second.port}; name one")
    assert run("stop", str(first.port)).returncode == 0
    assert (first.is_running, second.is_running) == (False, True)


@pytest.mark.parametrize("verb", [("serve",), ("start", "-d")], ids=" ".join)
def test_mistakes_cost_one_line(run: Run, tmp_path: Path, verb: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        one_line(run(*verb, "--demo", "--port", port), f"cannot listen on 127.0.0.1 port {port}")
    one_line(run(*verb, "--port", "99999"), "--port is 99999; valid are whole numbers 0 to 65535")
    one_line(run(*verb, "--host", "0.0.0.0", "--demo"), "no key is set")
    missing = str(tmp_path / "nowhere")
    one_line(run(*verb, "--port", "0", "--cli-path", missing), "does not exist")
    one_line(run(*verb, "--demo", "--state-dir", "/proc/nowhere"), "/proc/nowhere")


def test_the_original_words_still_serve(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in ((port, "--demo"), ("-p", port, "-n", "--demo"), ("serve", port, "--demo")):
            one_line(run(*words), f"cannot listen on 127.0.0.1 port {port}")


def test_logs_without_a_log_say_where_it_would_be(run: Run, state: Path) -> None:
    one_line(run("logs"), f"there is no log at {state / 'server-PORT.log'}")


def test_doctor_names_kinds_and_never_values(run: Run, tmp_path: Path) -> None:
    secret = "sk-ant-very-secret"
    missing = run("doctor", "--cli-path", str(tmp_path / "nowhere"), ANTHROPIC_API_KEY=secret)
    assert missing.returncode == 1
    assert "PROBLEM claude CLI" in missing.stdout
    assert "API key (ANTHROPIC_API_KEY)" in missing.stdout
    assert secret not in missing.stdout
    script = tmp_path / "claude"
    script.write_text("#!/bin/sh\necho 1.2.3\n")
    script.chmod(0o755)
    fine = run("doctor", "--json", "--cli-path", str(script), ANTHROPIC_API_KEY=secret)
    assert fine.returncode == 0, fine.stdout
    found = {finding["name"]: finding["text"] for finding in json.loads(fine.stdout)}
    assert found["claude CLI"] == f"1.2.3, {script} (given)"
    assert {"version", "state folder", "namespace", "orphan protection"} <= set(found)


def test_models_are_listed(run: Run) -> None:
    assert "sonnet" in run("models").stdout.split()


def test_a_server_in_the_foreground_can_be_stopped_too(
    run: Run, tmp_path: Path, state: Path
) -> None:
    environ = scrubbed_environment(HOME=str(tmp_path), CLAUDE_WRAPPER_STATE_DIR=str(state))
    command = [sys.executable, "-m", "claude_wrapper", "serve", "0", "--demo", "--pool-size", "0"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: state.is_dir() and read_records(state), what="it listens")
        assert run("stop").returncode == 0
        assert process.wait(20) == os.EX_OK
    finally:
        process.kill()
        process.wait()


def test_a_key_on_the_command_line_works_and_warns(run: Run, state: Path) -> None:
    record = start(run, state, "-k", "typed-key")
    assert "typed-key" not in " ".join(psutil.Process(record.pid).cmdline())
    answers = [
        httpx.get(f"{record.url}/v1/models", headers=headers).status_code
        for headers in ({}, {"x-api-key": "typed-key"})
    ]
    assert answers == [401, 200]
    again = run("start", "-d", "--demo", "--port", str(record.port), "-k")
    assert "this key is not in force" in again.stdout
    assert "key (shown once)" not in again.stdout


def test_a_key_that_looks_like_a_port_is_asked_about(run: Run) -> None:
    one_line(run("serve", "-k", "8080"), "a key, or a port?")
    one_line(run("serve", "--api-key", "x", "--generate-key"), "use one of them")
    one_line(run("serve", "8080", "-p", "8081"), "two ports are given")


def test_a_server_is_found_and_stopped_whatever_else_is_set(run: Run, state: Path) -> None:
    record = start(run, state)
    broken = {"CLAUDE_WRAPPER_POOL_SIZE": "many", "CLAUDE_WRAPPER_HOST": "0.0.0.0"}
    assert run("status", **broken).returncode == 0
    assert run("logs", "--lines", "1", **broken).returncode == 0
    doctor = run("doctor", **broken)
    assert "PROBLEM settings: CLAUDE_WRAPPER_POOL_SIZE is 'many'" in doctor.stdout
    assert run("stop", **broken).stdout == f"stopped: pid {record.pid}\n"


def test_two_servers_of_one_state_folder_log_apart(run: Run, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start(run, state)
    assert run("start", "-d", "--demo", "--pool-size", "1", str(port)).returncode == 0
    logs = {record.log_file for record in read_records(state)}
    assert logs == {str(state / "server-0.log"), str(state / f"server-{port}.log")}
    assert run("stop").returncode == 2
    assert run("stop", str(port)).returncode == 0
    assert "nothing left" in run("logs", str(port)).stdout


def test_a_reader_that_has_seen_enough_costs_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m claude_wrapper models | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=scrubbed_environment(HOME=str(tmp_path)),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.strip() in {"0", "141"}, done.stderr) == (True, "")


@pytest.mark.skipif(os.name != "posix", reason="there is no shell that closes descriptors")
def test_a_server_whose_standard_streams_are_closed_serves_all_the_same(
    tmp_path: Path, state: Path, run: Run
) -> None:
    """As some supervisors start it; the first sockets must not get the numbers 0, 1 and 2."""
    command = f"exec {sys.executable} -m claude_wrapper serve --demo --port 0 --pool-size 1"
    environ = scrubbed_environment(HOME=str(tmp_path), CLAUDE_WRAPPER_STATE_DIR=str(state))
    process = subprocess.Popen(["sh", "-c", f"{command} <&- >&- 2>&-"], env=environ)
    try:
        wait_until(lambda: state.is_dir() and read_records(state), what="it listens")
        [record] = read_records(state)
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "[[text:fine]]"}]}
        answer = httpx.post(f"{record.url}/v1/chat/completions", json=body, timeout=20)
        assert answer.status_code == 200
        assert run("stop").returncode == 0
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
