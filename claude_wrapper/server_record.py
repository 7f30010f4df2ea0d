"""The PID file: which server runs on which port, told apart from a stranger that got its pid.

One file for each port in the private state folder, written by the server once it listens and
removed when it ends. A file whose process is gone is the trace of a run that was killed.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from claude_wrapper.claude.identity import ProcessIdentity, identify, is_running
from claude_wrapper.lifecycle.folders import keep_young
from claude_wrapper.lifecycle.stored import from_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "ServerRecord",
    "describe_self",
    "find_rival",
    "read_records",
    "remove_stale",
    "signal_server",
]

PATTERN = "server-*.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """One server.

    Attributes:
        started: When the process started, as the kernel counts; with `boot` it tells a later
            process with the same pid apart.
        since: Unix time, for display.
        needs_key: Whether clients must show a key. The keys themselves are nowhere on disk.
        arguments: The flags it was started with, for `restart`.
        shutdown_timeout: Seconds it may take to stop.
        log_file: Where it logs; "" is standard error.
        previous_run: How the run before it ended.
    """

    pid: int
    started: str
    boot: str
    host: str
    port: int
    since: float
    needs_key: bool
    arguments: tuple[str, ...]
    shutdown_timeout: float
    log_file: str
    previous_run: str

    @property
    def identity(self) -> ProcessIdentity:
        """The process, to be looked for."""
        return ProcessIdentity(pid=self.pid, started=self.started, boot=self.boot)

    @property
    def is_running(self) -> bool:
        """Whether this very process still runs."""
        return is_running(self.identity)

    @property
    def url(self) -> str:
        """Where it can be reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def path(self, state_folder: Path) -> Path:
        """The file of this record."""
        return state_folder / f"server-{self.port}.json"

    def write(self, state_folder: Path) -> None:
        """Put it on disk, readable by its user only, whole or not at all.

        Raises:
            OSError: The folder cannot be written.
        """
        draft = state_folder / f".server-{self.port}.{self.pid}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, json.dumps(asdict(self)).encode())
        finally:
            os.close(descriptor)
        draft.replace(self.path(state_folder))

    def renew(self, state_folder: Path) -> None:
        """Write it again where somebody has removed it, or keep it from looking old.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self.path(state_folder)
        if _read(path) is None:
            self.write(state_folder)
        keep_young(path)

    def remove(self, state_folder: Path) -> None:
        """Take it away again, unless another server has written its own meanwhile."""
        if _read(self.path(state_folder)) == self:
            with suppress(OSError):
                self.path(state_folder).unlink()


def describe_self(
    *, host: str, port: int, needs_key: bool, arguments: Sequence[str],
    shutdown_timeout: float, log_file: str, previous_run: str,
) -> ServerRecord:  # fmt: skip
    """The record of the running process."""
    return ServerRecord(
        **asdict(identify(os.getpid())), host=host, port=port, since=time.time(),
        needs_key=needs_key, arguments=tuple(arguments), shutdown_timeout=shutdown_timeout,
        log_file=log_file, previous_run=previous_run,
    )  # fmt: skip


def read_records(state_folder: Path) -> tuple[ServerRecord, ...]:
    """All records that can be read, by port, of running servers and of killed ones."""
    found = (_read(path) for path in state_folder.glob(PATTERN))
    return tuple(sorted((record for record in found if record), key=lambda record: record.port))


def find_rival(record: ServerRecord, state_folder: Path) -> ServerRecord | None:
    """Another server that runs and has the place of this record."""
    other = _read(record.path(state_folder))
    if other is None or other.identity == record.identity or not other.is_running:
        return None
    return other


def remove_stale(state_folder: Path) -> None:
    """Remove the records of servers that were killed."""
    for record in read_records(state_folder):
        if not record.is_running:
            record.remove(state_folder)


def signal_server(record: ServerRecord, number: signal.Signals) -> bool:
    """Signal the recorded process; False when it, and not just its pid, no longer exists."""
    if not hasattr(os, "pidfd_open"):
        return record.is_running and _kill(record.pid, number)
    try:
        descriptor = os.pidfd_open(record.pid)
    except OSError:
        return False
    try:
        # The descriptor is held before the look at the start time: what is seen is what is hit.
        if not record.is_running:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _kill(pid: int, number: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _read(path: Path) -> ServerRecord | None:
    try:
        return from_json(ServerRecord, path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
