"""Compares what the tracker lists with what the operating system shows, and names strangers."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from claude_wrapper.lifecycle.tracker import ResourceTracker

__all__ = ["AuditReport", "audit"]

# Threads that belong to the loop and the interpreter; asyncio joins its own at the end.
FOREIGN_THREADS = ("MainThread", "asyncio_", "asyncio-waitpid-", "waitpid-")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What does not match: things nobody made through the tracker, and entries of dead things."""

    strangers: tuple[str, ...]
    ghosts: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """The list and the world agree."""
        return not self.strangers and not self.ghosts


def audit(tracker: ResourceTracker, known_tasks: frozenset[str] = frozenset()) -> AuditReport:
    """Compare tasks, threads and child processes with the tracker's list.

    Call it in the loop of the server.

    Args:
        tracker: The list.
        known_tasks: Names of tasks that others make, such as the HTTP server's connections.
    """
    tasks = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    threads = {t.name for t in threading.enumerate() if not t.name.startswith(FOREIGN_THREADS)}
    children = {f"cli {child.pid}" for child in psutil.Process().children()}
    listed = {kind: _names(tracker, kind) for kind in ("task", "thread", "child")}
    strangers = {
        *(f"task {name}" for name in tasks - listed["task"] - known_tasks),
        *(f"thread {name}" for name in threads - listed["thread"]),
        *(f"child {name}" for name in children - listed["child"]),
    }
    ghosts = {
        *(f"task {name}" for name in listed["task"] - tasks - {_current_name()}),
        *(f"thread {name}" for name in listed["thread"] - threads),
        *(f"child {name}" for name in listed["child"] - children),
    }
    return AuditReport(strangers=tuple(sorted(strangers)), ghosts=tuple(sorted(ghosts)))


def _names(tracker: ResourceTracker, kind: str) -> set[str]:
    return {item.name for item in tracker.list(kind)}


def _current_name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
