"""Live Python threads, daemon or not, started by `threading` or by raw `_thread`.

A `threading.Timer` is a timer, and a ``_DummyThread`` (a foreign thread that once ran Python code,
perhaps long dead) is nobody's.
"""

from __future__ import annotations

import _thread
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of, code_of
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._names import class_name, function_name
from pytest_resource_hygiene.trackers._thread_table import RawThread, ThreadTable, present_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder


class ThreadTracker(Tracker):
    """Threads by the thread object; raw ones by kernel id and start time."""

    kind = "threads"
    title = "thread"
    rank = 40

    def __init__(self) -> None:
        """Wait for `start`."""
        self._table: ThreadTable | None = None
        self._recorder: Recorder | None = None

    def start(self, recorder: Recorder) -> None:
        """Share the table of threads with the other kinds."""
        self._recorder = recorder
        self._table = recorder.service(ThreadTable)

    def _threads(self) -> ThreadTable:
        assert self._table is not None, "start() comes first"
        return self._table

    def sensor(self) -> Callable[[], object]:
        """Ask the shared table: starts seen and Python's own count."""
        return self._threads().reading

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for Python's own count; starts are recorded."""
        return (_thread._count,)  # noqa: SLF001

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List thread objects, without timers, and raw threads."""
        scan = self._threads().scan(moment)
        found: dict[Hashable, Any] = {
            key: thread
            for key, thread in scan.python.items()
            if not isinstance(thread, System.Timer)
        }
        found.update(scan.raw)
        return found

    def forget(self) -> None:
        """Drop the starts of threads that have ended."""
        self._threads().forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how the thread was started."""
        if isinstance(value, RawThread):
            return value.creation
        return self._recorder.threads.get(value) if self._recorder else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the thread object; for a raw thread, the object whose method it runs."""
        return attribute_of(value.function, "__self__") if isinstance(value, RawThread) else value

    def kept_as(self, key: Hashable, value: Any) -> Any:
        """Return the thread object; whose method a raw one runs says no more than a thread's target."""
        return None if isinstance(value, RawThread) else value

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the code of the thread's target, or of its overridden ``run``."""
        if isinstance(value, RawThread):
            function = value.function
        else:
            target = attribute_of(value, "_target")
            function = target if target is not None else attribute_of(value, "run")
        return code_of(function)

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say name, target, whether it is a daemon, and where it is now."""
        if isinstance(value, RawThread):
            known = value.function is not None
            target = function_name(value.function) if known else "unknown target"
            return Description(
                summary=f"raw thread running {target}",
                target=target,
                details={"tid": value.tid, "target": target, "raw": True},
                hint="tell its function to return and wait for that, "
                "or use threading.Thread and join() it",
            )
        target, name = target_name(value), str(attribute_of(value, "name", "?"))
        daemon = attribute_of(value, "daemon", False) is True
        ident = attribute_of(value, "ident")
        details = {
            "name": name,
            "target": target,
            "class": type(value).__qualname__,
            "daemon": daemon,
            "ident": ident,
            "native_id": attribute_of(value, "native_id"),
        }
        return Description(
            summary=f"thread {name!r} running {target}{', daemon' if daemon else ''}",
            target=target,
            details=details,
            hint=_hint(target, name),
            present_stack=present_stack(ident),
        )

    def specimen(self) -> AbstractContextManager[object]:
        """Run a thread that waits to be told to end."""
        return _waiting_thread()


@contextmanager
def _waiting_thread() -> Iterator[object]:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="resource-hygiene-canary")
    thread.start()
    try:
        yield thread
    finally:
        done.set()
        thread.join()


def target_name(thread: threading.Thread) -> str:
    """Name what a thread runs: its target, or its class if ``run`` is overridden."""
    target = attribute_of(thread, "_target")
    if target is not None:
        return function_name(target)
    return f"{class_name(thread)}.run"


def _hint(target: str, name: str) -> str:
    if target.startswith("concurrent.futures.thread"):
        return "call executor.shutdown(), or use the executor in a `with` block"
    if "serve_forever" in target:
        return "call server.shutdown() and join() the thread, then server_close()"
    if target.startswith("multiprocessing.pool"):
        return "call pool.close() or terminate(), then pool.join(), or use it in a `with` block"
    if "QueueFeederThread" in name:
        return "call queue.close() and queue.join_thread()"
    return "tell it to stop (e.g. by an Event) and join() it"


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ThreadTracker()
