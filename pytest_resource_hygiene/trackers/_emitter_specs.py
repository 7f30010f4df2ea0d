"""What may be declared as a registry of listeners, and how it is written in settings.

Loaded where a project declares one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.trackers._emitters import strong
from pytest_resource_hygiene.trackers._names import class_name

if TYPE_CHECKING:
    from pytest_resource_hygiene.trackers._declared_emitters import Pairs

__all__ = ["emitter_from", "load_emitter"]

_ATTRIBUTES = ("listeners", "_listeners", "_events", "receivers", "callbacks")


def emitter_from(spec: object) -> Callable[[], Pairs]:
    """Make the function that lists the listeners of a declared registry.

    Args:
        spec: a mapping of events to listeners, a collection of listeners, a function without
            arguments that returns one of these, or an object that keeps one of these in an
            attribute ``listeners``, ``_listeners``, ``_events``, ``receivers`` or ``callbacks``.

    Raises:
        SettingsError: if it is none of these; a function's result is looked at when it is called.
    """
    if _registry_in(spec) is not None or not _is_function(spec):
        _pairs(spec)
    return lambda: _pairs(spec)


def _is_function(spec: object) -> TypeGuard[Callable[[], object]]:
    return callable(spec) and not isinstance(spec, type)


def _registry_in(spec: object) -> Any:
    """Return the mapping or collection that is there, or that an attribute holds."""
    if _is_registry(spec):
        return spec
    for name in _ATTRIBUTES:
        value = getattr(spec, name, None)
        if _is_registry(value):
            return value
    return None


def _is_registry(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, (str, bytes, type))


def _pairs(spec: object) -> list[tuple[str, object]]:
    registry = _registry_in(spec)
    if registry is None and _is_function(spec):
        spec = spec()
        registry = _registry_in(spec)
    if registry is None:
        raise _no_registry(spec)
    if not isinstance(registry, Mapping):
        return [("", listener) for listener in list(registry)]
    return [
        (str(event), listener)
        for event, listeners in list(registry.items())
        for listener in _listeners(listeners)
    ]


def _listeners(value: Any) -> list[object]:
    value = strong(value)
    if value is None:
        return []
    if _is_registry(value):
        return list(value)
    if callable(value):  # a mapping of names to one callback each
        return [value]
    raise _no_registry(value)


def _no_registry(value: object) -> SettingsError:
    return SettingsError(
        f"cannot list the listeners of {value!r} ({class_name(value)}); valid are a mapping of "
        "events to listeners, a collection of listeners, a function without arguments that "
        "returns one of these, or an object with one of these in an attribute "
        f"{', '.join(_ATTRIBUTES[:-1])} or {_ATTRIBUTES[-1]}: declare one of them, "
        "or a function that makes it"
    )


def load_emitter(spec: str) -> tuple[str, Callable[[], Pairs]]:
    """Read one line of settings, ``name = package.module:attribute`` (the name may be left out).

    The module is not imported for that: a registry that nobody has imported has no listeners.

    Returns:
        The name, and the function that lists the listeners, for `Declared.declare`.

    Raises:
        SettingsError: if the line is of another form; later, when the module is there, if it has
            no such attribute or that is no registry.
    """
    left, equals, right = spec.partition("=")
    path = (right if equals else left).strip()
    name = left.strip() if equals else path
    module, colon, attributes = path.partition(":")
    parts = [*module.split("."), *attributes.split(".")]
    if not (name and colon and all(part.isidentifier() for part in parts)):
        raise SettingsError(
            f"{spec!r} is no emitter. Write 'name = package.module:attribute' or "
            "'package.module:attribute', with dots for attributes of attributes."
        )
    return name, lambda: _loaded(spec, module, attributes)


def _loaded(spec: str, name: str, attributes: str) -> list[tuple[str, object]]:
    module = sys.modules.get(name)
    if module is None or getattr(getattr(module, "__spec__", None), "_initializing", False):
        return []
    found: Any = module
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise SettingsError(
                f"the emitter {spec!r} names {attribute!r}, which {found!r} does not have: "
                "correct the line, or remove it"
            ) from None
    return _pairs(found)
