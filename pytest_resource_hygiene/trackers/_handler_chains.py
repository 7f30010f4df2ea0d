"""How deep handlers of a signal are chained: each keeps the one that it found.

References are followed from the present handler to handlers that were installed earlier. Calls are
not analysed, so a handler that merely keeps an old one counts as well.
"""

from __future__ import annotations

import sys
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import globals_of, is_a, module_name, referents

if TYPE_CHECKING:
    from pytest_resource_hygiene.audit import Site
    from pytest_resource_hygiene.trackers._signal_calls import SignalCalls

__all__ = ["HandlerChains"]

_MAX_WALK = 5_000
_OWN_PACKAGE = __name__.partition(".")[0] + "."


class HandlerChains:
    """Measures chains, and remembers how deep each was at its last installation.

    Args:
        calls: knows which handlers were installed.
    """

    def __init__(self, calls: SignalCalls) -> None:
        """Have measured none yet."""
        self._calls = calls
        self._depths: dict[int, tuple[tuple[int, Site], int]] = {}

    def depth(self, number: int, handler: Any) -> int:
        """Return how many handlers once installed for the signal lead to each other from this one.

        Itself included: 1 for a handler that keeps none, 0 for a constant.
        """
        if not callable(handler):
            return 0
        installed = self._calls.installed(number)
        known = [ref() for ref, _ in installed]
        others = {_identity(one) for one in known if one is not None} - {_identity(handler)}
        if not others:
            return 1
        # Without another installation no chain grows, and the walk is asked for in every judgement.
        state = _identity(handler), installed[-1][1]
        measured = self._depths.get(number)
        if measured is None or measured[0] != state:
            measured = self._depths[number] = state, 1 + len(_reached(handler, others))
        return measured[1]


def _identity(handler: Any) -> int:
    if is_a(handler, MethodType):  # made anew at each access
        return hash((id(handler.__self__), id(handler.__func__)))
    return id(handler)


def _reached(handler: Any, wanted: set[int]) -> set[int]:
    """Return which of the wanted identities can be reached without passing through a module."""
    found: set[int] = set()
    seen = {id(handler)}
    modules: list[Any] = list(sys.modules.values())
    module_dicts = {id(globals_of(module)) for module in modules if is_a(module, ModuleType)}
    queue = [handler]
    while queue and len(seen) < _MAX_WALK and len(found) < len(wanted):
        obj = queue.pop()
        if _identity(obj) in wanted:
            found.add(_identity(obj))
        for other in referents(obj):
            if id(other) in seen or id(other) in module_dicts:
                continue
            seen.add(id(other))
            if not is_a(other, (type, ModuleType, str, bytes, int)) and not _is_ours(other):
                queue.append(other)
    return found


def _is_ours(obj: Any) -> bool:
    """Return whether an object is of our own, such as a test's window in the context of a callback."""
    return module_name(type(obj)).startswith(_OWN_PACKAGE)
