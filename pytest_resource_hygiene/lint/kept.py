"""What classes start and keep on themselves: threads, timers, processes, pools, tasks."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.words import closes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Assign, Call, Module, Scope

__all__ = ["ENDINGS", "Kept", "is_ended", "kept_by", "kind_of", "may_run_for_ever"]

_MAKERS = {
    "threading.Thread": "thread",
    "threading.Timer": "timer",
    "multiprocessing.Process": "process",
    "multiprocessing.Pool": "pool",
    "multiprocessing.pool.Pool": "pool",
    "multiprocessing.pool.ThreadPool": "pool",
    "concurrent.futures.ThreadPoolExecutor": "executor",
    "concurrent.futures.ProcessPoolExecutor": "executor",
    "concurrent.futures.thread.ThreadPoolExecutor": "executor",
    "concurrent.futures.process.ProcessPoolExecutor": "executor",
    "subprocess.Popen": "child process",
    "asyncio.create_subprocess_exec": "child process",
    "asyncio.create_subprocess_shell": "child process",
    "asyncio.create_task": "task",
    "asyncio.ensure_future": "task",
}
_NEED_START = {"thread", "timer", "process"}

#: What ends each kind, for messages.
ENDINGS = {
    "thread": "tells it to end and joins it",
    "timer": "calls cancel() on it",
    "process": "calls terminate() and join() on it",
    "pool": "calls terminate() and join() on it",
    "executor": "calls shutdown() on it",
    "child process": "calls terminate() and wait() on it",
    "task": "cancels and awaits it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something started by a class and kept in an attribute.

    Attributes:
        owner: the class.
        attribute: without ``self.``.
        kind: a key of `ENDINGS`.
        call: what made it.
    """

    owner: Scope
    attribute: str
    kind: str
    call: Call


def kind_of(call: Call, module: Module) -> str:
    """Return what kind of thing a call makes; an empty text for anything else."""
    known = _MAKERS.get(call.name)
    if known:
        return known
    receiver, _, method = call.text.rpartition(".")
    if method == "create_task" and receiver.rpartition(".")[2].endswith("loop"):
        return "task"
    if call.attribute == "create_task" and _is_loop_call(call.node.func):
        return "task"
    made = module.class_named(call.text)
    return _kind_of_class(made, module, 4) if made is not None else ""


def _is_loop_call(function: ast.expr) -> bool:
    """Recognise ``asyncio.get_running_loop().create_task``."""
    value = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(value, ast.Call) and dotted(value.func).endswith("_loop")


def _kind_of_class(scope: Scope, module: Module, depth: int) -> str:
    """Return the kind that a class of this file is by its bases."""
    for base in getattr(scope.node, "bases", []):
        text = dotted(base)
        first, dot, rest = text.partition(".")
        known = _MAKERS.get(module.root.aliases.get(first, first) + dot + rest)
        if known in _NEED_START:
            return known
        inner = module.class_named(text)
        if depth and inner is not None and inner is not scope:
            return _kind_of_class(inner, module, depth - 1)
    return ""


def kept_by(owner: Scope, module: Module) -> Iterator[Kept]:
    """Yield what a class starts and keeps on its instances, each attribute once."""
    seen: set[str] = set()
    for method in owner.methods:
        itself = _first_parameter(method)
        for assign in (one for scope in method.inwards() for one in scope.assigns):
            first, _, attribute = assign.target.partition(".")
            if (
                first != itself
                or not attribute
                or attribute in seen
                or assign.subscript is not None
            ):
                continue
            call = _maker(assign)
            kind = kind_of(call, module) if call is not None else ""
            if call is None or not kind:
                continue
            kept = Kept(owner=owner, attribute=attribute, kind=kind, call=call)
            if kind not in _NEED_START or _is_started(kept, module):
                seen.add(attribute)
                yield kept


def _first_parameter(method: Scope) -> str:
    given = method.parameters
    decorators = {dotted(one) for one in getattr(method.node, "decorator_list", [])}
    return given[0] if given and "staticmethod" not in decorators else ""


def _maker(assign: Assign) -> Call | None:
    """Return the call whose value is bound, also by way of one local name."""
    value = assign.value.value if isinstance(assign.value, ast.Await) else assign.value
    for call in assign.scope.calls:
        if call.node is value:
            return call
    if isinstance(value, ast.Name):
        for call in assign.scope.calls:
            if call.target == value.id:
                return call
    return None


