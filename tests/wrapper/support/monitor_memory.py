"""Prints the bytes that a thousand starts and stops of a monitor leave behind.

In a process of its own: the plugin that watches this suite keeps records of tasks, in C, where no
filter of `tracemalloc` tells them from the server's memory.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

from wrapper.support.clock import FakeClock

from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.monitoring.alerts import AlertCenter
from claude_wrapper.monitoring.production import ProductionMonitoring


async def main() -> None:
    """Start and stop, first to warm up."""
    clock = FakeClock()
    tracker = ResourceTracker(clock.sleep)
    monitor = ProductionMonitoring(tracker, AlertCenter([], clock=clock), clock)

    async def again(times: int) -> None:
        for _ in range(times):
            await monitor.start()
            monitor.events.on("alert", lambda **_data: None)
            await monitor.stop()
        clock._sleepers.clear()
        gc.collect()

    await again(50)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await again(1000)
    print(tracemalloc.get_traced_memory()[0] - before)
    await monitor.destroy()


if __name__ == "__main__":
    asyncio.run(main())
