"""Pending asyncio tasks, and async generators that were begun and never closed."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of, attribute_of
from pytest_resource_hygiene.tracker import Captured, Description, IdentityKey, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder


class TaskTracker(Tracker):
    """Tasks by the task object."""

    kind = "tasks"
    title = "asyncio task"
    rank = 50

    def __init__(self) -> None:
        """Wait for `start`."""
        self._table: AsyncioTable | None = None

    def start(self, recorder: Recorder) -> None:
        """Share the table of asyncio's things with the other kinds."""
        self._table = recorder.service(AsyncioTable)
        self._table.closing.describers[self.kind] = self.describe
        self._table.closing.coders[self.kind] = self.code

    def _asyncio(self) -> AsyncioTable:
        assert self._table is not None, "start() comes first"
        return self._table

    def reading(self) -> object:
        """Return which tasks and generators are pending, and how many were caught."""
        table = self._asyncio()
        table.posted.take_up()
        generators = table.generators.living() if table.generators else None
        return table.live_tasks(), generators, len(table.closing.caught_tasks)

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask nothing: tasks are heard of when they are made."""
        return ()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List pending tasks, and generators that no task goes through."""
        table = self._asyncio()
        found = table.tasks()
        generators = table.generators.listed(found.values())
        found.update((IdentityKey(one), one) for one in generators)
        return found

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how the task was made."""
        return self._asyncio().creation_of(value)

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the task."""
        return value

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the code of the coroutine or generator."""
        code: CodeType | None = attribute_of(value, "ag_code")
        return code or attribute_of(answer_of(value, "get_coro"), "cr_code")

    def drain(self) -> Collection[Captured]:
        """Return the tasks that a runner was about to cancel."""
        closing = self._asyncio().closing
        caught, closing.caught_tasks = closing.caught_tasks, []
        return caught

    def pause(self, keys: Collection[Hashable], seconds: float) -> bool:
        """Let the tasks' own loops run."""
        tasks = [task for key, task in self._asyncio().tasks().items() if key in keys]
        loops = {answer_of(task, "get_loop") for task in tasks} - {None}
        return self._asyncio().run_loops(loops, seconds)

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say coroutine, what it awaits, and the state of its loop."""
        if inspect.isasyncgen(value):
            return Description(
                summary=f"async generator {value.__qualname__} begun and never closed",
                target=value.__qualname__,
                hint="await its aclose(), or use contextlib.aclosing()",
            )
        coroutine, loop = answer_of(value, "get_coro"), answer_of(value, "get_loop")
        is_closed = answer_of(loop, "is_closed", False) is True
        name = _qualname(coroutine)
        waiting = _awaits(coroutine)
        where = " on a closed loop" if is_closed else ""
        awaiting = f", awaits {waiting}" if waiting else ""
        return Description(
            summary=f"task {name}{awaiting}{where}",
            target=name,
            details={"name": str(answer_of(value, "get_name", "?")), "coroutine": name, "awaits": waiting,
                     "loop": type(loop).__name__, "loop_closed": is_closed},
            hint="await it, or cancel() it and await that; or start it in an asyncio.TaskGroup",
            present_stack=_task_stack(value),
        )  # fmt: skip

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Cancel a reported task, as its runner would have done at the end of the loop.

        Not on a loop that another thread runs: its ``run_until_complete`` would raise there, and
        pytest would tell the next test of it.
        """
        loop = answer_of(value, "get_loop")
        if loop is None or loop.is_closed() or self._asyncio().runs_elsewhere(loop):
            return False
        value.cancel()  # not by a call of the loop's: one that starts the next would come first
        self._asyncio().run_loops([loop], 0)
        return self._asyncio().run_loops([loop], 0)

    def blind_spot(self) -> str | None:
        """Name an asyncio whose registry of tasks is not what this knows."""
        if self._asyncio().sees_tasks:
            return None
        return "this Python keeps its tasks where they cannot be seen being made"

    def specimen(self) -> AbstractContextManager[object] | None:
        """Leave tasks to the tests: making a loop just to look costs more than all other kinds."""
        return None


def _qualname(coroutine: Any) -> str:
    """Return the name of a coroutine; any object may be one, by its methods, and then has none."""
    return str(attribute_of(coroutine, "__qualname__") or type(coroutine).__qualname__)


def _awaits(coroutine: Any) -> str:
    """Name the innermost function that the chain of awaits has reached."""
    name, inner = "", coroutine
    while inner is not None:
        code = getattr(inner, "cr_code", None) or getattr(inner, "gi_code", None)
        if code is None and inner is coroutine:
            return ""  # an object that merely has the methods: it does not tell where it is
        if (code is not None and inner is not coroutine) or not name:
            frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
            module = frame.f_globals.get("__name__", "") if frame is not None else ""
            name = f"{module.removesuffix('.tasks').removesuffix('.locks')}.{_qualname(inner)}"
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
        if inner is not None and not hasattr(inner, "__qualname__"):
            return name if code is not None and name else "a future"
    return name


def _task_stack(task: Any) -> tuple[str, ...]:
    return tuple(
        f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        for frame in answer_of(task, "get_stack", ())
    )


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return TaskTracker()
