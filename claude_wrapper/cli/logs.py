"""`logs`: the end of the log of a server in the background, and what comes."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from claude_wrapper.cli.daemon import log_path
from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from claude_wrapper.server_record import ServerRecord

__all__ = ["show"]

LOOK_INTERVAL = 0.2


def show(
    state: Path, record: ServerRecord | None, port: int | None, *, lines: int, follow: bool
) -> int:
    """Print the last lines, and go on with what is added when asked to; the exit code.

    Raises:
        SettingsError: There is no log file.
    """
    path = _path(state, record, port)
    if not path.is_file():
        raise SettingsError(
            f"there is no log at {path}; a server in the foreground logs to standard error "
            "unless it has --log-file"
        )
    with path.open(encoding="utf-8", errors="replace") as file:
        sys.stdout.writelines(deque(file, maxlen=max(lines, 0)))
        position = file.tell()
    sys.stdout.flush()
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(path, position)
    return 0


def _path(state: Path, record: ServerRecord | None, port: int | None) -> Path:
    """The log of the running server; of a stopped one on that port, or of the last of all."""
    if record is not None and record.log_file:
        return Path(record.log_file)
    if record is not None:
        port = record.port
    if port is not None:
        return log_path(state, port)
    found = state.glob("server-*.log")
    return max(found, key=lambda path: path.stat().st_mtime, default=state / "server-PORT.log")


def _follow(path: Path, position: int) -> None:
    while True:
        # Opened anew each time: the rotation puts another file in its place.
        with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
            if path.stat().st_size < position:
                position = 0
            file.seek(position)
            sys.stdout.writelines(file)
            sys.stdout.flush()
            position = file.tell()
        time.sleep(LOOK_INTERVAL)
