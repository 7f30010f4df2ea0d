"""What one sample of the timeline costs, and how large 50,000 of them are in the JSON document.

``python benchmarks/samples.py`` prints both. The process holds 100 files, 20 sockets, 10 threads and
a child while it samples, so that there is something to count.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.inventory.samples import Samples, make_timeline
from pytest_resource_hygiene.trackers import built_in_trackers
from pytest_resource_hygiene.trackers._rss import ResidentMemory

_TESTS = 50_000


def main() -> int:
    """Measure and print."""
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(10)]
    for thread in threads:
        thread.start()
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
    sockets = [socket.socket() for _ in range(20)]
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    checker = LeakChecker(built_in_trackers())
    checker.start(canary=False)
    memory = ResidentMemory()
    try:
        costs, samples = _measure(checker, memory)
    finally:
        memory.close()
        checker.stop()
        stop.set()
        child.communicate()
        for one in sockets:
            one.close()
        for fd in held:
            os.close(fd)
    size = len(json.dumps(make_timeline([samples.to_dict()], set()), separators=(",", ":")))
    print(f"one sample: {statistics.median(costs):.1f} us (median of {len(costs)} runs)")
    print(
        f"{_TESTS:,} tests in the document: {size / 1e6:.1f} MB, {size / _TESTS:.0f} bytes a test"
    )
    return 0


def _measure(checker: LeakChecker, memory: ResidentMemory) -> tuple[list[float], Samples]:
    costs = []
    for _ in range(5):
        samples = Samples("main", checker.ledger, memory.measure)
        began = time.perf_counter()
        for number in range(_TESTS):
            module = f"tests/unit/test_module_{number // 50}.py"
            start = time.time()
            samples.take(f"{module}::test_does_this_{number}", start, 0.001)
        costs.append((time.perf_counter() - began) / _TESTS * 1e6)
    return costs, samples


if __name__ == "__main__":
    sys.exit(main())
