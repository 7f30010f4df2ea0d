"""RH002: an exit callback is registered and never unregistered."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.pairing import is_named
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Call

__all__ = ["RULE"]

_REGISTER = {"atexit.register", "threading._register_atexit"}
_UNREGISTER = "atexit.unregister"


def check(case: Case) -> Iterator[Hit]:
    """Yield exit callbacks that hold an object or a frame, and are never unregistered."""
    for call in case.module.calls:
        if call.name not in _REGISTER or not call.node.args:
            continue
        if not _holds(call) or case.occasions.once(call):
            continue
        if not is_named((_UNREGISTER,), call, case.module):
            yield Hit(call.node, _message(call))


def _message(call: Call) -> str:
    callback = call.argument(0, "func")
    what = ast.unparse(callback) if callback is not None else "a function"
    if len(what) > 60:
        what = "a function"
    return (
        f"exit callback {what} is registered in {call.scope.title} and never unregistered, it keeps "
        f"what it belongs to until the process ends: call atexit.unregister when that is closed, or "
        f"use weakref.finalize"
    )


def _holds(call: Call) -> bool:
    """Tell whether the callback keeps something of its own alive: an object, arguments, a frame.

    A plain function of the module, without arguments, holds nothing that was not there before.
    """
    if len(call.node.args) > 1 or call.node.keywords:
        return True
    callback = call.node.args[0]
    name = dotted(callback)
    if not name:
        return True
    first = name.partition(".")[0]
    return any(
        first in scope.bound and first not in scope.shared
        for scope in call.scope.outwards()
        if scope.kind == "function"
    )


RULE = Rule(
    code="RH002",
    name="exit-callback-never-unregistered",
    what="`atexit.register(...)` in a function or a constructor, with a method, a closure or "
    "arguments, and no `atexit.unregister`.",
    why="The registry keeps the callback, and with it the object, until the process ends: every "
    "object ever made stays, and all are closed at the end, most for the second time.",
    mend="Call `atexit.unregister` in `close()`; or `weakref.finalize(self, ...)`, which also runs at "
    "exit and keeps nothing alive.",
    triggers=("atexit",),
    check=check,
    bad="""\
import atexit


class Cache:
    def __init__(self):
        atexit.register(self.flush)

    def flush(self):
        pass
""",
    good="""\
import atexit


class Cache:
    def __init__(self):
        atexit.register(self.flush)

    def close(self):
        atexit.unregister(self.flush)
        self.flush()

    def flush(self):
        pass
""",
)
