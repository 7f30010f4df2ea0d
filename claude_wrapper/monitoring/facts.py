"""What the operating system says about this process and its children, cheaply."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from claude_wrapper.lifecycle.children import child_pids

__all__ = ["ChildFacts", "ProcessFacts", "ProcessReader", "memory_limit"]

FDS = "/proc/self/fd"
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFacts:
    """One child: memory in bytes, age in seconds."""

    pid: int
    rss: int
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """This process, without its children; sizes in bytes, shares in percent of one CPU or disk.

    Attributes:
        uss: Memory that only this process uses; 0 where the system does not say.
        load: The one-minute load of the machine.
        children: The CLI processes, counted apart.
    """

    rss: int
    uss: int
    cpu_percent: float
    load: float
    fds: int
    sockets: int
    threads: int
    tasks: int
    disk_percent: float
    children: tuple[ChildFacts, ...]

    @property
    def children_rss(self) -> int:
        """Memory of all children together, in bytes."""
        return sum(child.rss for child in self.children)


class ProcessReader:
    """Reads the facts; the CPU share is since the reading before.

    Args:
        folder: On the disk whose fill level matters: the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._process = psutil.Process()
        self._folder = folder

    def read(self) -> ProcessFacts:
        """The facts of this moment; two or three milliseconds."""
        with self._process.oneshot():
            fds, sockets = _descriptors(self._process)
            return ProcessFacts(
                rss=self._process.memory_info().rss,
                uss=_uss(self._process),
                cpu_percent=self._process.cpu_percent(),
                load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
                fds=fds,
                sockets=sockets,
                threads=threading.active_count(),
                tasks=_task_count(),
                disk_percent=_disk_percent(self._folder),
                children=self.children(),
            )

    def children(self) -> tuple[ChildFacts, ...]:
        """The direct children that are alive now."""
        now = time.time()
        found = []
        for pid in child_pids():
            with suppress(psutil.Error, OSError):
                child = psutil.Process(pid)
                age = max(0.0, now - child.create_time())
                found.append(ChildFacts(pid=child.pid, rss=child.memory_info().rss, age=age))
        return tuple(found)


def memory_limit(given: int) -> int:
    """The bytes this process may use: as given, the control group's, or all of the machine."""
    if given:
        return given
    total = int(psutil.virtual_memory().total)
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            return min(total, int(path.read_text(encoding="ascii")))
    return total


def _uss(process: psutil.Process) -> int:
    try:
        facts: Any = process.memory_full_info()
    except (psutil.Error, NotImplementedError):
        return 0
    return int(getattr(facts, "uss", 0))


def _descriptors(process: psutil.Process) -> tuple[int, int]:
    if not os.path.isdir(FDS):  # noqa: PTH112  # see `identity`: pathlib interns every name
        count: Any = getattr(process, "num_fds", None) or getattr(process, "num_handles", int)
        return int(count()), len(process.net_connections())
    with os.scandir(FDS) as listing:
        entries = [entry.path for entry in listing]
    targets = []
    for entry in entries:
        # The descriptor of the listing itself is gone by now.
        with suppress(OSError):
            targets.append(os.readlink(entry))  # noqa: PTH115
    return len(targets), sum(target.startswith("socket:") for target in targets)


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


def _disk_percent(folder: Path) -> float:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return 0.0
    return 100.0 * usage.used / usage.total if usage.total else 0.0
