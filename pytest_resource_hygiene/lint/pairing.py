"""Whether what was registered is taken away again: in the class, in a ``finally``, in the module."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.words import is_closing_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_resource_hygiene.lint.facts import Call, Module, Scope

__all__ = [
    "area_calls",
    "has_attribute",
    "in_closing_place",
    "is_handed_on",
    "is_named",
    "within",
]


def within(scope: Scope, registered: Scope, module: Module) -> bool:
    """Tell whether code in one scope may undo what another one registered.

    A method's registration is undone by its class, its relatives, or by plain functions; never by
    a class that happens to stand in the same file.
    """
    owner = registered.owner_class
    if owner is None:
        return True
    other = scope.owner_class
    return other is None or other in module.relatives(owner)


def area_calls(call: Call, module: Module) -> Iterator[Call]:
    """Yield the calls that may undo one, itself left out."""
    for other in module.calls:
        if other is not call and within(other.scope, call.scope, module):
            yield other


def is_named(names: Iterable[str], call: Call, module: Module) -> bool:
    """Tell whether one of these functions is named, called or not, where it may undo a call."""
    return any(
        within(use.scope, call.scope, module)
        for name in names
        for use in module.uses_by_name.get(name, ())
    )


def has_attribute(attributes: Iterable[str], call: Call, module: Module) -> bool:
    """Tell whether an attribute of such a name is used where it may undo a call."""
    return any(
        within(use.scope, call.scope, module)
        for attribute in attributes
        for use in module.uses_by_attribute.get(attribute, ())
    )


def is_handed_on(name: str, call: Call, module: Module) -> bool:
    """Tell whether a function is named but not called there: ``stack.callback(signal.signal, …)``."""
    return any(
        use.node not in module.called and within(use.scope, call.scope, module)
        for use in module.uses_by_name.get(name, ())
    )


def in_closing_place(call: Call) -> bool:
    """Tell whether a call stands where things are put back.

    In a ``finally``, behind a ``yield``, or in a function that is named for it.
    """
    if call.after_yield or any(place.kind == "finally" for place in call.places()):
        return True
    return any(
        is_closing_name(one.name) for one in call.scope.outwards() if one.kind == "function"
    ) and not isinstance(call.scope.node, ast.Module)
