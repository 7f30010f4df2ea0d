"""`status`: which servers run, and how the last one ended."""

from __future__ import annotations

import http.client
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from claude_wrapper.server_record import read_records
from claude_wrapper.shutdown.record import read_report

if TYPE_CHECKING:
    from pathlib import Path

    from claude_wrapper.server_record import ServerRecord

__all__ = ["show"]

EXIT_RUNNING = 0
EXIT_STOPPED = 3
ASK_DEADLINE = 2.0


def show(state: Path, port: int | None, *, as_json: bool) -> int:
    """Print the servers of a state folder; 0 when one runs (on that port), 3 when none does."""
    records = [record for record in read_records(state) if port in {None, record.port}]
    running = [_facts(record) for record in records if record.is_running]
    killed = [record.port for record in records if not record.is_running]
    last = read_report(state)
    document = {
        "status": "running" if running else "stopped",
        "servers": running,
        "killed": killed,
        "last_shutdown": asdict(last) if last else None,
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if as_json else _words(document))
    return EXIT_RUNNING if running else EXIT_STOPPED


def _facts(record: ServerRecord) -> dict[str, Any]:
    return {
        "pid": record.pid,
        "port": record.port,
        "url": record.url,
        "uptime_seconds": round(time.time() - record.since, 1),
        "ready": _is_ready(record.url),
        "needs_key": record.needs_key,
        "log_file": record.log_file,
        "previous_run": record.previous_run,
    }


def _is_ready(url: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ASK_DEADLINE)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _words(document: dict[str, Any]) -> str:
    lines = [
        f"running: pid {one['pid']}, {one['url']}, {'ready' if one['ready'] else 'not ready'}, "
        f"{'key required' if one['needs_key'] else 'no key needed'}, "
        f"up {one['uptime_seconds']:.0f} s, previous run: {one['previous_run']}"
        for one in document["servers"]
    ] or ["stopped"]
    lines += [f"killed: the server on port {port} did not end by itself; the next start cleans up"
              for port in document["killed"]]  # fmt: skip
    last = document["last_shutdown"]
    if last is not None:
        left = "; ".join(last["left"] or ()) or "nothing left"
        lines.append(f"last shutdown: {last['seconds']:.2f} s, {left}")
    return "\n".join(lines) + "\n"
