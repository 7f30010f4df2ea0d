"""RH003: a listener is added to something that lives longer, and never removed."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.pairing import has_attribute, in_closing_place, within
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Call, Module, Scope

__all__ = ["RULE"]

#: How a listener is added, and what takes it away.
_PAIRS = {
    "addHandler": ("removeHandler", "handlers"),
    "on": ("remove_listener", "remove_all_listeners", "off", "un"),
    "add_listener": ("remove_listener", "remove_all_listeners", "off"),
    "addListener": ("removeListener", "removeAllListeners"),
    "add_event_listener": ("remove_event_listener",),
    "subscribe": ("unsubscribe", "dispose"),
    "add_observer": ("remove_observer", "delete_observer"),
    "connect": ("disconnect",),
}
_PROCESS_WIDE = {"gc.callbacks.append"}


def check(case: Case) -> Iterator[Hit]:
    """Yield listeners that hold their owner, on emitters that outlive it, never removed."""
    told: set[Scope] = set()  # once for each function, however many listeners it adds
    for call in case.module.calls:
        if call.scope in told:
            continue
        if call.name in _PROCESS_WIDE:
            removers: tuple[str, ...] = ("remove", "clear", "pop")
            listener = call.node.args[-1] if call.node.args else None
        elif call.attribute in _PAIRS and isinstance(call.node.func, ast.Attribute):
            removers = _PAIRS[call.attribute]
            listener = _listener(call, case.module)
        else:
            continue
        if listener is None or in_closing_place(call) or case.occasions.once(call):
            continue
        if not has_attribute(removers, call, case.module) and not _is_cleared(call, case.module):
            told.add(call.scope)
            yield Hit(call.node, _message(call, listener, removers[0]))


def _is_cleared(call: Call, module: Module) -> bool:
    """Tell whether the emitter is emptied as a whole."""
    emitter = call.text.rpartition(".")[0].rpartition(".")[2]
    cleared = [one.text for one in module.calls if one.attribute == "clear" and one.text != "clear"]
    cleared += [one.name for one in module.calls if one.text == "clear"]
    return any(name.endswith(f"{emitter}.clear") for name in cleared)


def _message(call: Call, listener: ast.expr, remover: str) -> str:
    what = ast.unparse(listener)
    what = what if len(what) <= 40 else "a listener"
    emitter = ast.unparse(call.node.func.value) if isinstance(call.node.func, ast.Attribute) else ""
    owner = call.scope.owner_class
    place = f"when {owner.name} is closed" if owner is not None else "in a `finally`"
    return (
        f"{what} is added to {emitter} in {call.scope.title} and never removed, and {emitter} lives "
        f"longer: call {remover} {place}"
    )


def _listener(call: Call, module: Module) -> ast.expr | None:
    """Return what is added, if it is one more listener on each call and is held."""
    if call.attribute == "addHandler":
        return _handler(call, module)
    listener = call.node.args[-1] if call.node.args else None
    if call.attribute == "connect" and not _is_strong(call):
        return None
    if call.attribute in {"on", "subscribe"} and len(call.node.args) < 2:
        return None
    if listener is None or not _holds_owner(listener, call.scope):
        return None
    return listener if _outlives(call, module) else None


def _is_strong(call: Call) -> bool:
    """Signals of blinker and Django hold their receivers weakly unless told otherwise."""
    return any(
        one.arg == "weak" and isinstance(one.value, ast.Constant) and one.value.value is False
        for one in call.node.keywords
    )


def _holds_owner(listener: ast.expr, scope: Scope) -> bool:
    """Tell whether a listener is a method of ``self``, or a function made in this very call."""
    if isinstance(listener, ast.Lambda):
        return True
    text = dotted(listener)
    if not text and isinstance(listener, ast.Call):  # partial(self.on_event, ...)
        return any(_holds_owner(argument, scope) for argument in listener.args)
    first, _, rest = text.partition(".")
    if first in {"self", "cls"}:
        return first == "self" and bool(rest)
    return any(
        child.name == first
        for one in scope.outwards()
        if one.kind == "function"
        for child in one.children
    )


def _outlives(call: Call, module: Module) -> bool:
    """Tell whether the emitter was there before: a module's, or one that was handed in."""
    emitter = call.text.rpartition(".")[0]
    first, _, rest = emitter.partition(".")
    if not emitter:
        return False
    for scope in call.scope.outwards():
        if first in scope.aliases:
            return True
        if first in scope.bound:
            if scope.kind == "module":
                return True
            if first == "self":
                return bool(rest) and _was_handed_in(rest.partition(".")[0], call.scope, module)
            # What a test is given are fixtures, and these end when it does.
            return first in scope.parameters and not scope.name.startswith("test")
    return False


