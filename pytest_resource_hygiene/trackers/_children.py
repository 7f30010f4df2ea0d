"""What the kernel tells of this process's children: who they are, and whether one has ended."""

from __future__ import annotations

import contextlib
import os
import sys

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._proc import start_time

__all__ = ["any_child", "children", "children_of_thread", "is_zombie", "parent_of", "start_of"]

_TASKS = "/proc/self/task"


def any_child() -> int | None:
    """Return None without children, 0 if all are running, else the id of one that has ended."""
    try:
        status = System.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, AttributeError):  # none, or a platform without the function
        return None
    return status.si_pid if status is not None else 0


def children() -> list[int]:
    """Return the process ids of all children, running or ended."""
    pids: list[int] = []
    try:
        for task in System.listdir(_TASKS):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pids += map(int, System.read(f"{_TASKS}/{task}/children").split())
    except OSError:
        import psutil

        return [child.pid for child in psutil.Process().children()]
    return pids


def children_of_thread() -> list[int]:
    """Return the process ids of the children that this thread has started; none where /proc is not."""
    try:
        return [int(pid) for pid in System.read("/proc/thread-self/children").split()]
    except OSError:
        return []


def start_of(pid: int) -> int:
    """Return when a process was started, in clock ticks since boot; 0 where /proc is not.

    Raises:
        OSError: it has ended, and its parent knows.
    """
    return start_time(f"/proc/{pid}/stat") if sys.platform == "linux" else 0


def parent_of(pid: int) -> int:
    """Return the process id of a process's parent.

    Raises:
        OSError: the process has ended, or /proc is not here.
    """
    return int(_status(pid)[1])


def is_zombie(pid: int) -> bool:
    """Return whether a process has ended and its parent has not asked for that."""
    try:
        return _status(pid)[0] == b"Z"
    except OSError:
        return False if sys.platform == "linux" else _is_zombie_by_psutil(pid)


def _is_zombie_by_psutil(pid: int) -> bool:
    import psutil

    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return False


def _status(pid: int) -> list[bytes]:
    """Return the fields of proc_pid_stat(5) from the third on: state, parent and so forth."""
    return System.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
