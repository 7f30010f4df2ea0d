"""How the loop hears that a child has ended: by a descriptor, not by a thread for each child.

From Python 3.12 on asyncio does so by itself. Before, every child costs a thread, and where no
thread can be started the child runs on without anybody who would collect it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["children_watched_by_descriptor"]


@contextlib.contextmanager
def children_watched_by_descriptor() -> Iterator[None]:
    """Have the running loop do so until the end of the block, where the system can.

    It is a setting of the whole process: for who owns that.
    """
    if sys.version_info >= (3, 12) or not _has_pidfd():
        yield
        return
    previous = asyncio.get_child_watcher()
    watcher = asyncio.PidfdChildWatcher()
    watcher.attach_loop(asyncio.get_running_loop())
    asyncio.set_child_watcher(watcher)
    try:
        yield
    finally:
        watcher.close()
        asyncio.set_child_watcher(previous)


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        # Another system, an old kernel, or a sandbox that forbids it.
        return False
    return True