def _was_handed_in(attribute: str, scope: Scope, module: Module) -> bool:
    """Tell whether ``self.attribute`` is a parameter, or a global, of the class's own methods."""
    owner = scope.owner_class
    assigns = [
        one
        for one in module.assigns_by_target.get(f"self.{attribute}", ())
        if within(one.scope, scope, module)
    ]
    return (
        bool(assigns)
        and owner is not None
        and all(
            isinstance(one.value, ast.Name) and one.value.id in one.scope.parameters
            for one in assigns
        )
    )


def _handler(call: Call, module: Module) -> ast.expr | None:
    """Return the handler that is added to a logger which the process keeps."""
    handler = call.argument(0, "hdlr")
    if handler is None or "NullHandler" in ast.unparse(handler):
        return None
    logger = call.node.func.value if isinstance(call.node.func, ast.Attribute) else None
    if logger is None or not _is_kept_logger(logger, call, module) or _is_asked_first(call):
        return None
    if call.scope.owner_class is None and not _returns(dotted(logger), call.scope):
        return None  # a function that configures logging: once, by whoever runs the program
    return handler


def _is_kept_logger(logger: ast.expr, call: Call, module: Module) -> bool:
    if isinstance(logger, ast.Call):
        return dotted(logger.func).rpartition(".")[2] == "getLogger"
    name = dotted(logger)
    return any(
        isinstance(assign.value, ast.Call)
        and dotted(assign.value.func).rpartition(".")[2] == "getLogger"
        and within(assign.scope, call.scope, module)
        for assign in module.assigns_by_target.get(name, ())
    )


def _is_asked_first(call: Call) -> bool:
    """Tell whether it is looked first what handlers there are."""
    tests = [place.node.test for place in call.places() if isinstance(place.node, ast.If)]
    tests += call.scope.leaves[: call.leaves]
    return any("handlers" in ast.unparse(test).lower() for test in tests)


def _returns(name: str, scope: Scope) -> bool:
    return bool(name) and any(
        isinstance(node, ast.Return) and node.value is not None and dotted(node.value) == name
        for node in ast.walk(scope.node)
    )


RULE = Rule(
    code="RH003",
    name="listener-never-removed",
    what="A method of `self`, a closure or a log handler is added to an emitter, a signal "
    "(`weak=False`) or a logger that lives longer, and nothing in the class removes it.",
    why="The emitter keeps every object that ever listened, and calls them all: memory grows, work is "
    "done twice, a log line is written once for each object that was made.",
    mend="Remove the listener in `close()`; or connect weakly where the library can; or add log "
    "handlers once, in the program's start.",
    triggers=(
        *(f".{name}(" for name in _PAIRS if name != "connect"),
        "weak=False",
        "callbacks.append(",
    ),
    check=check,
    bad="""\
class Monitor:
    def __init__(self, bus):
        self.seen = 0
        bus.add_listener("request", self.on_request)

    def on_request(self, request):
        self.seen += 1
""",
    good="""\
class Monitor:
    def __init__(self, bus):
        self.seen = 0
        self.bus = bus
        bus.add_listener("request", self.on_request)

    def on_request(self, request):
        self.seen += 1

    def close(self):
        self.bus.remove_listener("request", self.on_request)
""",
)
