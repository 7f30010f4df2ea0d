"""Measure the server against the fake CLI, from outside, and print one table.

Usage::

    python benchmarks/wrapper.py [--only NAME ...] [--soak-requests N] [--runs N] [--json FILE]

Every server is a process of its own on loopback. The fake CLI is a real process that speaks the
real protocol, so what is measured is ours: pipes, parsing, pool, HTTP. It is not the model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from claude_wrapper.claude.command import ARGUMENTS
from claude_wrapper.testing import FAKE_CLAUDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

MIB = 1 << 20
Rows = list[tuple[str, str, str, bool]]


# -- the server, in a process that also tells what it holds


def host(words: list[str]) -> None:
    """Run a server; with a file named first, write to it twice a second what the process holds."""
    from claude_wrapper.server import WrapperServer
    from claude_wrapper.settings import load_settings

    report, *rest = words
    flags = dict(word.split("=", 1) for word in rest)

    async def main() -> int:
        server = WrapperServer(load_settings(flags), demo=True)
        # What watches would be found, rightly, when the server looks whether anything is left.
        watcher = asyncio.create_task(watch(Path(report))) if report else None
        try:
            return await server.run()
        finally:
            if watcher is not None:
                watcher.cancel()

    sys.exit(asyncio.run(main()))


async def watch(report: Path) -> None:
    """Write one line of facts every half second."""
    process = psutil.Process()
    began = time.monotonic()
    with report.open("w", buffering=1) as file:
        while True:
            facts = {
                "seconds": time.monotonic() - began,
                "rss": process.memory_info().rss,
                "blocks": sys.getallocatedblocks(),
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
        return [
            json.loads(line) for line in self.report.read_text().splitlines() if line[-1] == "}"
        ]

    def rss(self) -> int:
        """Resident memory of the server, children apart."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> tuple[int, float]:
        """Exit code, and seconds from the signal to the exit."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60), time.monotonic() - began


@contextlib.contextmanager
def running(*, is_watched: bool = False, **flags: object) -> Iterator[Host]:
    """Start a server on a free port."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "facts"
        given = {"state_dir": f"{folder}/state", "port": 0, "log_level": "error", **flags}
        words = [f"{name}={value}" for name, value in given.items()]
        process = subprocess.Popen(
            [sys.executable, __file__, "--host", str(report) if is_watched else "", *words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
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


# -- a client that costs little


class Client:
    """One connection that is kept; knows just enough HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, path: str, body: object, session: str = "") -> int:
        """Send a request and read the head of its answer; the status."""
        content = json.dumps(body).encode() if body is not None else b""
        more = f"x-session-id: {session}\r\n" if session else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{more}"
            f"content-length: {len(content)}\r\n\r\n"
        )
        self.writer.write(head.encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        self.is_chunked = b"transfer-encoding: chunked" in answer
        if not self.is_chunked:
            self.length = int(answer.partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(answer.split(b" ", 2)[1])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        if not self.is_chunked:
            yield await self.reader.readexactly(self.length)
            return
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def ask(self, text: str, session: str = "", **more: Any) -> tuple[int, float, float]:
        """Status, seconds to the first piece of text, seconds to the end."""
        messages = [{"role": "user", "content": text}]
        body = {"model": "sonnet", "messages": messages, **more}
        began, first = time.perf_counter(), 0.0
        status = await self.send("POST", "/v1/chat/completions", body, session)
        async for piece in self.pieces():
            if not first and b'"content":"' in piece.replace(b'"content":""', b""):
                first = time.perf_counter() - began
        return status, first, time.perf_counter() - began

    async def call(self, method: str, path: str) -> tuple[int, Any]:
        """Status and JSON of a request without a body."""
        status = await self.send(method, path, None)
        return status, json.loads(b"".join([piece async for piece in self.pieces()]))


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """A connection, closed afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * MIB)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def spread(
    port: int, clients: int, jobs: list[Callable[[Client], Coroutine[Any, Any, Any]]]
) -> None:
    """Run the jobs over so many connections."""
    left = iter(jobs)

    async def work() -> None:
        async with connected(port) as client:
            for job in left:
                await job(client)

    await asyncio.gather(*(work() for _ in range(clients)))


# -- the CLI without us, for comparison


class Direct:
    """One fake CLI, driven straight through its pipes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(FAKE_CLAUDE), *ARGUMENTS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def turn(self, text: str) -> tuple[float, float]:
        """Seconds to the first piece of text, and to the end of the turn."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        message = {"role": "user", "content": [{"type": "text", "text": text}]}
        line = {"type": "user", "message": message, "parent_tool_use_id": None}
        began, first = time.perf_counter(), 0.0
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            event = self.process.stdout.readline()
            if not first and b"text_delta" in event:
                first = time.perf_counter() - began
            if b'"type": "result"' in event:
                return first, time.perf_counter() - began

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def spawned_turn(text: str) -> float:
    """Seconds from nothing to the first piece of text, with a process of its own."""
    began = time.perf_counter()
    direct = Direct()
    first, _ = direct.turn(text)
    spent = time.perf_counter() - began
    direct.close()
    assert first
    return spent


# -- what is measured


def first_token(_: argparse.Namespace) -> Rows:
    """Warm against a process for each request; our own share of a request."""

    async def warm(port: int) -> tuple[list[float], list[float]]:
        async with connected(port) as client:
            await client.ask("[[text:x]]")
            streamed = [(await client.ask("[[text:x]]", stream=True))[1] for _ in range(100)]
            whole = [(await client.ask("[[text:x]]"))[2] for _ in range(100)]
            return streamed, whole

    with running(pool_size=1) as server:
        streamed, whole = asyncio.run(warm(server.port))
    spawned = [spawned_turn("[[text:x]]") for _ in range(20)]
    direct = Direct()
    direct.turn("[[text:x]]")
    turns = [direct.turn("[[text:x]]")[1] for _ in range(100)]
    direct.close()
    ratio = statistics.median(spawned) / statistics.median(streamed)
    own = statistics.median(whole) - statistics.median(turns)
    return [
        ("first token, warm, median", ms(statistics.median(streamed)), "", True),
        ("first token, process per request, median", ms(statistics.median(spawned)), "", True),
        ("warm is faster by", f"{ratio:.1f} x", ">= 10 x", ratio >= 10),
        ("our own share of a request, median", ms(own), "<= 10 ms", own <= 0.010),
    ]


def chunks(_: argparse.Namespace) -> Rows:
    """Our own share of each streamed piece."""
    count = 5000
    text = f"[[chunks:{count}]]"

    async def streamed(port: int) -> float:
        async with connected(port) as client:
            await client.ask("[[text:x]]")
            return min([(await client.ask(text, stream=True))[2] for _ in range(5)])

    with running(pool_size=1) as server:
        ours = asyncio.run(streamed(server.port))
    direct = Direct()
    direct.turn("[[text:x]]")
    theirs = min(direct.turn(text)[1] for _ in range(5))
    direct.close()
    each = (ours - theirs) / count
    return [("our own share of a streamed piece", f"{each * 1e6:.0f} us", "", True)]


def burst(_: argparse.Namespace) -> Rows:
    """Thirty requests at once over a pool of eight."""

    async def thirty(port: int) -> tuple[float, list[int]]:
        async def one() -> int:
            async with connected(port) as client:
                return (await client.ask("[[chunks:20]] [[delay:0.01]]", stream=True))[0]

        began = time.perf_counter()
        statuses = await asyncio.gather(*(one() for _ in range(30)))
        return time.perf_counter() - began, statuses

    with running(pool_size=8, max_concurrency=8) as server:
        asyncio.run(await_idle(server.port, 8))
        seconds, statuses = asyncio.run(thirty(server.port))
    fine = statuses == [200] * 30
    words = f"{seconds:.2f} s, {statuses.count(200)} of 30 answered"
    return [("30 requests of 0.2 s at once, 8 processes", words, "all", fine)]


def memory(_: argparse.Namespace) -> Rows:
    """Resident memory of the server with nothing, with long and with many sessions."""
    kilobyte = "x" * 1000
    history = [{"role": ("user", "assistant")[i % 2], "content": kilobyte} for i in range(18)]
    question = [{"role": "user", "content": "[[text:" + kilobyte + "]]"}]

    def fill(number: int, messages: list[Any]) -> Callable[[Client], Coroutine[Any, Any, Any]]:
        return lambda client: client.ask("", f"s{number}", messages=messages)

    rows: Rows = []
    with running(pool_size=2) as server:
        asyncio.run(await_idle(server.port, 2))
        rows.append(mib("server idle", server.rss()))
        jobs = [fill(n, [*history, *question]) for n in range(1000)]
        asyncio.run(spread(server.port, 8, jobs))
        rows.append(mib(f"{stored(server.port)} sessions of 20 messages of 1 kB", server.rss()))
    with running(pool_size=2) as server:
        asyncio.run(spread(server.port, 8, [fill(n, question) for n in range(10_000)]))
        rows.append(mib(f"{stored(server.port)} sessions of 2 messages of 1 kB", server.rss()))
    return rows


def soak(options: argparse.Namespace) -> Rows:
    """Many requests with sessions that come and go: what grows?"""
    total = options.soak_requests
    done = {"requests": 0, "failed": 0}

    async def note(answer: Coroutine[Any, Any, tuple[int, Any, Any]]) -> None:
        done["failed"] += (await answer)[0] != 200
        done["requests"] += 1

    async def life(client: Client, number: int) -> None:
        """Twenty requests: a session that grows, others beside it, and mostly its removal."""
        name = f"s{number}"
        for turn in range(9):
            text = f"[[text:answer {turn}]]"
            await note(client.ask(text, name, stream=turn % 2 == 0))
            await note(client.ask(text, stream=turn % 3 == 0))
        await note(client.ask("[[chunks:20]]", stream=True))
        if number % 5:
            status, _ = await client.call("DELETE", f"/v1/sessions/{name}")
        else:
            # Left behind: it goes when it is the least recently used of too many.
            status, _ = await client.call("GET", f"/v1/sessions/{name}")
        done["failed"] += status != 200
        done["requests"] += 1

    def job(number: int) -> Callable[[Client], Coroutine[Any, Any, Any]]:
        return lambda client: life(client, number)

    with running(
        is_watched=True, pool_size=2, max_concurrency=4, worker_max_turns=2000, max_sessions=50
    ) as server:
        began = time.monotonic()
        asyncio.run(spread(server.port, 4, [job(number) for number in range(total // 20)]))
        seconds = time.monotonic() - began
        asyncio.run(await_idle(server.port, 1))
        time.sleep(2)
        samples = server.samples()
    warm = [sample for sample in samples if sample["seconds"] > seconds * 0.3][:-4]
    last, first = samples[-1], warm[0]
    growth = slope([(s["seconds"], s["rss"]) for s in warm]) * 3600 / MIB
    blocks = slope([(s["seconds"], s["blocks"]) for s in warm]) * seconds / total * 1000
    flat = all(last[kind] <= first[kind] + 2 for kind in ("fds", "threads", "tasks"))
    changes = ", ".join(
        f"{kind} {first[kind]:.0f} -> {last[kind]:.0f}" for kind in ("fds", "threads", "tasks")
    )
    count = f"{done['requests']} requests, {done['failed']} failed, {total / seconds:.0f}/s"
    size = f"{first['rss'] / MIB:.1f} -> {last['rss'] / MIB:.1f} MiB, slope {growth:+.1f} MiB/h"
    return [
        ("soak", f"{count}, {seconds:.0f} s", "0 failed", not done["failed"]),
        ("soak: memory of the server", size, "<= 10 MiB/h", growth <= 10),
        ("soak: live blocks per 1000 requests", f"{blocks:+.1f}", "", True),
        ("soak: at the end", changes, "flat", flat),
    ]


STATES = {
    "idle": ("", 0),
    "20 open streams": ("[[midhang]]", 20),
    "pending tool calls": ("[[tool:f {}]]", 2),
    "a CLI that hangs": ("[[stuck]]", 2),
    "a CLI that ignores SIGTERM": ("[[stuck]] [[ignore-sigterm]]", 2),
    "a stopped CLI": ("[[midhang]]", 2),
}


def shutdown(options: argparse.Namespace) -> Rows:
    """Seconds from SIGTERM to the exit, in each state."""
    rows: Rows = []
    for name, (text, count) in STATES.items():
        runs = [one_shutdown(name, text, count) for _ in range(options.runs)]
        longest = max(seconds for _, seconds in runs)
        codes = {code for code, _ in runs}
        middle = statistics.median(seconds for _, seconds in runs)
        words = f"median {middle:.2f} s, maximum {longest:.2f} s, exit codes {sorted(codes)}"
        rows.append(
            (f"shutdown x {options.runs}: {name}", words, "< 5 s, 0", longest < 5 and codes == {0})
        )
    return rows


def one_shutdown(name: str, text: str, count: int) -> tuple[int, float]:
    """Bring a server into a state, stop it, and see that its children are gone."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

    async def stay(port: int, stop: asyncio.Event) -> None:
        async def one() -> None:
            more = {"tools": tools} if "tool" in text else {"stream": True}
            async with connected(port) as client:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await client.ask(text, **more)

        tasks = [asyncio.create_task(one()) for _ in range(count)]
        wanted = {"parked": count} if "tool" in text else {"busy": min(count, 4)}
        await await_counts(port, **(wanted if count else {"idle": 2}))
        stop.set()
        await asyncio.gather(*tasks)

    with running(pool_size=2, max_concurrency=4) as server:
        ready = threading.Event()

        async def main() -> None:
            event = asyncio.Event()
            task = asyncio.create_task(stay(server.port, event))
            await event.wait()
            ready.set()
            await task

        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        assert ready.wait(60), name
        children = psutil.Process(server.process.pid).children(recursive=True)
        if name == "a stopped CLI":
            for child in children:
                child.suspend()
        outcome = server.stop()
        thread.join(30)
        assert not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
        return outcome


# -- helpers


async def await_counts(port: int, **wanted: int) -> None:
    """Wait until the pool has at least these counts."""
    async with connected(port) as client:
        while True:
            counts = (await client.call("GET", "/health"))[1]["processes"]
            if all(counts[kind] >= number for kind, number in wanted.items()):
                return
            await asyncio.sleep(0.02)


async def await_idle(port: int, count: int) -> None:
    """Wait until so many processes are warm."""
    await await_counts(port, idle=count)


def stored(port: int) -> int:
    """Sessions that the server keeps."""

    async def ask() -> int:
        async with connected(port) as client:
            return int((await client.call("GET", "/v1/sessions/stats"))[1]["active"])

    return asyncio.run(ask())


def slope(points: list[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs: single outliers do not move it."""
    thinned = points[:: max(1, len(points) // 200)]
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(thinned, 2))


def ms(seconds: float) -> str:
    """Seconds in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def mib(name: str, size: int) -> tuple[str, str, str, bool]:
    """A row of memory."""
    return f"memory: {name}", f"{size / MIB:.1f} MiB", "< 100 MiB", size < 100 * MIB


BENCHMARKS = {
    "first_token": first_token,
    "chunks": chunks,
    "burst": burst,
    "memory": memory,
    "soak": soak,
    "shutdown": shutdown,
}


def main() -> int:
    """Run what was asked for; 1 when a promise was missed."""
    if sys.argv[1:2] == ["--host"]:
        host(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--soak-requests", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=20, help="of each state of the shutdown")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {psutil.virtual_memory().total / (1 << 30):.0f} GiB")
    missed = 0
    for name in options.only:
        for title, figure, promise, is_kept in BENCHMARKS[name](options):
            missed += not is_kept
            mark = "" if not promise else f"  ({promise}{'' if is_kept else ': MISSED'})"
            print(f"{title:52} {figure}{mark}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
