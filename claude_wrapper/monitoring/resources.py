"""What the process holds now, kind by kind, as the leak engine and the loop see it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.api import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["ResourceView"]

# A look costs some 50 ms in a thread; whoever polls faster gets the last one again.
FRESH = 1.0
THREAD = "resource-view"


class ResourceView:
    """Looks on demand, one look at a time.

    Args:
        tracker: Runs the look in a thread.
        clock: Monotonic seconds.
    """

    def __init__(
        self, tracker: ResourceTracker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tracker = tracker
        self._clock = clock
        # Two engines at once would each keep the other's hooks.
        self._one_at_a_time = asyncio.Lock()
        self._seen: dict[str, list[dict[str, Any]]] = {}
        self._seen_at = -FRESH

    async def held(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of `summary` and `details` by kind, at most a second old."""
        async with self._one_at_a_time:
            if self._clock() - self._seen_at >= FRESH:
                self._seen = await self._tracker.in_thread(_engine_view, name=THREAD)
                self._seen_at = self._clock()
        # The engine knows tasks and timers of a loop only from their creation on.
        return {**self._seen, "tasks": _tasks(), "timers": self._seen.get("timers", []) + _timers()}


def _engine_view() -> dict[str, list[dict[str, Any]]]:
    with snapshot() as now:
        held = now.to_dict()
    held["threads"] = [row for row in held["threads"] if row["details"].get("name") != THREAD]
    return held


def _tasks() -> list[dict[str, Any]]:
    rows = []
    for task in sorted(asyncio.all_tasks(), key=lambda task: task.get_name()):
        work = getattr(task.get_coro(), "__qualname__", "")
        name = task.get_name()
        rows.append({"summary": f"task {name!r} running {work}", "details": {"name": name}})
    return rows


def _timers() -> list[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
    now = loop.time()
    return [
        {
            "summary": f"timer in {max(0.0, handle.when() - now):.1f} s",
            "details": {"callback": _callback_name(handle)},
        }
        for handle in sorted(waiting, key=asyncio.TimerHandle.when)
        if not handle.cancelled()
    ]


def _callback_name(handle: asyncio.TimerHandle) -> str:
    callback = getattr(handle, "_callback", None)
    module = getattr(callback, "__module__", "")
    return f"{module}.{getattr(callback, '__qualname__', type(callback).__name__)}"
