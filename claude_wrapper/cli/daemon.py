"""A server in the background: start it and see it listen, stop it and see it gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError
from claude_wrapper.lifecycle.folders import private_state_folder
from claude_wrapper.server_record import read_records, signal_server
from claude_wrapper.settings import OPTIONS, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from claude_wrapper.cli.keys import ChosenKey
    from claude_wrapper.server_record import ServerRecord
    from claude_wrapper.settings import Option, WrapperSettings

__all__ = ["as_arguments", "log_path", "restart", "start", "stop"]

START_DEADLINE = 60.0
LOOK_INTERVAL = 0.02
# Beyond the time that the server promises to need; then it is forced, and at last killed.
STOP_SLACK = 2.0
FORCE_DEADLINE = 2.0
KEY_VARIABLE = "CLAUDE_WRAPPER_API_KEY"


def log_path(state: Path, port: int) -> Path:
    """Where a server in the background logs, each its own: two cannot rotate one file."""
    return state / f"server-{port}.log"


def as_arguments(flags: Mapping[str, str | None], *, demo: bool) -> tuple[str, ...]:
    """The flags as words for `serve`, keys left out: other users can read a command line."""
    given = [
        f"{option.flag}={_as_word(option, value)}"
        for option in OPTIONS
        if not option.secret and (value := flags.get(option.name)) is not None
    ]
    return (*given, *(("--demo",) if demo else ()))


def _as_word(option: Option, value: str) -> str:
    """A restart may come from another folder, where a relative path would lead elsewhere."""
    try:
        return str(option.parse(value)) if option.is_path else value
    except SettingsError as error:
        raise SettingsError(f"{option.flag} {error}") from None


def start(settings: WrapperSettings, words: Sequence[str], *, key: ChosenKey) -> int:
    """Start a server in the background and wait until it listens; the exit code.

    Args:
        settings: What it will be told, already checked.
        words: The same as words for `serve`.
        key: Its key from the command line; handed over in the environment.

    Raises:
        OSError: The state folder cannot be used.
    """
    state = private_state_folder(settings.state_path)
    with _one_start_at_a_time(state):
        return _start(state, settings, words, key)


def _start(state: Path, settings: WrapperSettings, words: Sequence[str], key: ChosenKey) -> int:
    running = _running_on(state, settings.port)
    if running is not None:
        same = "; it goes on as it is, and this key is not in force" if key.text else ""
        sys.stdout.write(f"already running: pid {running.pid}, {running.url}{same}\n")
        return 0
    if not settings.log_file:
        words = (*words, f"--log-file={log_path(state, settings.port)}")
    output = state / f"daemon-{settings.port}.out"
    process = _spawn(words, output, key.text)
    record = _await_listening(process, state)
    if record is None:
        sys.stderr.write(_last_words(output))
        return process.returncode or 1
    key.show()
    # It goes on without us; without this its handle would complain that nobody waited for it.
    process.returncode = 0
    sys.stdout.write(f"started: pid {record.pid}, {record.url}\n")
    return 0


def stop(record: ServerRecord) -> int:
    """Stop a server and wait until it is gone; the exit code."""
    stages = (
        (signal.SIGTERM, record.shutdown_timeout + STOP_SLACK, "stopped"),
        (signal.SIGTERM, FORCE_DEADLINE, "stopped, after a second signal"),
        (signal.SIGKILL, FORCE_DEADLINE, "killed; the next start cleans up after it"),
    )
    for number, patience, words in stages:
        signal_server(record, number)
        if _await_gone(record, patience):
            sys.stdout.write(f"{words}: pid {record.pid}\n")
            return 0
    sys.stderr.write(f"claude-wrapper: process {record.pid} cannot be ended\n")
    return 1


def restart(record: ServerRecord | None, words: Sequence[str], *, key: ChosenKey) -> int:
    """Stop the server, if there is one, and start one in the background with these words.

    Raises:
        SettingsError: The words cannot be used, or the running server requires a key that would
            be lost; it then goes on.
    """
    from claude_wrapper.cli.parser import build_parser

    parsed = build_parser().parse_args(["serve", *words])
    flags = {option.name: getattr(parsed, option.name, None) for option in OPTIONS}
    settings = load_settings({**flags, "api_key": key.text})
    if record is not None and record.needs_key and not settings.api_key:
        raise SettingsError(
            "the running server requires a key that is not known here: give --generate-key, "
            f"--api-key-file or {KEY_VARIABLE}; nothing was stopped"
        )
    code = 0 if record is None else stop(record)
    return code or start(settings, tuple(words), key=key)


@contextmanager
def _one_start_at_a_time(state: Path) -> Iterator[None]:
    """Two at once would ask for one port and write into one file; the second waits and sees."""
    if os.name != "posix":
        yield
        return
    import fcntl

    descriptor = os.open(state, os.O_RDONLY)
    try:
        # Where a folder cannot be locked, as on some network shares, the port decides.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _running_on(state: Path, port: int) -> ServerRecord | None:
    for record in read_records(state):
        if record.port == port and record.is_running:
            return record
    return None


def _spawn(words: Sequence[str], output: Path, key: str | None) -> subprocess.Popen[bytes]:
    environ = {**os.environ, **({KEY_VARIABLE: key} if key else {})}
    # Few arenas keep the memory of a long-lived process flat.
    environ.setdefault("MALLOC_ARENA_MAX", "2")
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "claude_wrapper", "serve", *words],
            stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, env=environ,
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(descriptor)


def _await_listening(process: subprocess.Popen[bytes], state: Path) -> ServerRecord | None:
    """The record that the new server wrote; None when it ended instead."""
    ends_at = time.monotonic() + START_DEADLINE
    while process.poll() is None:
        for record in read_records(state):
            if record.pid == process.pid and record.is_running:
                return record
        if time.monotonic() > ends_at:
            process.kill()
            process.wait()
            return None
        time.sleep(LOOK_INTERVAL)
    return None


def _await_gone(record: ServerRecord, patience: float) -> bool:
    ends_at = time.monotonic() + patience
    while record.is_running:
        if time.monotonic() > ends_at:
            return False
        time.sleep(LOOK_INTERVAL)
    return True


def _last_words(output: Path) -> str:
    """Why it ended: the last line, which is its error."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"{lines[-1] if lines else 'claude-wrapper: the server ended without a word'}\n"
