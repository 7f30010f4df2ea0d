"""Compares what the tracker lists with what the operating system shows, and names strangers.

A stranger was made behind the tracker's back; a ghost is an entry of something that is gone. What
the HTTP server and the event loop make for themselves is neither.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_wrapper.lifecycle.children import child_pids
from claude_wrapper.lifecycle.emitter import living_emitters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from claude_wrapper.lifecycle.tracker import ResourceTracker

__all__ = ["AuditReport", "Baseline", "audit"]

# Threads that belong to the loop and the interpreter; asyncio joins its own at the end.
FOREIGN_THREADS = ("MainThread", "asyncio_", "asyncio-waitpid-", "waitpid-")
# Files whose coroutines run as tasks of their own, by the last two parts of their path.
FOREIGN_FOLDERS = ("uvicorn", "uvicorn/protocols/http")
FOREIGN_FILES = ("asyncio/base_subprocess.py", "asyncio/subprocess.py")
FOREIGN_CALLBACKS = ("asyncio", "uvicorn", "_asyncio", "anyio")
# Each connection has such timers of its own, as it has with uvicorn, and ends them with itself.
CALLBACKS_OF_CONNECTIONS = "claude_wrapper.http_protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What does not match: things nobody made through the tracker, and entries of dead things."""

    strangers: tuple[str, ...]
    ghosts: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """The list and the world agree."""
        return not self.strangers and not self.ghosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Names of tasks and threads that are not ours to judge: they were there before us."""

    tasks: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()

    @classmethod
    def now(cls) -> Baseline:
        """What runs at this moment."""
        return cls(
            tasks=frozenset(task.get_name() for task in asyncio.all_tasks()),
            threads=frozenset(thread.name for thread in threading.enumerate()),
        )


def audit(
    tracker: ResourceTracker,
    known: Baseline | None = None,
    *,
    folder: Path | None = None,
    folders: Iterable[Path] = (),
) -> AuditReport:
    """Compare tasks, timers, threads, child processes, folders and emitters with the list.

    Call it in the loop of the server. A thing that is being made or taken apart at this moment may
    show up once; only what shows up again is worth a word.

    Args:
        tracker: The list.
        known: What belongs to others.
        folder: Where the private folders of the children lie.
        folders: Those that belong there now.
    """
    before = known or Baseline()
    # A child is listed under what it is and its pid.
    children = {item.name.rpartition(" ")[2]: item.name for item in tracker.list("child")}
    seen = {
        "task": _tasks() - before.tasks,
        "thread": _threads() - before.threads,
        "child": {children.get(str(pid), f"cli {pid}") for pid in child_pids()},
    }
    listed = {kind: {item.name for item in tracker.list(kind)} for kind in (*seen, "temp_folder")}
    strangers = {f"{kind} {name}" for kind in seen for name in seen[kind] - listed[kind]}
    strangers.update(_stray_timers())
    strangers.update(_stray_folders(folder, {*map(str, folders), *listed["temp_folder"]}))
    strangers.update(_stray_listeners())
    everywhere = {**seen, "task": _all_task_names(), "thread": _threads()}
    ghosts = {f"{kind} {name}" for kind in seen for name in listed[kind] - everywhere[kind]}
    ghosts.update(
        f"temp_folder {path}" for path in listed["temp_folder"] if not Path(path).exists()
    )
    return AuditReport(strangers=tuple(sorted(strangers)), ghosts=tuple(sorted(ghosts)))


def _all_task_names() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()}


def _tasks() -> set[str]:
    current = asyncio.current_task()
    return {
        task.get_name()
        for task in asyncio.all_tasks()
        if task is not current and not _is_foreign(task)
    }


def _is_foreign(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    if code is None:
        return False
    path = Path(code.co_filename)
    folder = path.parent.as_posix()
    return folder.endswith(FOREIGN_FOLDERS) or path.as_posix().endswith(FOREIGN_FILES)


def _threads() -> set[str]:
    return {t.name for t in threading.enumerate() if not t.name.startswith(FOREIGN_THREADS)}


def _stray_timers() -> set[str]:
    """Timers of the loop that somebody of ours set without the tracker."""
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    found = set()
    for handle in scheduled:
        callback = getattr(handle, "_callback", None)
        module = getattr(callback, "__module__", None) or type(callback).__module__
        is_foreign = (
            module.partition(".")[0] in FOREIGN_CALLBACKS or module == CALLBACKS_OF_CONNECTIONS
        )
        if not handle.cancelled() and not is_foreign and not hasattr(callback, "is_tracked"):
            found.add(f"timer {module}.{getattr(callback, '__qualname__', '?')}")
    return found


def _stray_folders(folder: Path | None, belonging: set[str]) -> set[str]:
    if folder is None or not folder.is_dir():
        return set()
    return {f"folder {path}" for path in folder.iterdir() if str(path) not in belonging}


def _stray_listeners() -> set[str]:
    """Listeners on emitters that no tracker lists: nobody will remove them."""
    return {
        f"listener {line}"
        for emitter in living_emitters()
        if not emitter.is_tracked
        for line in emitter.describe()
    }
