"""Writes to a terminal or pipe that perhaps nobody reads: a full pipe holds its writer up for good."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["write_or_fail"]

# So much fits into a pipe that takes anything at all (PIPE_BUF of Linux).
_PIECE = 4096


def write_or_fail(stream: TextIO, text: str, patience: float = 0.0) -> None:
    """Write a text past the buffer of a stream; a part of it may have been written at a failure.

    Args:
        stream: Standard error, or what stands for it: without a descriptor it is just written to.
        text: What to write.
        patience: Seconds for which a reader may make it wait, for each 4 kB.

    Raises:
        OSError: Nobody reads it (`ETIMEDOUT`), or nobody ever will.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        descriptor = -1
    if descriptor < 0 or not hasattr(select, "poll"):
        stream.write(text)
        stream.flush()
        return
    data = text.encode(stream.encoding or "utf-8", "backslashreplace")
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    while data:
        if not room.poll(patience * 1000):
            raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")
        data = data[os.write(descriptor, data[:_PIECE]) :]
