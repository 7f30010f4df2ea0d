"""Measure what the plugin costs: paired runs with and without it, in turn, median of the ratios.

Usage::

    python benchmarks/plugin.py [--pairs N] [--only NAME ...] [--instructions]

With ``--instructions`` valgrind counts what the processor does, which is the same on a busy machine
and on a quiet one; it knows nothing of the time that the kernel and the memory take. Each pair has
its own seed for the hashes of strings, for these alone move a count by half a percent, and a time by
several.

Each work is a generated suite. A pair is one run of plain pytest and one with ``-p
resource_hygiene``, in alternating order, so that a machine that slows down or warms up hurts both.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_resource_hygiene.compiled import speedups

EMPTY = "def test_{i}(): pass\n"
ASYNC = "async def test_{i}(): pass\n"
BUSY = """
def test_{i}(tmp_path_factory):
    for n in range(100):
        open(__file__).close()
    for n in range(20):
        socket.socket().close()
"""
CROWD = """
import os, threading, pytest

@pytest.fixture(scope="session", autouse=True)
def crowd():
    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range({threads})]
    for thread in threads:
        thread.start()
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range({fds})]
    yield
    done.set()
    for thread in threads:
        thread.join()
    for fd in fds:
        os.close(fd)
"""

# name: (bar, files, extra arguments)
WORKS = {
    "5,000 empty tests": (1.05, {"test_empty.py": "".join(EMPTY.format(i=i) for i in range(5000))}, []),
    "2,000 empty async tests": (
        1.05,
        {"test_async.py": "".join(ASYNC.format(i=i) for i in range(2000))},
        ["-p", "asyncio", "--asyncio-mode=auto",
         "-o", "asyncio_default_fixture_loop_scope=function"],
    ),
    "500 tests, 100 files and 20 sockets each": (
        1.15,
        {"test_busy.py": "import socket\n" + "".join(BUSY.format(i=i) for i in range(500))},
        [],
    ),
    "2,000 empty tests, 10,000 fds, 200 threads": (
        1.15,
        {
            "conftest.py": CROWD.format(threads=200, fds=10_000),
            "test_crowd.py": "".join(EMPTY.format(i=i) for i in range(2000)),
        },
        [],
    ),
    "2,000 empty tests, few fds and threads": (
        1.15,
        {
            "conftest.py": CROWD.format(threads=2, fds=10),
            "test_few.py": "".join(EMPTY.format(i=i) for i in range(2000)),
        },
        [],
    ),
}  # fmt: skip


def run(folder: Path, extra: list[str], plugin: bool, seed: int) -> tuple[float, float, str]:
    """Run one suite, with this seed for the hashes of strings.

    Returns:
        Its seconds, those of the processor, and what it printed.

    Raises:
        RuntimeError: the suite did not pass.
    """
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
    env["PYTHONHASHSEED"] = str(seed)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *extra]
    if plugin:
        command += ["-p", "resource_hygiene"]
    began, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    seconds, used = time.perf_counter() - began, processor_seconds() - used
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return seconds, used, done.stdout


def processor_seconds() -> float:
    """Return what all children that have ended have used, for themselves and in the kernel."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def instructions(folder: Path, extra: list[str], plugin: bool, seed: int) -> int:
    """Count the instructions of one run of a suite, with this seed for the hashes of strings.

    Raises:
        RuntimeError: valgrind has counted nothing.
    """
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": str(seed)}
    command = ["valgrind", "--child-silent-after-fork=yes", "--tool=cachegrind", "--cache-sim=no"]
    command += [f"--cachegrind-out-file={os.devnull}", sys.executable]
    command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", *extra]
    command += ["-p", "resource_hygiene"] if plugin else []
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    counted = re.search(r"I *refs: *([\d,]+)", done.stderr)
    if done.returncode != 0 or counted is None:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return int(counted[1].replace(",", ""))


def compile_once(folder: Path, extra: list[str]) -> None:
    """Run both ways, so that no run that counts has a module of the suite or of ours to compile."""
    for plugin in (False, True):
        run(folder, extra, plugin, 0)


