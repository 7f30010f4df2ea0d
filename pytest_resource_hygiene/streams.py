"""The standard streams of a command: closed, full, or with a reader who has seen enough."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_full", "prepare_streams", "reader_may_leave", "silence_output"]


def prepare_streams() -> None:
    """Make standard output and error take whatever is printed.

    A stream that is closed (``>&-``) is None in Python and becomes one that drops all; letters that
    a terminal lacks, and names that are no text, are written as escapes.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print on as long as anybody reads: whoever has closed the pipe, as ``head`` does, wants no more.

    What was worked out before the block stays true, so an exit status that stands before it is kept.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()


def silence_output() -> None:
    """Drop what is still to be written; Python would complain of it once more when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def is_full(error: OSError) -> bool:
    """Return whether there was no room for the output: an error of the machine, and of no file."""
    return error.errno == errno.ENOSPC and error.filename is None
