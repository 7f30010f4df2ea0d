"""Logging of the server: one queue, one writing thread, rotation, redaction; gone when it stops.

Code that logs only puts a record into a bounded queue, so a slow disk never holds up the loop. The
thread that empties the queue is on the tracker's list like every other.
"""

from __future__ import annotations

import logging
import queue
from contextlib import suppress
from logging.handlers import QueueHandler
from pathlib import Path
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError
from claude_wrapper.lifecycle.redaction import redacted
from claude_wrapper.monitoring.log_writers import FileWriter, LogWriter, TerminalWriter
from claude_wrapper.monitoring.ring import LogRing

if TYPE_CHECKING:
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["ServerLogs", "start_logging"]

LOGGER_NAMES = ("claude_wrapper", "uvicorn")
WAITING_RECORDS = 10_000
# Longer lines are cut: what a client sent must not fill the log.
LINE_LENGTH = 16_000
FLUSH_PATIENCE = 1.0


class RedactingFormatter(logging.Formatter):
    """Formats a record, tracebacks included, blanks what looks like a secret, and cuts it short."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line to write."""
        text = redacted(super().format(record), self._secrets)
        if len(text) > LINE_LENGTH:
            text = f"{text[:LINE_LENGTH]}… ({len(text) - LINE_LENGTH} more characters)"
        return text


class _Doorway(QueueHandler):
    """Puts records into the queue; when it is full, they are counted and dropped."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__(records)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class ServerLogs:
    """The running log of one server.

    Attributes:
        ring: The newest lines, in memory.
    """

    def __init__(
        self, tracker: ResourceTracker, level: str, file: str, secrets: tuple[str, ...]
    ) -> None:
        self.ring = LogRing()
        self._file = file
        self._formatter = RedactingFormatter(secrets)
        self._handler = self._opened()
        self.ring.setFormatter(self._formatter)
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(WAITING_RECORDS)
        self._doorway = _Doorway(self._queue)
        loggers = map(logging.getLogger, LOGGER_NAMES)
        self._before = [(logger, logger.level, logger.propagate) for logger in loggers]
        for logger, _, _ in self._before:
            logger.addHandler(self._doorway)
            logger.setLevel(level.upper())
            logger.propagate = False
        self._writer = tracker.thread(self._write, name="log-writer")
        self._is_stopped = False

    @property
    def dropped(self) -> int:
        """Lines lost because the log could not be written, or not as fast as they came."""
        return self._doorway.dropped + self._handler.lost

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return self._queue.qsize()

    def stop(self) -> None:
        """Write what waits, end the thread, put the loggers back; twice is harmless."""
        if self._is_stopped:
            return
        self._is_stopped = True
        for logger, level, propagate in self._before:
            logger.removeHandler(self._doorway)
            logger.setLevel(level)
            logger.propagate = propagate
        self._end_writer()
        if self._writer.is_alive():
            # The disk hangs: closing the file would hang, too. The verification will name both.
            return
        for handler in (self._handler, self.ring, self._doorway):
            handler.close()

    def _end_writer(self) -> None:
        with suppress(queue.Full):
            self._queue.put(None, timeout=FLUSH_PATIENCE)
            self._writer.join(FLUSH_PATIENCE)
        if self._writer.is_alive():
            with suppress(queue.Empty):
                while True:
                    self._doorway.dropped += self._queue.get_nowait() is not None
            self._queue.put(None)
            self._writer.join(FLUSH_PATIENCE)

    def write_last(self, level: int, text: str) -> None:
        """One line after `stop`: the verdict on what is left cannot be left behind itself."""
        handler = self._opened()
        try:
            handler.handle(logging.LogRecord(LOGGER_NAMES[0], level, "", 0, text, None, None))
        finally:
            handler.close()

    def _opened(self) -> LogWriter:
        handler = _open_handler(self._file)
        handler.setFormatter(self._formatter)
        return handler

    def _write(self) -> None:
        while (record := self._queue.get()) is not None:
            self._handler.handle(record)
            self.ring.handle(record)


def start_logging(
    tracker: ResourceTracker, level: str, file: str, secrets: tuple[str, ...]
) -> ServerLogs:
    """Log the server's own loggers to a file (10 MB x 5) or to standard error.

    Raises:
        SettingsError: The file cannot be opened.
    """
    return ServerLogs(tracker, level, file, secrets)


def _open_handler(file: str) -> LogWriter:
    if not file:
        return TerminalWriter()
    try:
        return FileWriter(str(Path(file).expanduser()))
    except OSError as error:
        raise SettingsError(f"--log-file {file!r} cannot be written: {error.strerror}") from None
