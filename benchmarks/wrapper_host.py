"""The server that is measured: a process of its own that can also tell what it holds.

Run as a script it is that process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def host(words: list[str]) -> None:
    """Run a server; with a file named first, write to it twice a second what the process holds."""
    from claude_wrapper.claude.child_watch import children_watched_by_descriptor
    from claude_wrapper.server import WrapperServer
    from claude_wrapper.settings import load_settings

    report, *rest = words
    flags = dict(word.split("=", 1) for word in rest)

    async def main() -> int:
        server = WrapperServer(load_settings(flags), demo="cli_path" not in flags)
        # What watches would be found, rightly, when the server looks whether anything is left.
        watcher = asyncio.create_task(watch(Path(report))) if report else None
        try:
            # As `serve` does, which owns its process.
            with children_watched_by_descriptor():
                return await server.run()
        finally:
            if watcher is not None:
                watcher.cancel()

    sys.exit(asyncio.run(main()))


async def watch(report: Path) -> None:
    """Write one line of facts every half second, and on SIGUSR1 one of what is really alive."""
    process = psutil.Process()
    began = time.monotonic()
    with report.open("w", buffering=1) as file:

        def settle() -> None:
            # Between two collections garbage comes and goes by thousands of blocks.
            gc.collect()
            file.write(json.dumps({"alive": sys.getallocatedblocks()}) + "\n")

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, settle)
        while True:
            facts = {
                "seconds": time.monotonic() - began,
                "rss": process.memory_info().rss,
                "tasks": len(asyncio.all_tasks()),
                "threads": threading.active_count(),
                "fds": process.num_fds(),
            }
            file.write(json.dumps(facts) + "\n")
            await asyncio.sleep(0.5)


class Host:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int, report: Path) -> None:
        self.process = process
        self.port = port
        self.report = report

    def samples(self) -> list[dict[str, float]]:
        """All facts written so far."""
        return [facts for facts in self._facts() if "seconds" in facts]

    def alive(self) -> int:
        """Blocks of memory that the interpreter holds after a full collection."""
        before = len(self._alive())
        self.process.send_signal(signal.SIGUSR1)
        while len(self._alive()) == before:
            time.sleep(0.01)
        return self._alive()[-1]

    def _alive(self) -> list[int]:
        return [int(facts["alive"]) for facts in self._facts() if "alive" in facts]

    def _facts(self) -> list[dict[str, float]]:
        lines = self.report.read_text().splitlines()
        return [json.loads(line) for line in lines if line[-1:] == "}"]

    def rss(self) -> int:
        """Resident memory of the server, children apart."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> tuple[int, float]:
        """Exit code, and seconds from the signal to the exit."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60), time.monotonic() - began


@contextlib.contextmanager
def running(
    *, is_watched: bool = False, env: Mapping[str, str] | None = None, **flags: object
) -> Iterator[Host]:
    """Start a server on a free port."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "facts"
        given = {"state_dir": f"{folder}/state", "port": 0, "log_level": "error", **flags}
        words = [f"{name}={value}" for name, value in given.items()]
        process = subprocess.Popen(
            [sys.executable, __file__, str(report) if is_watched else "", *words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env,
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield Host(process, int(line.split(" · ")[0].rpartition(":")[2]), report)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)
            process.stdout.close()


if __name__ == "__main__":
    host(sys.argv[1:])
