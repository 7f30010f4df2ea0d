"""What a walk along references has to know when it meets it: modules, loggers, loops, executors."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

from pytest_resource_hygiene.objects import attributes_of, defined_in, is_a

__all__ = [
    "FutureClasses",
    "LoopClasses",
    "is_executor",
    "is_listed_logger",
    "is_runners",
    "modules",
]

# Whose objects reach everything and keep nothing. Other packages whose names begin with "pytest_"
# are libraries: the server that one of them starts for a test keeps what it has.
_RUNNERS = frozenset({
    __name__.partition(".")[0], "_pytest", "pluggy", "pytest", "pytest_asyncio", "pytest_cov",
    "pytest_randomly", "pytest_rerunfailures", "pytest_subtests", "pytest_timeout",
})  # fmt: skip
_USE_AND_END = (
    ("submit", "shutdown"),
    ("apply_async", "kill"),  # gevent's pool of threads
    ("callInThread", "stop"),  # twisted's
)


_LOOPS = (
    ("run_until_complete", "call_soon_threadsafe"),
    ("add_handler", "run_sync"),  # tornado's, which wraps one of asyncio's
)


class LoopClasses(dict[type, bool]):
    """Whether the objects of a class are event loops; one for each walk, which meets few classes."""

    def __missing__(self, cls: type) -> bool:
        answer = self[cls] = any(_has_methods(cls, *names) for names in _LOOPS)
        return answer


class FutureClasses(dict[type, bool]):
    """The same of futures, tasks included."""

    def __missing__(self, cls: type) -> bool:
        answer = self[cls] = defined_in(cls, "_asyncio_future_blocking") is not None
        return answer


class ReactorClasses(dict[type, bool]):
    """The same of reactors, twisted's loops: there is one, which keeps all that runs on it."""

    def __missing__(self, cls: type) -> bool:
        answer = self[cls] = _has_methods(cls, "addReader", "callLater", "fireSystemEvent")
        return answer


def modules() -> list[tuple[str, Any]]:
    """Return what is imported; anybody may put anything, None included, into ``sys.modules``."""
    found: list[tuple[str, Any]] = list(sys.modules.items())
    return [(name, module) for name, module in found if is_a(module, ModuleType)]


def is_runners(module: str) -> bool:
    """Return whether a module, by its name, is the test runner's or ours."""
    return module.partition(".")[0] in _RUNNERS


def is_listed_logger(obj: Any) -> bool:
    """Return whether everybody can get the logger by its name, so that nobody in particular has it."""
    if not is_a(obj, logging.Logger):
        return False
    name = attributes_of(obj).get("name")
    return obj is logging.root or (
        isinstance(name, str) and logging.root.manager.loggerDict.get(name) is obj
    )


def is_executor(obj: Any) -> bool:
    """Return whether an object has the methods of an executor, or of another pool of threads."""
    return any(_has_methods(type(obj), *names) for names in _USE_AND_END)


def _has_methods(cls: type, *names: str) -> bool:
    return all(defined_in(cls, name) is not None for name in names)
