"""Where the lines of the log go, and what becomes of those that cannot be written.

The standard handlers print a traceback for each such line, and raise when they are closed: a full
disk would fill the terminal and cost the server its orderly end.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler

from claude_wrapper.lifecycle.terminal import write_or_fail

__all__ = ["FileWriter", "LogWriter", "TerminalWriter"]

FILE_BYTES = 10 * 1000 * 1000
# Seconds for which a reader of standard error may be busy with something else.
READERS_PATIENCE = 1.0
# Four old files beside the current one: five in all.
OLD_FILES = 4


class LogWriter(logging.Handler):
    """Counts the lines that the system does not take, and says so once until it takes them again.

    Attributes:
        lost: How many.
    """

    lost = 0
    _is_failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        before = self.lost
        super().emit(record)
        if self.lost == before:
            self._is_failing = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """A line could not be written; the error is the one that is being handled."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            # A mistake of ours.
            super().handleError(record)
            return
        self.lost += 1
        if not self._is_failing:
            self._is_failing = True
            self.tell(error.strerror or str(error))

    def tell(self, reason: str) -> None:
        """Say elsewhere why lines are lost from now on."""

    def close(self) -> None:
        """Close it, whatever is still to be written and cannot be."""
        with suppress(OSError):
            super().close()


class FileWriter(LogWriter, RotatingFileHandler):
    """To a file of 10 MB, with four older ones beside it.

    Where somebody else has moved or removed the file (logrotate, for one), a new one is begun.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802  # logging's own name
        """Whether the file is full; asked before each line, so that also where it is is looked at."""
        stream = self.stream
        if stream is not None and not self._is_in_place(stream.fileno()):
            self.stream = None
            # What it could not write before is counted as lost already.
            with suppress(OSError):
                stream.close()
        return super().shouldRollover(record)

    def _is_in_place(self, descriptor: int) -> bool:
        """Whether what is open is still what the name of the log leads to."""
        try:
            named = os.stat(self.baseFilename)  # noqa: PTH116  # pathlib interns parts of paths
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def tell(self, reason: str) -> None:
        """On standard error."""
        with suppress(OSError):
            write_or_fail(
                sys.stderr,
                f"claude-wrapper: the log {self.baseFilename} cannot be written ({reason}); "
                "lines are lost until it can\n",
            )


class TerminalWriter(LogWriter, logging.StreamHandler):  # type: ignore[type-arg]
    """To standard error, which may be a pipe that nobody reads any more."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or count it as lost."""
        before = self.lost
        try:
            patience = 0.0 if self._is_failing else READERS_PATIENCE
            write_or_fail(self.stream, self.format(record) + self.terminator, patience)
        except Exception:  # noqa: BLE001  # as logging's own handlers do
            self.handleError(record)
        if self.lost == before:
            self._is_failing = False
