"""What a killed server leaves behind is found at the next start; what only looks like it is not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from wrapper.support.servers import is_alive, running_server, wait_until

from claude_wrapper.claude.child import Child
from claude_wrapper.claude.identity import identify
from claude_wrapper.claude.ledger import MOST_LINES, abandoned_runs, open_ledger
from claude_wrapper.claude.orphans import reap_orphans

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


def disown(state: Path, run_id: str) -> None:
    """Make a run look as if its server were gone."""
    path = state / "runs" / run_id / "run.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "started": "1"}))


def sleeper(run_id: str = "", *more: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "CLAUDE_WRAPPER_RUN_ID": run_id}
    code = "import time; time.sleep(600)"
    return subprocess.Popen([sys.executable, "-c", code, *more], env=env, start_new_session=True)


def test_a_recorded_child_of_a_dead_server_is_ended(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    child = sleeper(ledger.run_id)
    ledger.add(child.pid)
    (ledger.work_folder / "left").mkdir()
    disown(tmp_path, ledger.run_id)
    previous = reap_orphans(tmp_path, patience=0.2)
    assert child.wait(10) == -signal.SIGKILL
    assert (previous.clean, previous.folders) == (False, 1)
    assert str(previous) == "unclean, reaped 1"
    assert not ledger.folder.exists()


def test_a_stranger_with_the_recorded_pid_is_not_touched(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    stranger = sleeper()
    try:
        record = replace(ledger.add(stranger.pid), started="1")
        path = ledger.folder / "children.jsonl"
        entry = {"event": "started", "pid": record.pid, "started": "1", "pgid": record.pgid}
        path.write_text(json.dumps({**entry, "boot": record.boot}) + "\n")
        disown(tmp_path, ledger.run_id)
        previous = reap_orphans(tmp_path, patience=0.2)
        assert previous.reaped == ()
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_group_whose_leader_is_dead_is_found_by_its_mark(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    code = (
        "import subprocess, sys;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    env = {**os.environ, "CLAUDE_WRAPPER_RUN_ID": ledger.run_id}
    leader = subprocess.Popen(
        [sys.executable, "-c", code], env=env, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert leader.stdout is not None
    assert leader.stdin is not None
    member = int(leader.stdout.readline())
    ledger.add(leader.pid)
    leader.stdin.close()
    leader.wait(10)
    leader.stdout.close()
    assert is_alive(member)
    disown(tmp_path, ledger.run_id)
    reap_orphans(tmp_path)
    wait_until(lambda: not is_alive(member), what="the member of the group is gone")


def test_one_that_cleared_its_environment_is_found_by_its_folder(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    home = ledger.work_folder / "child" / "cwd"
    home.mkdir(parents=True)
    code = "import time; time.sleep(600)"
    ours = subprocess.Popen([sys.executable, "-c", code], env={}, cwd=home, start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", code], env={}, cwd=tmp_path)
    try:
        disown(tmp_path, ledger.run_id)
        assert reap_orphans(tmp_path).reaped == (ours.pid,)
        assert is_alive(other.pid)
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel gives us orphans on Linux only")
def test_one_that_hides_wholly_goes_with_its_process(tmp_path: Path) -> None:
    """Another group, no environment, another folder: only the kernel knows whose it is."""

    def hide(session: str) -> int:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "[[hidden]]"}]}
        url = f"{server.url}/v1/chat/completions"
        answer = httpx.post(url, json=body, headers={"x-session-id": session}, timeout=20)
        return int(answer.json()["choices"][0]["message"]["content"])

    with running_server(tmp_path) as server:
        first, second = hide("first"), hide("second")
        assert is_alive(first)
        httpx.delete(f"{server.url}/v1/sessions/first")
        wait_until(lambda: not psutil.pid_exists(first), what="it is gone, and was collected")
        assert is_alive(second)
        assert server.stop() == 0
        assert not psutil.pid_exists(second)
    log = (tmp_path / "server.log").read_text()
    assert f"process {first} hid itself and lost its parent; it is ended" in log
    assert log.splitlines()[-1].endswith(": nothing left")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel gives us orphans on Linux only")
def test_one_that_hides_wholly_and_loses_its_parent_goes_at_once(tmp_path: Path) -> None:
    """Its CLI process lives on: nothing but a look from time to time can notice."""
    with running_server(tmp_path) as server:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": "[[orphan]]"}]}
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=20)
        hidden = int(answer.json()["choices"][0]["message"]["content"])
        children = {child.pid for child in server.children()} - {hidden}
        wait_until(lambda: not psutil.pid_exists(hidden), what="it is gone, and was collected")
        assert all(map(is_alive, children))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel gives us orphans on Linux only")
def test_children_that_were_there_before_the_server_are_left_alone(tmp_path: Path) -> None:
    """As of a script that starts something and then becomes the server; and what they orphan."""
    code = (
        "import os, subprocess, sys\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "start = 'import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]);'\n"
        "start += 'print(p.pid, flush=True); time.sleep(600)'\n"
        "command = [sys.executable, '-c', start, *sleep]\n"
        "two = subprocess.Popen(command, env={}, cwd='/', stdout=subprocess.PIPE)\n"
        "print(two.pid, int(two.stdout.readline()), flush=True)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'claude_wrapper', *sys.argv[1:]])\n"
    )
    words = ["serve", "-p", "0", "--demo", "--state-dir", str(tmp_path)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert server.stdout is not None
    parent, child = map(int, server.stdout.readline().split())
    try:
        assert "claude-wrapper" in server.stdout.readline()
        os.kill(parent, signal.SIGKILL)
        wait_until(lambda: psutil.Process(child).ppid() != parent, what="it is an orphan")
        assert psutil.Process(child).ppid() != server.pid
        server.terminate()
        assert server.wait(20) == 0
        assert is_alive(child)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_the_run_of_a_living_server_is_left_alone(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    assert identify(os.getpid()).started
    assert abandoned_runs(tmp_path) == ()
    ledger.close()
    assert reap_orphans(tmp_path).clean


class Collected:
    """A process that has ended and was collected; somebody else may have its number."""

    has_ended = True

    def __init__(self, pid: int) -> None:
        self.pid = pid


def test_a_group_that_got_the_number_of_a_collected_child_is_not_signalled(tmp_path: Path) -> None:
    """Between the end of a child and that of its descendants its number is free."""
    stranger = sleeper()
    try:
        child = Child(Collected(stranger.pid), tmp_path, "", None)  # type: ignore[arg-type]
        child.signal_group(signal.SIGKILL)
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.1)
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_collected_child_left_in_its_group_is_signalled(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=2).pid)"
    words = [sys.executable, "-c", code, sys.executable, "-c", "import time; time.sleep(600)"]
    leader = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE)
    left = int(leader.communicate()[0])
    assert is_alive(left)
    child = Child(Collected(leader.pid), tmp_path, "", None)  # type: ignore[arg-type]
    child.signal_group(signal.SIGKILL)
    wait_until(lambda: not is_alive(left), what="killed")


def test_a_torn_last_line_does_not_hide_the_others(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    child = sleeper(ledger.run_id)
    try:
        ledger.add(child.pid)
        with (ledger.folder / "children.jsonl").open("a") as file:
            file.write('{"event": "sta')
        disown(tmp_path, ledger.run_id)
        [run] = abandoned_runs(tmp_path)
        assert [record.pid for record in run.children] == [child.pid]
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "damage", [b"5\n", b"[]\n", b"null\n", b"\xff\xfe\n", b"\0\0\n", b'{"event": []}\n',
     b'{"event": "started", "pid": "7", "started": 5, "pgid": [], "boot": null}\n']
)  # fmt: skip
def test_a_damaged_ledger_keeps_no_server_from_starting(tmp_path: Path, damage: bytes) -> None:
    """After a power failure files hold anything; what can still be read counts."""
    ledger = open_ledger(tmp_path)
    child = sleeper(ledger.run_id)
    try:
        (ledger.folder / "children.jsonl").write_bytes(damage)
        ledger.add(child.pid)
        disown(tmp_path, ledger.run_id)
        [run] = abandoned_runs(tmp_path)
        assert [record.pid for record in run.children] == [child.pid]
        (ledger.folder / "run.json").write_bytes(damage)
        os.utime(ledger.folder, (0, 0))
        [run] = abandoned_runs(tmp_path)
        assert run.run_id == ledger.run_id
    finally:
        child.kill()
        child.wait()


def test_the_ledger_of_a_server_that_runs_for_months_stays_short(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.add(os.getpid())
    for pid in range(2_000_000_000, 2_000_000_000 + 2 * MOST_LINES):
        ledger.add(pid)
        ledger.remove(pid)
    file = ledger.folder / "children.jsonl"
    assert len(file.read_text().splitlines()) <= MOST_LINES + 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in ledger.folder.iterdir() if path.suffix == ".new"] == []
    disown(tmp_path, ledger.run_id)
    [run] = abandoned_runs(tmp_path)
    assert [record.pid for record in run.children] == [os.getpid()]


def test_a_line_for_which_the_disk_had_no_room_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes a part of a line."""
    ledger = open_ledger(tmp_path)
    whole = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: whole(descriptor, content[:10]))
        with pytest.raises(OSError, match="No space left"):
            ledger.add(os.getpid())
    ledger.add(os.getpid())
    disown(tmp_path, ledger.run_id)
    [run] = abandoned_runs(tmp_path)
    assert [record.pid for record in run.children] == [os.getpid()]


