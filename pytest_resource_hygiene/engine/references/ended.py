"""What is left of a pool, a manager or a process of `multiprocessing` that has been ended.

Pipes to workers, and the sentinels by which children are waited for, are closed when the object goes.
Nobody can end it more than by ``terminate()`` and ``join()``, or ``shutdown()``; and the instance of a
test class, in which it may be kept, lives as long as the run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.objects import answer_of, attribute_of, instances_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["left_of_ended"]

_NEAR = 500  # objects: queues, connections, finalizers
_SHUT_DOWN = 2  # multiprocessing.managers.State.SHUTDOWN


def left_of_ended(numbers: Collection[int]) -> set[int]:
    """Return which of these descriptors belong to objects that have been ended."""
    parts = [part for obj in instances_of(*_classes()) for part in _parts_of_ended(obj)]
    return reachable(parts, (), numbers, _NEAR) if parts else set()


def _classes() -> list[type]:
    found = (
        attribute_of(sys.modules.get(f"multiprocessing.{module}"), name)
        for module, name in (
            ("pool", "Pool"),
            ("managers", "BaseManager"),
            ("process", "BaseProcess"),
        )
    )
    return [cls for cls in found if isinstance(cls, type)]


def _parts_of_ended(obj: Any) -> Iterator[Any]:
    """Yield what an object has pipes in, if it has been ended; not what it was given to work on."""
    child = attribute_of(obj, "_popen")
    if child is not None and attribute_of(child, "returncode") is not None:
        yield child
    if attribute_of(attribute_of(obj, "_state"), "value") == _SHUT_DOWN:
        yield attribute_of(attribute_of(obj, "_process"), "_popen")
    state, handler = attribute_of(obj, "_state"), attribute_of(obj, "_worker_handler")
    is_over = handler is not None and answer_of(handler, "is_alive") is False
    if is_over and state in {"CLOSE", "TERMINATE"}:
        for name in ("_inqueue", "_outqueue", "_change_notifier"):
            yield attribute_of(obj, name)
