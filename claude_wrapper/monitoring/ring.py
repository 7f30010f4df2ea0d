"""The newest log lines in memory: bounded by number and by bytes."""

from __future__ import annotations

import logging
import threading
from collections import deque

__all__ = ["LogRing"]

ENTRIES = 1000
ENTRY_BYTES = 2000


class LogRing(logging.Handler):
    """Keeps the last 1000 formatted lines of up to 2000 bytes each, so 2 MB at most."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=ENTRIES)
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        line = self.format(record).encode("utf-8", "replace")[:ENTRY_BYTES]
        with self._guard:
            self._lines.append(line.decode("utf-8", "ignore"))

    def newest(self, count: int) -> list[str]:
        """The last `count` lines, oldest first."""
        with self._guard:
            lines = list(self._lines)
        return lines[-count:] if count > 0 else []
