"""What libraries make once and keep on purpose, recognised by the code that makes it.

Names of threads and processes change from release to release, so nothing here goes by them. The
places below are those of the standard library whose products hang on no object that could be
followed (numbers of descriptors and processes), and pools that keep idle workers by design.
Everything else that a library makes once is recognised by who holds it: see `judge`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

__all__ = ["Habit", "habit_of", "has_habits", "runs_jobs"]

Habit = Literal["singleton", "pool"]

_HUB = "gevent/hub.py"

# End of the file name, function that makes it (empty: any), what kind of habit it is.
_PLACES: tuple[tuple[str, str, Habit], ...] = (
    # Never reaped by design (CPython issue 88887): one child and one pipe for the whole process.
    ("multiprocessing/resource_tracker.py", "ensure_running", "singleton"),
    ("multiprocessing/resource_tracker.py", "_launch", "singleton"),
    ("multiprocessing/forkserver.py", "ensure_running", "singleton"),
    ("multiprocessing/heap.py", "__init__", "pool"),
    # The same under another name.
    ("multiprocess/resource_tracker.py", "", "singleton"),
    ("multiprocess/forkserver.py", "ensure_running", "singleton"),
    ("multiprocess/heap.py", "__init__", "pool"),
    ("loky/backend/resource_tracker.py", "", "singleton"),
    ("loky/reusable_executor.py", "", "pool"),
    # Idle workers are kept for the next caller, as many as ever ran at once.
    ("trio/_core/_thread_cache.py", "", "pool"),
    ("asgiref/sync.py", "", "pool"),
    ("anyio/_backends/_asyncio.py", "run_sync_in_worker_thread", "pool"),
    # A loop's own, which ends the loop's idle processes when the loop's runner cancels it.
    ("anyio/_backends/_asyncio.py", "setup_process_pool_exit_at_shutdown", "pool"),
    ("weakref.py", "__init__", "singleton"),
    ("gevent/resolver/thread.py", "", "pool"),  # the hub's own workers, up to ten
    ("gevent/os.py", "tp_read", "pool"),
    ("gevent/os.py", "tp_write", "pool"),
    (_HUB, "", "singleton"),
    ("tqdm/_monitor.py", "", "singleton"),
    ("joblib/_memmapping_reducer.py", "", "pool"),
    ("pycares/__init__.py", "", "singleton"),
    ("jedi/inference/compiled/subprocess/__init__.py", "", "pool"),
)

# One thread per waited-for child, which ends with that child; a pidfd in its place does not.
_OF_THREADS: tuple[tuple[str, str, Habit], ...] = (
    ("asyncio/unix_events.py", "add_child_handler", "pool"),
)

# Ends of file names, and what their workers run: jobs of whoever asks.
_WORKERS = (
    ("anyio/_backends/_asyncio.py", "WorkerThread.run"),
    ("trio/_core/_thread_cache.py", "WorkerThread._work"),
)

# A package's habits are the same where it is installed and where it is being developed.
_FOLDERS = tuple(
    sorted({f"/{file.partition('/')[0]}/" for file, _, _ in _PLACES + _OF_THREADS if "/" in file})
)


def has_habits(file: str) -> bool:
    """Return whether a file lies in a package that is listed here."""
    return any(folder in file for folder in _FOLDERS) and "/test" not in file


def habit_of(site: tuple[tuple[str, str], ...], kind: str) -> Habit | None:
    """Return the habit behind the library frames of a creation, innermost first, if it is known.

    What another package does that a listed one has called is no habit of the listed one's.

    Args:
        site: files and functions.
        kind: of what was made there.
    """
    packages: set[str] = set()
    places = _PLACES + _OF_THREADS if kind == "threads" else _PLACES
    for file, function in site:
        package = _package_of(file)
        if (function, file.endswith(_HUB)) == ("run", True):  # it calls whoever waits
            continue
        for ending, name, habit in places:
            if file.endswith(ending) and name in {"", function} and packages <= {package}:
                return habit
        if package:
            packages.add(package)
    # ``logging.info()`` gives the root logger a handler if it has none; ``basicConfig`` called by
    # name is the caller's own doing.
    for (file, function), (caller, _) in pairwise(site):
        if function == "basicConfig" and file == caller and file.endswith("logging/__init__.py"):
            return "singleton"
    return None


def _package_of(file: str) -> str:
    """Return the folder or file below ``site-packages``; nothing for the standard library's."""
    _, packages, name = file.rpartition("-packages/")
    return name.partition("/")[0] if packages else ""


def runs_jobs(file: str, function: str) -> bool:
    """Return whether a function is that of a listed pool's worker, which runs the jobs of others."""
    return any(function == worker and file.endswith(ending) for ending, worker in _WORKERS)
