"""RH001: a handler of a signal is set and never put back."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.pairing import (
    area_calls,
    has_attribute,
    in_closing_place,
    is_handed_on,
    within,
)
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule
from pytest_resource_hygiene.lint.words import remembers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Call, Module, Scope

__all__ = ["RULE"]

_SET = "signal.signal"
_GET = "signal.getsignal"
_NO_HANDLERS = {"signal.SIG_DFL", "signal.SIG_IGN", "signal.default_int_handler"}
_LOOP_SET = "add_signal_handler"
_LOOP_REMOVE = "remove_signal_handler"


def check(case: Case) -> Iterator[Hit]:
    """Yield handlers that are set, in code that may run more than once, and not put back."""
    module = case.module
    told: set[Scope] = set()  # once for each function, however many signals it is
    for call in module.calls:
        if call.scope in told:
            continue
        if call.name == _SET:
            if not _sets(call, module) or _is_put_back(call, module):
                continue
            undo = "keep what signal.signal returned and set it again"
        elif call.attribute == _LOOP_SET:
            if _is_taken_from_loop(call, module):
                continue
            undo = "call loop.remove_signal_handler"
        else:
            continue
        if not case.occasions.once(call):
            told.add(call.scope)
            yield Hit(call.node, _message(call, undo))


def _message(call: Call, undo: str) -> str:
    signal = call.argument(0, "signalnum" if call.name == _SET else "sig")
    which = ast.unparse(signal) if signal is not None else "a signal"
    place = "in a `finally`"
    if call.scope.owner_class is not None:
        place = f"in a method of {call.scope.owner_class.name} that ends it (close, __exit__)"
    return f"handler of {which} is set in {call.scope.title} and never put back: {undo} {place}"


def _sets(call: Call, module: Module) -> bool:
    """Tell whether a call of ``signal.signal`` sets a handler of one's own, not one that was there."""
    handler = call.argument(1, "handler")
    if handler is None or _resolved(handler, call) in _NO_HANDLERS:
        return False
    if isinstance(handler, ast.Name) and handler.id in call.scope.parameters:
        return False  # a wrapper of signal.signal: its caller decides
    return not _restores(call, handler, module)


def _resolved(node: ast.expr, call: Call) -> str:
    text = dotted(node)
    first, dot, rest = text.partition(".")
    for scope in call.scope.outwards():
        if first in scope.aliases:
            return scope.aliases[first] + dot + rest
    return text


def _restores(call: Call, handler: ast.expr, module: Module) -> bool:
    if isinstance(handler, ast.Call) and dotted(handler.func).endswith(("getsignal", "signal")):
        return True
    names = {dotted(node) for node in ast.walk(handler)} - {""}
    if any(remembers(name.rpartition(".")[2]) for name in names):
        return True
    if in_closing_place(call) and not isinstance(handler, ast.Lambda):
        return True
    return any(_was_saved(name, module, 3) for name in names)


def _was_saved(name: str, module: Module, depth: int) -> bool:
    """Tell whether a name holds what ``getsignal`` or ``signal`` returned, perhaps in a mapping."""
    for assign in module.assigns_by_target.get(name, ()):
        if assign.value is None:
            continue
        for node in ast.walk(assign.value):
            text = dotted(node.func) if isinstance(node, ast.Call) else ""
            if text.rpartition(".")[2] in {"getsignal", "signal"}:
                return True
            inner = dotted(node)
            if depth and inner and inner != name and _was_saved(inner, module, depth - 1):
                return True
    return False


def _is_put_back(call: Call, module: Module) -> bool:
    for other in area_calls(call, module):
        if other.name != _SET:
            continue
        handler = other.argument(1, "handler")
        if handler is not None and _puts_back(other, handler, module):
            return True
    # `stack.callback(signal.signal, number, old)`, `self.addCleanup(signal.signal, ...)`
    return is_handed_on(_SET, call, module)


def _puts_back(call: Call, handler: ast.expr, module: Module) -> bool:
    if _resolved(handler, call) == "signal.SIG_DFL":
        return True
    return _restores(call, handler, module)


def _is_taken_from_loop(call: Call, module: Module) -> bool:
    """Closing a loop removes its handlers, and so does whoever ran the coroutine with it."""
    if has_attribute((_LOOP_REMOVE,), call, module) or _is_run_by_a_loop(call.scope, module):
        return True
    return any(
        use.base.rpartition(".")[2].endswith("loop") and within(use.scope, call.scope, module)
        for use in module.uses_by_attribute.get("close", ())
    )


def _is_run_by_a_loop(scope: Scope, module: Module) -> bool:
    """Tell whether the coroutine is what ``asyncio.run`` is given: the loop ends with it."""
    return any(
        isinstance(argument, ast.Call) and dotted(argument.func) == scope.name
        for call in module.calls
        if call.attribute in {"run", "run_until_complete"}
        for argument in call.node.args
    )


RULE = Rule(
    code="RH001",
    name="signal-handler-never-put-back",
    what="`signal.signal(...)` or `loop.add_signal_handler(...)` in a function or a constructor, "
    "and nothing that puts the former handler back.",
    why="A handler belongs to the process. Every object that sets one replaces another's and is kept "
    "alive by its own: the second server in one process does not stop, tests change each other.",
    mend="Keep what `signal.signal` returns and set it again in `close()`, `__exit__` or a `finally`; "
    "or set handlers in `main()`, once.",
    triggers=("signal",),
    # `import os, signal` as well; a mere word in a comment is not worth parsing the file.
    pattern=re.compile(rf"\bimport\b.*\bsignal\b|\bfrom signal\b|{_LOOP_SET}"),
    check=check,
    bad="""\
import signal


class Server:
    def __init__(self):
        signal.signal(signal.SIGTERM, self.on_signal)

    def on_signal(self, number, frame):
        self.should_exit = True
""",
    good="""\
import signal


class Server:
    def __enter__(self):
        self._former = signal.signal(signal.SIGTERM, self.on_signal)
        return self

    def __exit__(self, *exc_info):
        signal.signal(signal.SIGTERM, self._former)

    def on_signal(self, number, frame):
        self.should_exit = True
""",
)