def count(name: str, pairs: int) -> list[float]:
    """Return the ratios of instructions of one work, the least first."""
    _, files, extra = WORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            Path(folder, file).write_text(text)
        compile_once(Path(folder), extra)
        ratios = []
        for seed in range(pairs):
            plain = instructions(Path(folder), extra, False, seed)
            ratios.append(instructions(Path(folder), extra, True, seed) / plain)
    return sorted(ratios)


def measure(name: str, pairs: int) -> dict[str, object]:
    """Return the figures of one work."""
    bar, files, extra = WORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            Path(folder, file).write_text(text)
        compile_once(Path(folder), extra)
        ratios, used_ratios, plain_times, ours_times, text = [], [], [], [], ""
        for number in range(pairs):
            order = (False, True) if number % 2 else (True, False)
            times, used = {}, {}
            for plugin in order:
                times[plugin], used[plugin], printed = run(Path(folder), extra, plugin, number)
                text = printed if plugin else text
            ratios.append(times[True] / times[False])
            used_ratios.append(used[True] / used[False])
            plain_times.append(times[False])
            ours_times.append(times[True])
    own = re.search(r"\((\d+) us per test\), collector run (\d+) times?", text)
    if own is None or "leaked" in text:
        raise RuntimeError(f"not what a clean run says: {text[-2000:]}")
    return {
        "bar": bar,
        "ratio": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        # Whatever else the machine does makes a run longer, so the least time is the cleanest.
        "least": min(ours_times) / min(plain_times),
        "used": statistics.median(used_ratios),
        "plain": statistics.median(plain_times),
        "own_us": float(own[1]),
        "collections": int(own[2]),
    }


def import_cost(times: int = 21) -> float:
    """Return the milliseconds that importing the switched-off plugin adds to having pytest."""
    code = (
        "import pytest, time; a = time.perf_counter(); "
        "import pytest_resource_hygiene.pytest_plugin; print((time.perf_counter() - a) * 1e3)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(times)
    ]
    return statistics.median(runs)


def main() -> int:
    """Print the table; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, help="paired runs of each work (7; of instructions 3)")
    parser.add_argument("--only", nargs="*", default=list(WORKS), help="parts of names")
    parser.add_argument("--instructions", action="store_true", help="count, instead of timing")
    options = parser.parse_args()
    missed = 0
    print("by the parts in C" if speedups is not None else "by Python alone")
    if options.instructions:
        for name in (one for one in WORKS if any(part in one for part in options.only)):
            ratios = count(name, options.pairs or 3)
            ratio, bar = statistics.median(ratios), WORKS[name][0]
            missed += ratio > bar
            print(
                f"{name:46} {ratio:6.3f} {ratios[0]:6.3f}-{ratios[-1]:.3f} {bar:5.2f}"
                f"{'' if ratio <= bar else '  MISSED'}",
                flush=True,
            )
        return 1 if missed else 0
    print(
        f"{'work':46} {'ratio':>6} {'range':>13} {'least':>6} {'cpu':>6} {'bar':>5} {'plain s':>8} "
        f"{'own us/test':>11} gc"
    )
    for name in WORKS:
        if not any(part in name for part in options.only):
            continue
        m = measure(name, options.pairs or 7)
        ok = m["ratio"] <= m["bar"]  # type: ignore[operator]
        missed += not ok
        print(
            f"{name:46} {m['ratio']:6.3f} {m['low']:6.3f}-{m['high']:.3f} "
            f"{m['least']:6.3f} {m['used']:6.3f} {m['bar']:5.2f} "
            f"{m['plain']:8.2f} {m['own_us']:11.1f} {m['collections']}{'' if ok else '  MISSED'}",
            flush=True,
        )
    cost = import_cost()
    missed += cost > 5
    print(
        f"{'import when off, ms':46} {cost:6.2f} {'':13} {'':6} {'':6} {5.0:5.2f}"
        f"{'' if cost <= 5 else '  MISSED'}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
