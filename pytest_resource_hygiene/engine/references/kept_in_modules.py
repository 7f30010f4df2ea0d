"""Whether somebody keeps an object on purpose: near below a module's global."""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType, ModuleType
from types import TracebackType as Traceback
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.landmarks import is_runners, modules
from pytest_resource_hygiene.objects import globals_of, is_a, module_name
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["are_kept"]

_NEAR = 4  # references: from an exception over a list, and an object with its attributes
_MAX_WIDTH = 500
_AT_WORK = (FrameType, Traceback, GeneratorType, CoroutineType, AsyncGeneratorType, ModuleType)


def are_kept(things: Iterable[Any]) -> bool:
    """Return whether a module's global leads to any of some objects, and not by what is at work.

    What `sys` has of the last failure, and what the test runner has, does not count.
    """
    spaces = {
        id(globals_of(module))
        for name, module in modules()
        if name != "sys" and not is_runners(name)
    }
    level = list(things)
    seen = {id(level), *map(id, level)}
    for _ in range(_NEAR):
        above = []
        for one in System.get_referrers(*level[:_MAX_WIDTH]):
            if id(one) in spaces:
                return True
            if id(one) not in seen and not is_a(one, _AT_WORK):
                seen.add(id(one))
                if not is_runners(module_name(type(one))):
                    above.append(one)
        level = above
        if not level:
            break
    return False
