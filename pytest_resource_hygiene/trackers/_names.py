"""Names functions, and other objects by their class, as findings call them."""

from __future__ import annotations

import functools
from typing import Any

from pytest_resource_hygiene.objects import attribute_of, is_a

__all__ = ["class_name", "function_name", "name_of"]


def function_name(function: Any) -> str:
    """Name a callable, or what is in a partial: by module and qualified name, else by its class."""
    function = attribute_of(function, "func", function)
    module = attribute_of(function, "__module__")
    name = attribute_of(function, "__qualname__") or type(function).__qualname__
    return f"{module}.{name}" if module else str(name)


def name_of(listener: Any) -> str:
    """Name a callable by module and qualified name, any other object by its class."""
    if listener is None:
        return "that is gone by now"
    if is_a(listener, str):  # a registry of names
        return repr(listener)
    while is_a(listener, functools.partial):
        listener = listener.func
    name = attribute_of(listener, "__qualname__")
    module = attribute_of(listener, "__module__")
    if isinstance(name, str):
        return f"{module}.{name}" if isinstance(module, str) else name
    return f"{class_name(listener)} object"


def class_name(obj: object) -> str:
    """Name the class of an object by module and qualified name."""
    return f"{type(obj).__module__}.{type(obj).__qualname__}"