@pytest.mark.parametrize("gone", ["", "run.json", "children.jsonl", "work"])
def test_what_is_removed_beneath_a_server_is_written_anew(tmp_path: Path, gone: str) -> None:
    ledger = open_ledger(tmp_path / "state")
    ledger.add(os.getpid())
    lost = ledger.folder / gone
    shutil.rmtree(tmp_path / "state" if not gone else lost) if lost.is_dir() else lost.unlink()
    ledger.renew()
    assert ledger.work_folder.is_dir()
    assert {path.stat().st_mode & 0o777 for path in (ledger.folder, tmp_path / "state")} == {0o700}
    assert abandoned_runs(tmp_path / "state") == ()
    disown(tmp_path / "state", ledger.run_id)
    [run] = abandoned_runs(tmp_path / "state")
    assert [record.pid for record in run.children] == [os.getpid()]


def test_the_ledger_of_a_server_that_runs_for_months_never_looks_old(tmp_path: Path) -> None:
    """What cleans temporary folders goes by the times of the files."""
    ledger = open_ledger(tmp_path)
    ledger.add(os.getpid())
    files = [ledger.folder / "run.json", ledger.folder / "children.jsonl"]
    for file in files:
        os.utime(file, (1e9, 1e9))
    ledger.renew()
    assert all(file.stat().st_mtime > 1.7e9 for file in files)


