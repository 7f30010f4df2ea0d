"""RH005: something is started, and its counterpart is called nowhere."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.kept import kind_of
from pytest_resource_hygiene.lint.pairing import (
    area_calls,
    has_attribute,
    in_closing_place,
    is_handed_on,
    is_named,
)
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule
from pytest_resource_hygiene.lint.words import closes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Call, Module, Scope

__all__ = ["RULE"]

#: For the whole process: what starts it, and what ends it.
_PAIRS = {
    "tracemalloc.start": "tracemalloc.stop",
    "gc.disable": "gc.enable",
    "faulthandler.dump_traceback_later": "faulthandler.cancel_dump_traceback_later",
}
#: Ended by a call of the same function with nothing in it: 0 or None.
_SELF_ENDING = {
    "signal.alarm": 0,
    "signal.setitimer": 1,
    "sys.settrace": 0,
    "sys.setprofile": 0,
    "threading.settrace": 0,
    "threading.setprofile": 0,
}
_PATCH = ("patch", "patch.object", "patch.dict", "patch.multiple")


def check(case: Case) -> Iterator[Hit]:
    """Yield what is started in code that may run more than once, and ended nowhere."""
    for call in case.module.calls:
        hit = (
            _process_wide(call, case.module)
            or _patcher(call, case.module)
            or _local(call, case.module)
        )
        if hit is not None and not case.occasions.once(call):
            yield hit


def _process_wide(call: Call, module: Module) -> Hit | None:
    counterpart = _PAIRS.get(call.name)
    if counterpart is not None:
        if is_named((counterpart,), call, module):
            return None
    elif call.name in _SELF_ENDING:
        if not _arms(call) or _is_disarmed(call, module):
            return None
        nothing = "None" if call.name.endswith(("trace", "profile")) else "0"
        counterpart = f"{call.name} with {nothing} or what was there before,"
    else:
        return None
    return Hit(
        call.node,
        f"{call.name} in {call.scope.title} has no counterpart: call {counterpart} in a `finally`",
    )


def _arms(call: Call) -> bool:
    """Tell whether a call sets something: not 0, not None, not what was kept from before."""
    value = call.argument(_SELF_ENDING[call.name])
    if value is None or (isinstance(value, ast.Constant) and not value.value):
        return False
    # A wrapper's caller decides; in a `finally` it is put back.
    is_wrapper = isinstance(value, ast.Name) and value.id in call.scope.parameters
    return not is_wrapper and not in_closing_place(call)


def _is_disarmed(call: Call, module: Module) -> bool:
    """Any second call counts: with nothing, or with what had been there before."""
    for other in area_calls(call, module):
        if other.name == call.name and (not _arms(other) or other.scope is not call.scope):
            return True
        if other.name == call.name and ast.unparse(other.node) != ast.unparse(call.node):
            return True
    return is_handed_on(call.name, call, module)


def _patcher(call: Call, module: Module) -> Hit | None:
    """``patch(...).start()``, at once or by a name: ``stop``, ``stopall`` or a cleanup must exist."""
    if call.attribute != "start" or not isinstance(call.node.func, ast.Attribute):
        return None
    made = call.node.func.value
    if not isinstance(made, ast.Call) or not dotted(made.func).endswith(_PATCH):
        return None
    if has_attribute(("stopall", "stop"), call, module):
        return None
    return Hit(
        call.node,
        f"the patch started in {call.scope.title} is never stopped: use it in a `with`, or call "
        f"addCleanup(patch.stopall)",
    )


def _local(call: Call, module: Module) -> Hit | None:
    """``thing = Thing(...)``, ``thing.start()``, and then the function forgets it."""
    name = call.text.partition(".")[0]
    if call.text != f"{name}.start" or call.scope.kind != "function":
        return None
    maker = next((one for one in call.scope.calls if one.target == name), None)
    if maker is None or not _has_counterpart(maker, module):
        return None
    if _is_cared_for(name, call.scope, module):
        return None
    return Hit(
        call.node,
        f"{name} is started in {call.scope.title} and goes out of sight there: stop it in a `finally`, "
        f"or return it to whoever can",
    )


def _has_counterpart(maker: Call, module: Module) -> bool:
    """Tell whether what is made can be stopped: a timer, or a class of this file that says so.

    Of a class from elsewhere it is not known whether ``start()`` goes on after it has returned.
    """
    if kind_of(maker, module):
        return kind_of(maker, module) == "timer"
    made = module.class_named(maker.text)
    names = {method.name for method in made.methods} if made is not None else set()
    return "start" in names and not names.isdisjoint({"stop", "close", "aclose", "shutdown"})


def _is_cared_for(name: str, scope: Scope, module: Module) -> bool:
    """Tell whether a local name is ended here, or handed to somebody."""
    if any(scope.shared) and name in scope.shared:
        return True
    for use in module.uses_by_tail.get(name, ()):
        if use.base != name or scope not in use.scope.outwards():
            continue
        if use.scope is not scope or (not use.attribute and not use.only_tested):
            return True
        if use.attribute and closes(use.attribute):
            return True
    return False


RULE = Rule(
    code="RH005",
    name="start-without-stop",
    what="A `start()` with no counterpart: `tracemalloc.start`, `gc.disable`, `signal.alarm`, "
    "`sys.settrace`, `patch(...).start()`; or an object that a function makes, starts and forgets.",
    why="What was started goes on after the function has returned, for the whole process, and nobody "
    "has it in hand any more.",
    mend="Call the counterpart in a `finally`, use the context manager, or return the object.",
    triggers=(
        ".start()",
        "tracemalloc",
        "gc.disable",
        "from gc",
        "dump_traceback_later",
        "alarm(",
        "setitimer",
        "settrace",
        "setprofile",
    ),
    check=check,
    bad="""\
import tracemalloc


def heaviest_lines(work):
    tracemalloc.start()
    work()
    return tracemalloc.take_snapshot().statistics("lineno")[:10]
""",
    good="""\
import tracemalloc


def heaviest_lines(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.take_snapshot().statistics("lineno")[:10]
    finally:
        tracemalloc.stop()
""",
)
