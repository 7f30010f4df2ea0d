"""Specimens of the kinds whose trackers make none of their own.

In somebody's test run, importing asyncio, running a loop or starting a native thread only to prove a
point would change what is tested. In a command of its own nothing speaks against it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_resource_hygiene.api import Snapshot
from pytest_resource_hygiene.trackers.memory import allocated_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["SPECIMENS", "is_memory_seen", "is_seen"]


@contextmanager
def _loop() -> Iterator[object]:
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


@contextmanager
def _task() -> Iterator[object]:
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.sleep(3600))
    try:
        yield task
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


@contextmanager
def _dropped_file() -> Iterator[object]:
    Path(__file__).open(encoding="utf-8")  # noqa: SIM115 - dropping it is the point
    gc.collect()
    yield None


@contextmanager
def _native_thread() -> Iterator[object]:
    library = ctypes.CDLL(None)
    handle = ctypes.c_ulong()
    if library.pthread_create(ctypes.byref(handle), None, library.pause, None):
        raise OSError("pthread_create failed")
    try:
        yield handle
    finally:
        library.pthread_cancel(handle)
        library.pthread_join(handle, None)


SPECIMENS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "loops": _loop,
    "tasks": _task,
    "unclosed": _dropped_file,
}
if sys.platform == "linux":
    SPECIMENS["native_threads"] = _native_thread


def is_seen(kind: str) -> bool:
    """Return whether the engine, from snapshot to finding, sees a specimen of that kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # which is heard, and need not be shown
        with Snapshot([kind], grace=0) as before, SPECIMENS[kind]():
            return any(leak.kind == kind for leak in before.leaks())


def is_memory_seen() -> bool:
    """Return whether the count of blocks, which the kind ``memory`` goes by, follows what is kept."""
    before = allocated_blocks()
    kept = [object() for _ in range(10_000)]
    return allocated_blocks() - before >= len(kept)
