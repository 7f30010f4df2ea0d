"""Orphans of our descendants come to us on Linux: what hides from every other look shows up there.

A process that left its group, cleared its environment and changed its folder has nothing that
tells whose it is. When its parent ends, however, the kernel gives it to the nearest ancestor that
asked for that (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Only a process without any children asks here:
from then on every direct child that it did not start descends from one that it did. The first
process of a container does not ask: it is given the orphans of others as well.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from claude_wrapper.claude.identity import ProcessIdentity, identify, is_zombie
from claude_wrapper.lifecycle.children import child_pids

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.lifecycle.tracker import Tracking

__all__ = ["Subreaper", "become_subreaper", "retire_subreaper"]

logger = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER = 36
# A process that is just being started is on no list yet; it is by the second look.
SECOND_LOOK = 0.05
PATIENCE = 1.0
INTERVAL = 5.0


def become_subreaper() -> bool:
    """Have the kernel give us what our descendants orphan; False where that cannot be told apart.

    `retire_subreaper` is the undo.
    """
    if sys.platform != "linux" or os.getpid() == 1 or child_pids():
        return False
    return _set_subreaper(1)


def retire_subreaper() -> None:
    """Orphans go to whoever would have had them without us."""
    _set_subreaper(0)


def _set_subreaper(value: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_CHILD_SUBREAPER, value, 0, 0, 0) == 0)


class Subreaper:
    """Ends and collects what was adopted. Call it in the loop: what starts processes is there, too.

    Args:
        tracker: Lists the children that we started.
        is_marked: Whether a process shows itself whose it is: it may live as long as that one.
    """

    def __init__(self, tracker: ResourceTracker, is_marked: Callable[[int], bool]) -> None:
        self._tracker = tracker
        self._is_marked = is_marked
        self._marked: dict[int, Tracking] = {}

    def start(self) -> None:
        """Look every five seconds: who ends by itself must be collected, too."""
        self._tracker.every(INTERVAL, self.look, name="subreaper")

    async def look(self) -> None:
        """End what hides, collect what has ended."""
        first = self._adopted()
        if first:
            await asyncio.sleep(SECOND_LOOK)
            victims = {one.pid for one in first & self._adopted() if not self._may_live(one.pid)}
            await self._collect(victims)
        for pid in set(self._marked) - {one.pid for one in self._adopted()}:
            self._marked.pop(pid).done()

    def kill_now(self) -> None:
        """Kill all, marked or not, without waiting: the last resort before an exit."""
        for one in self._adopted():
            _kill(one.pid)

    def _adopted(self) -> set[ProcessIdentity]:
        """The direct children that we did not start."""
        started = {int(child.name.rpartition(" ")[2]) for child in self._tracker.list("child")}
        strange = set(child_pids()) - (started - set(self._marked))
        return {identify(pid) for pid in strange}

    def _may_live(self, pid: int) -> bool:
        """Kill it, unless it has ended or shows whose it is."""
        if is_zombie(pid):
            return False
        if self._is_marked(pid):
            if pid not in self._marked:
                self._marked[pid] = self._tracker.track("child", f"stray {pid}", lambda: None)
            return True
        logger.warning("process %d hid itself and lost its parent; it is ended", pid)
        _kill(pid)
        return False

    async def _collect(self, pids: set[int]) -> None:
        ends_at = time.monotonic() + PATIENCE
        while pids and time.monotonic() < ends_at:
            pids = {pid for pid in pids if not _is_collected(pid)}
            await asyncio.sleep(0.005 if pids else 0)


def _kill(pid: int) -> None:
    # Nobody but us collects our children, so the number is still its own.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _is_collected(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
