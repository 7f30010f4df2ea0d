"""Real servers as real processes, for the tests that look from outside."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from claude_wrapper.testing import FAKE_CLAUDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = re.compile(r"on (http://\S+)")
PATIENCE = 20.0


@dataclass
class RunningServer:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    announcement: str
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def write_fake_cli(folder: Path, *flags: str) -> Path:
    """An executable named `claude` that runs the fake one with these flags."""
    script = folder / "claude"
    words = " ".join(flags)
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_CLAUDE}" {words} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def scrubbed_environment(**more: str) -> dict[str, str]:
    """What a child of the tests may see: no key, no settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


@contextlib.contextmanager
def running_server(
    folder: Path, *flags: str, cli: Path | None = None, stderr: int | None = None, **env: str
) -> Iterator[RunningServer]:
    """Start a server on a free port, wait until it has said where, and end it afterwards.

    Its standard error goes to `server.log` in the folder, or to a descriptor.
    """
    script = cli or write_fake_cli(folder)
    command = [
        sys.executable, "-m", "claude_wrapper", "serve", "--port", "0",
        "--state-dir", str(folder / "state"), "--cli-path", str(script), *flags,
    ]  # fmt: skip
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            command, env=scrubbed_environment(HOME=str(folder), **env), text=True,
            stdout=subprocess.PIPE, stderr=log if stderr is None else stderr,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = URL.search(line)
        assert match, f"no start-up line: {line!r}\n{(folder / 'server.log').read_text()}"
        yield RunningServer(process, match[1], line, folder / "server.log")
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_until(claim: Callable[[], object], *, what: str) -> None:
    """Look again and again until the claim holds; fail after a generous while."""
    ends_at = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < ends_at, f"still not true: {what}"
        time.sleep(0.01)


def suspend(pid: int) -> None:
    """Stop a process, and see it stopped: a SIGTERM that comes before that would be obeyed."""
    process = psutil.Process(pid)
    process.suspend()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, what=f"{pid} is stopped")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
