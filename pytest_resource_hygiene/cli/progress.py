"""A bar for what takes longer than two seconds, shown on terminals only.

A library for this one line would be the package's fourth dependency at run time.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

__all__ = ["progress"]

T = TypeVar("T")
_PATIENCE = 2.0
_WIDTH = 30
_STEP = 0.1


def progress(
    items: Sequence[T],
    what: str,
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """Yield the items, and show how many are done once it has taken two seconds.

    Args:
        items: what there is to do.
        what: what is being done, in a word or two.
        stream: standard error if left out; nothing is written to what is no terminal.
        clock: seconds.
    """
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield from items
        return
    began = shown = clock()
    for done, item in enumerate(items):
        now = clock()
        if now - began >= _PATIENCE and now - shown >= _STEP:
            shown = now
            stream.write("\r" + _bar(what, done, len(items)))
            stream.flush()
        yield item
    if shown != began:
        stream.write("\r" + " " * len(_bar(what, len(items), len(items))) + "\r")
        stream.flush()


def _bar(what: str, done: int, total: int) -> str:
    filled = _WIDTH * done // total if total else _WIDTH
    return f"{what} [{'#' * filled}{' ' * (_WIDTH - filled)}] {done:,} of {total:,}"
