"""Logging of the server: one handler, with rotation and redaction, gone when it stops."""

from __future__ import annotations

import logging
import re
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["start_logging"]

LOGGER_NAMES = ("claude_wrapper", "uvicorn")
FILE_BYTES = 10 * 1000 * 1000
# Four old files beside the current one: five in all.
OLD_FILES = 4
SECRETS = re.compile(
    r"(?i)(sk-ant-[\w-]{4})[\w-]+|((?:authorization|x-api-key|cookie)['\"]?\s*[:=]\s*['\"]?(?:bearer\s+)?)[^\s'\",}]+"
)


class RedactingFormatter(logging.Formatter):
    """Formats a record, tracebacks included, and blanks what looks like a secret."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line to write."""
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return SECRETS.sub(lambda match: f"{match[1] or match[2]}[redacted]", text)


def start_logging(level: str, file: str, secrets: tuple[str, ...]) -> Callable[[], None]:
    """Log the server's own loggers to a file or to standard error; the returned function undoes it.

    Raises:
        SettingsError: The file cannot be opened.
    """
    handler = _handler(file)
    handler.setFormatter(RedactingFormatter(secrets))
    before = [
        (logger, logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGER_NAMES)
    ]
    for logger, _, _ in before:
        logger.addHandler(handler)
        logger.setLevel(level.upper())
        logger.propagate = False

    def undo() -> None:
        for logger, old_level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate
        handler.close()

    return undo


def _handler(file: str) -> logging.Handler:
    if not file:
        return logging.StreamHandler(sys.stderr)
    path = Path(file).expanduser()
    try:
        return RotatingFileHandler(
            path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8"
        )
    except OSError as error:
        raise SettingsError(f"--log-file {file!r} cannot be written: {error.strerror}") from None