def _is_started(kept: Kept, module: Module) -> bool:
    """Tell whether ``start()`` is called on it, by its attribute or by the local name it had."""
    names = {kept.call.target} if "." not in kept.call.target else set()
    for call in module.calls:
        if call.attribute != "start" or call.scope.owner_class is not kept.owner:
            continue
        receiver = call.text.rpartition(".")[0]
        if receiver.partition(".")[2] == kept.attribute:
            return True
        if receiver in names and call.scope is kept.call.scope:
            return True
    return False


def is_ended(kept: Kept, module: Module) -> bool:
    """Tell whether anything in the file ends it, or hands it to others who may."""
    tail = "." + kept.attribute
    local = kept.call.target if "." not in kept.call.target else ""
    uses = [*module.uses_by_tail.get(kept.attribute.rpartition(".")[2], ())]
    uses += module.uses_by_tail.get(local, ()) if local else ()
    for use in uses:
        if use.base.endswith(tail) and use.attribute and closes(use.attribute):
            return True
        if use.base.endswith(tail) and not use.attribute and not use.only_tested:
            return True
        if local and use.base == local and use.scope is kept.call.scope and closes(use.attribute):
            return True
    return False


def may_run_for_ever(kept: Kept, module: Module) -> bool:
    """Tell whether a thread or task may go on for ever, as far as the file shows.

    One whose function is in this file and has no loop comes to its end by itself.
    """
    if kept.kind not in {"thread", "task", "process", "timer"}:
        return True
    body = _body(kept, module)
    return body is None or any(map(_loops, _reachable(body, module)))


def _body(kept: Kept, module: Module) -> Scope | None:
    call = kept.call
    if kept.kind == "task":
        work = call.argument(0, "coro")
        text = dotted(work.func) if isinstance(work, ast.Call) else ""
    elif kept.kind == "timer":
        text = dotted(call.argument(1, "function"))
    else:
        text = dotted(call.argument(1, "target"))
        made = module.class_named(call.text)
        if made is not None:
            return _method(made, "run", module)
    return _function(text, call.scope, module)


def _function(text: str, scope: Scope, module: Module) -> Scope | None:
    first, _, rest = text.partition(".")
    owner = scope.owner_class
    if rest and owner is not None and "." not in rest:
        return _method(owner, rest, module)
    if rest:
        return None
    for one in scope.outwards():
        for child in one.children:
            if child.kind == "function" and child.name == first and one.kind != "class":
                return child
    return None


def _method(owner: Scope, name: str, module: Module) -> Scope | None:
    """Return a method of a class or of its bases in this file, the nearest first."""
    seen: set[Scope] = set()
    waiting = [owner]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        for method in one.methods:
            if method.name == name:
                return method
        bases = (module.class_named(dotted(base)) for base in getattr(one.node, "bases", []))
        waiting.extend(base for base in bases if base is not None)
    return None


def _reachable(body: Scope, module: Module) -> list[Scope]:
    """Return a function and those of this file that it calls."""
    found: list[Scope] = []
    waiting = [body]
    while waiting:
        scope = waiting.pop()
        if scope in found:
            continue
        found.append(scope)
        for call in scope.calls:
            called = _function(call.text, scope, module)
            if called is not None:
                waiting.append(called)
    return found


_BLOCKING = {"serve_forever", "run_forever", "forever", "mainloop", "Forever"}


def _loops(scope: Scope) -> bool:
    """Tell whether a function has a loop that needs not end, or waits for ever."""
    if any(
        call.attribute.rpartition("_")[2] in _BLOCKING or call.attribute in _BLOCKING
        for call in scope.calls
    ):
        return True
    return any(isinstance(node, ast.While) or _endless(node) for node in ast.walk(scope.node))


def _endless(node: ast.AST) -> bool:
    """Recognise ``async for`` and ``for … in iter(get, None)``: as long as somebody sends."""
    if isinstance(node, ast.AsyncFor):
        return True
    return (
        isinstance(node, ast.For)
        and isinstance(node.iter, ast.Call)
        and dotted(node.iter.func) in {"iter", "itertools.count", "count"}
    )
