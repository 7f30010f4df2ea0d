"""Makes JSON documents as large runs would write them: for the pages and benchmarks, not for judging.

``python tests/support/documents.py 2000 20000 > big.json`` writes one with 2,000 findings in 20,000
tests. The same arguments make the same document.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from typing import Any

from pytest_resource_hygiene.reports.document import make_document

__all__ = ["make"]

_AREAS = ("api", "auth", "billing", "cache", "cli", "db", "events", "export", "jobs", "mail",
          "search", "storage", "sync", "web", "workers")  # fmt: skip
_WORDS = ("client", "session", "pool", "listener", "worker", "queue", "watcher", "stream", "server",
          "reader", "writer", "broker", "channel", "loader", "monitor")  # fmt: skip
_KINDS: dict[str, tuple[str, str, str]] = {
    "sockets": ("socket fd {n} AF_INET SOCK_STREAM 127.0.0.1:{p} -> 127.0.0.1:5432, established",
                "self.connection = socket.create_connection(address)",
                "close() it, or use it in a `with` block"),
    "threads": ("thread '{w}-{n}' running app.{w}.run, daemon",
                "threading.Thread(target=self.run, daemon=True).start()",
                "have its target return, and join() it"),
    "fds": ("file fd {n} data/{w}.log, open for write", "self.log = open(path, 'w')",
            "close it, or open it in a `with` block"),
    "tasks": ("task {w}.refresh, awaits asyncio.sleep", "asyncio.create_task(self.refresh())",
              "await it, or cancel() it and await that; or start it in an asyncio.TaskGroup"),
    "processes": ("running child process {p}: python -m app.{w} --serve",
                  "self.process = subprocess.Popen(command)",
                  "terminate() or kill() it and wait() for it, or use Popen in a `with` block"),
    "signals": ("SIGTERM handler app.{w}.stop", "signal.signal(signal.SIGTERM, self.stop)",
                "put the previous handler back with signal.signal() when done"),
    "listeners": ("listener app.{w}.on_change of signal 'changed'", "changed.connect(self.on_change)",
                  "disconnect() the same function when done"),
    "timers": ("timer that calls app.{w}.tick in 30 s", "threading.Timer(30, self.tick).start()",
               "cancel() it and join() it"),
    "unclosed": ("file data/{w}.csv dropped without being closed", "rows = open(path).readlines()",
                 "close it, or open it in a `with` block"),
}  # fmt: skip


def make(findings: int, tests: int, *, workers: int = 4, seed: int = 1) -> dict[str, Any]:
    """Return a document that is valid by our schema.

    Args:
        findings: how many, of all severities; several tests may share the place that leaks.
        tests: how many ran.
        workers: processes that ran them.
        seed: another number makes another document.
    """
    chance = random.Random(seed)
    nodeids = [_nodeid(chance, number, tests) for number in range(tests)]
    places = [_place(chance) for _ in range(max(1, round(findings * 0.6)))]
    found = [
        _finding(chance, chance.choice(places), chance.choice(nodeids)) for _ in range(findings)
    ]
    document = make_document(
        found if tests else [],
        tests=tests,
        seconds=tests * 4e-5 + findings * 0.01,
        collections=findings // 3,
        blind_spots=[
            {"kind": "native_threads", "why": "pytest's faulthandler makes one in each test"}
        ],
        unused_allowances=["sockets: *legacy* -- goes with the old client"],
        pytest_version="9.0.1",
        timeline=_timeline(chance, nodeids, found, workers),
    )
    document["environment"].update(python="3.11.7", platform="linux")
    return document


def _nodeid(chance: random.Random, number: int, tests: int) -> str:
    area = _AREAS[number * len(_AREAS) // tests]
    module = f"tests/{area}/test_{chance.choice(_WORDS)}.py"
    name = f"test_{chance.choice(_WORDS)}_{chance.choice(('opens', 'fails', 'retries', 'ends'))}"
    return f"{module}::{name}[case-{number}]"


def _place(chance: random.Random) -> tuple[str, str, str, int]:
    kinds = list(_KINDS)
    kind = chance.choices(kinds, weights=range(len(kinds) + 2, 2, -1))[0]
    return kind, chance.choice(_WORDS), chance.choice(_AREAS), chance.randint(10, 900)


def _finding(
    chance: random.Random, place: tuple[str, str, str, int], nodeid: str
) -> dict[str, Any]:
    kind, word, area, line = place
    summary, source, hint = _KINDS[kind]
    file, function = f"app/{area}/{word}.py", chance.choice(("start", "open", "connect"))
    is_fixture = chance.random() < 0.25
    severity = "note" if kind == "unclosed" else chance.choices(
        ("fail", "known", "note", "allowed"), weights=(80, 10, 6, 4))[0]  # fmt: skip
    frames = [
        (file, line, function),
        (f"app/{area}/setup.py", 41, "make"),
        (nodeid.partition("::")[0], 23, "test"),
    ]
    name = f"{word}_{area}" if is_fixture else nodeid
    return {
        "kind": kind,
        "severity": severity,
        "change": "replaced" if kind == "signals" else "added",
        "count": chance.choice((1, 1, 1, 2, 5)),
        "summary": summary.format(n=chance.randint(5, 99), p=chance.randint(20000, 60000), w=word),
        "details": {"source_line": source, "parts": [f"pipe of the {word}"]},
        "nodeid": nodeid,
        "made_during": nodeid,
        "owner": {"type": "fixture" if is_fixture else "test", "name": name,
                  "scope": "module" if is_fixture else "function"},
        "origin": {"file": file, "line": line, "function": function, "source": "recorded"},
        "stack": [{"file": f, "line": n, "function": g} for f, n, g in frames],
        "held_by": [f"module app.{area}", f"app.{area}.{word}", word.title(), kind.rstrip("s")],
        "waited_seconds": 0.5,
        "hint": hint,
        "fingerprint": hashlib.sha256(f"{place}{name}".encode()).hexdigest()[:16],
        "reason": "the old client goes in March" if severity == "allowed" else None,
        "issue": "https://example.org/issues/12" if severity == "allowed" else None,
    }  # fmt: skip


def _timeline(
    chance: random.Random, nodeids: list[str], found: list[dict[str, Any]], workers: int
) -> dict[str, Any]:
    from pytest_resource_hygiene.engine.inventory.samples import LEVELS, make_timeline

    leaks: dict[str, list[str]] = {}
    for finding in found:
        if finding["severity"] == "fail":
            leaks.setdefault(finding["nodeid"], []).append(finding["kind"])
    parts = []
    for worker in range(workers):
        own = nodeids[worker::workers]
        part: dict[str, Any] = {"worker": f"gw{worker}", "nodeid": own, "start": [], "duration": []}
        part |= {name: [] for name in LEVELS}
        level = {
            "fds": 11,
            "sockets": 2,
            "threads": 1,
            "tasks": 0,
            "children": 0,
            "rss_kib": 48_000,
        }
        clock = 1_764_000_000.0
        for nodeid in own:
            took = chance.expovariate(1 / 0.008) + (0.5 if nodeid in leaks else 0)
            part["start"].append(clock)
            part["duration"].append(took)
            clock += took + 0.001
            for kind in leaks.get(nodeid, ()):
                name = "children" if kind == "processes" else kind
                if name in level:
                    level[name] += 1
            level["rss_kib"] += chance.choice((0, 0, 0, 4, 40)) + 200 * len(leaks.get(nodeid, ()))
            if level["children"] and chance.random() < 0.05:
                level["children"] -= 1
            for name in LEVELS:
                part[name].append(level[name])
        parts.append(part)
    return make_timeline(parts, set(leaks))


if __name__ == "__main__":
    json.dump(make(*map(int, sys.argv[1:])), sys.stdout)
