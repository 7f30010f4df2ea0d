"""Checks many files, in several processes where that is faster."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.check import FileResult, check_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FEWEST_FOR_POOL", "check_files"]

Job = tuple[str, frozenset[str]]
#: Below this, starting a process costs more than it saves.
FEWEST_FOR_POOL = 150
_CHUNK = 25


def check_files(
    jobs: Sequence[Job], *, processes: int | None = None, tell: Callable[[int], None] | None = None
) -> list[FileResult]:
    """Check files and return the results in the same order.

    Args:
        jobs: path and codes for each file.
        processes: how many; by default one for each processor that we may use.
        tell: called with the number of files done so far.
    """
    count = processes or _processors()
    if count < 2 or len(jobs) < FEWEST_FOR_POOL:
        return [_checked(job, number, tell) for number, job in enumerate(jobs, 1)]
    from concurrent.futures import ProcessPoolExecutor  # costs 20 ms, needed by few runs

    results: list[FileResult] = []
    with ProcessPoolExecutor(count) as pool:
        for result in pool.map(_check, jobs, chunksize=_CHUNK):
            results.append(result)
            if tell is not None:
                tell(len(results))
    return results


def _checked(job: Job, number: int, tell: Callable[[int], None] | None) -> FileResult:
    result = _check(job)
    if tell is not None:
        tell(number)
    return result


def _check(job: Job) -> FileResult:
    """Check one file, with the garbage collector at its end.

    Trees are many objects that live for a moment: collecting while they grow costs as much as
    parsing, collecting the young ones once costs next to nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return check_file(*job)
    finally:
        gc.collect(0)
        if was_enabled:
            gc.enable()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
