"""Which child processes there are, without a walk over all processes of the machine."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

__all__ = ["child_pids"]

TASKS = "/proc/self/task"


def child_pids() -> tuple[int, ...]:
    """The direct children, those that only wait to be collected included, by pid."""
    lists = _lists()
    # Not by pathlib, which interns every name, and threads come and go.
    if not lists or not os.path.exists(lists[0]):  # noqa: PTH110
        return tuple(sorted(child.pid for child in psutil.Process().children()))
    pids: set[int] = set()
    for path in lists:
        # A thread that has ended since has no children: they are another's now.
        with suppress(OSError), open(path, encoding="ascii") as file:  # noqa: PTH123
            pids.update(map(int, file.read().split()))
    return tuple(sorted(pids))


def _lists() -> list[str]:
    """The files in which Linux lists the children, one for each thread; none elsewhere."""
    try:
        with os.scandir(TASKS) as threads:
            return [f"{thread.path}/children" for thread in threads]
    except OSError:
        return []