def test_after_kill_9_in_mid_stream_the_next_start_reaps_and_says_so(tmp_path: Path) -> None:
    """The leaders die with the server through the kernel; what they started does not."""
    with running_server(tmp_path) as server:
        left = [ask_for_pid(server.url, kind) for kind in ("grandchild", "escapee", "stranger")]
        leaders = [child.pid for child in server.children() if child.pid not in left]
        streaming = threading.Thread(target=read_for_ever, args=(server.url,))
        streaming.start()
        server.stop(signal.SIGKILL)
        streaming.join(20)
        wait_until(lambda: not any(map(is_alive, leaders)), what="the leaders are gone")
        assert all(map(is_alive, left))
    with running_server(tmp_path) as server:
        assert "previous run: unclean, reaped 3" in server.announcement
        assert not any(map(is_alive, left))
        server.stop()
    with running_server(tmp_path) as server:
        assert "previous run: clean" in server.announcement


def ask_for_pid(url: str, kind: str) -> int:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": f"[[{kind}]]"}]}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body).json()
    return int(reply["choices"][0]["message"]["content"])


def read_for_ever(url: str) -> None:
    messages = [{"role": "user", "content": "[[midhang]]"}]
    body = {"model": "sonnet", "messages": messages, "stream": True}
    try:
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            for _ in response.iter_lines():
                pass
    except httpx.HTTPError:
        return


def test_the_state_folder_is_private_even_when_it_was_not(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    ledger = open_ledger(state)
    for folder in (state, ledger.folder, ledger.folder.parent, ledger.work_folder):
        assert folder.stat().st_mode & 0o777 == 0o700
    ledger.close()


@pytest.mark.parametrize(
    ("mode", "inside"), [(0o755, "photos"), (0o1777, ""), (0o1777, "runs")], ids=str
)
def test_a_folder_of_others_is_not_taken_as_state_folder(
    tmp_path: Path, mode: int, inside: str
) -> None:
    """Were `/tmp` made private, nobody else could use the machine."""
    state = tmp_path / "state"
    (state / inside).mkdir(parents=True)
    state.chmod(mode)
    with pytest.raises(OSError, match="name a folder of its own"):
        open_ledger(state)
    assert state.stat().st_mode & 0o7777 == mode


def test_a_volume_with_our_own_things_is_made_private_again(tmp_path: Path) -> None:
    """As an orchestrator hands it over: with what we left in it, and rights for a group."""
    state = tmp_path / "state"
    for name in ("runs", "claude-config", "lost+found"):
        (state / name).mkdir(parents=True)
    (state / "sessions.db").touch()
    state.chmod(0o2770)
    open_ledger(state).close()
    assert state.stat().st_mode & 0o777 == 0o700
