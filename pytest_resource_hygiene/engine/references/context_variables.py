"""What a library keeps in a context variable: no global of Python's leads to it.

A thread-local needs nothing of this: the collector shows the dictionaries of all its threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.model import Holder
from pytest_resource_hygiene.objects import globals_of, is_a

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

__all__ = ["is_node_of_context", "variable_with"]


def variable_with(
    context: Context,
    value: Any,
    modules: Iterable[tuple[str, Any]],
    counts: Callable[[str], bool],
) -> Holder | None:
    """Return whose context variable has a value, in that context.

    Args:
        context: a context that refers to the value.
        value: what is looked for, by identity.
        modules: names and modules, of whose globals the variable may be one.
        counts: whether a module counts as a holder, by its name.
    """
    variables = [variable for variable, held in context.items() if held is value]
    for name, module in modules:
        for attribute, found in list(globals_of(module).items()):
            if any(found is one for one in variables) and counts(name):
                return Holder(name, (f"module {name}", f"{name}.{attribute}"))
    return None


def is_node_of_context(obj: Any) -> bool:
    """Return whether an object is part of the tree in which a context has its values."""
    return type(obj).__name__.startswith("hamt") and not is_a(obj, type)
