"""Reads a source file whatever it contains: text, or a reason why it cannot be judged."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from pathlib import Path

__all__ = ["LARGEST", "Unreadable", "parse", "read_source"]

#: Larger files are generated, and no person mends them (bytes).
LARGEST = 4 * 1024 * 1024


class Unreadable(Exception):  # noqa: N818 -- says what the file is
    """A file cannot be judged.

    Attributes:
        line, column: where, counted from 1.
    """

    def __init__(self, reason: str, line: int = 1, column: int = 1) -> None:
        """Keep the reason and the place."""
        self.line = max(1, line)
        self.column = max(1, column)
        super().__init__(reason)


def read_source(path: str) -> str:
    """Return the text of a file, decoded as Python would.

    Raises:
        Unreadable: it is too large, cannot be opened, or is no text in the encoding that it names.
    """
    try:
        file = Path(path)
        if file.stat().st_size > LARGEST:
            raise Unreadable(f"larger than {LARGEST // 1024 // 1024} MiB, not read: exclude it")
        data = file.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    return _decoded(data)


def _decoded(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.IncrementalNewlineDecoder(None, translate=True).decode(data.decode(encoding))
    except SyntaxError as error:
        raise Unreadable(f"its encoding is unknown: {error.msg}") from error
    except (UnicodeError, LookupError) as error:
        raise Unreadable(f"is no text in the encoding that it names: {error}") from error


def parse(text: str) -> ast.Module:
    """Return the syntax tree.

    Raises:
        Unreadable: this Python cannot parse it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in strings are another linter's business
            return ast.parse(text)
    except SyntaxError as error:
        raise Unreadable(_syntax_message(error), error.lineno or 1, error.offset or 1) from error
    except ValueError as error:  # NUL bytes
        raise Unreadable(f"cannot be parsed: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise Unreadable("cannot be parsed: it is nested too deeply") from error


def _syntax_message(error: SyntaxError) -> str:
    import sys

    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"cannot be parsed by Python {version}: {error.msg}; if it is written for a newer one, run the "
        f"lint on that (pre-commit: language_version)"
    )
