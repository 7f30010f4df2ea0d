"""What a worker of a pool is doing: one that runs a job is not idle."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_resource_hygiene.objects import attribute_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.origins.places import Places

__all__ = ["is_at_work", "workers_among"]

_POOL = "concurrent/futures/thread.py"
_frames = sys._current_frames  # noqa: SLF001 - it has no other name


def workers_among(threads: Iterable[Entry]) -> list[Entry]:
    """Return the live workers of `concurrent.futures`, and note which have nothing to do now."""
    frames, workers = _frames(), []
    for entry in threads:
        frame = top = frames.get(attribute_of(entry.value, "ident"))
        while frame is not None and not _is_worker(frame):
            frame = frame.f_back
        if frame is not None:
            entry.was_idle = frame is top  # what it waits in is written in C
            workers.append(entry)
    return workers


def _is_worker(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name == "_worker" and code.co_filename.replace("\\", "/").endswith(_POOL)


def is_at_work(entry: Entry, places: Places) -> bool:
    """Return whether something is a thread that runs the user's code at this moment."""
    if entry.tracker.kind != "threads":
        return False
    frame: FrameType | None = _frames().get(attribute_of(entry.value, "ident"))
    while frame is not None:
        if places.of(frame.f_code.co_filename) == "user":
            return True
        frame = frame.f_back
    return False
