"""Compares the process with what it was before the start, by the leak engine."""

from __future__ import annotations

import asyncio
import time
import weakref

from claude_wrapper.shutdown.signals import hold_signals
from pytest_resource_hygiene.api import leaks_since, snapshot

__all__ = ["Verifier"]

PAUSE = 0.01


class Verifier:
    """Takes a snapshot when it is made, and names what is new when asked.

    Make it in the running loop. The engine's watch is closed again at once: what it records about
    the origin of each resource would grow for as long as the server lives. It then still sees every
    kind but the loop's tasks, so these are compared here.

    Signals are held for both looks, because the mask is one of the things that are compared.
    """

    def __init__(self) -> None:
        release = hold_signals()
        try:
            self._before = snapshot()
            self._before.close()
        finally:
            release()
        self._tasks = weakref.WeakSet(asyncio.all_tasks())

    async def leaks(self, *, grace: float = 0.5) -> tuple[str, ...]:
        """What is there now and was not before, each as `kind: words`.

        Args:
            grace: Seconds for what is just going away; the loop goes on turning meanwhile.
        """
        release = hold_signals()
        try:
            return await self._compare(grace)
        finally:
            release()

    async def _compare(self, grace: float) -> tuple[str, ...]:
        ends_at = time.monotonic() + grace
        while (self._new_tasks() or self._before.has_news()) and time.monotonic() < ends_at:
            await asyncio.sleep(PAUSE)
        tasks = (f"tasks: task {task.get_name()!r}" for task in self._new_tasks())
        others = [f"{leak.kind}: {leak.summary}" for leak in leaks_since(self._before, grace=0)]
        # To look again, the engine has opened again what it looks with.
        self._before.close()
        return (*tasks, *others)

    def _new_tasks(self) -> set[asyncio.Task[object]]:
        return asyncio.all_tasks() - set(self._tasks) - {asyncio.current_task()}
