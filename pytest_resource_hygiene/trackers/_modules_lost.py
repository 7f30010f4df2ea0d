"""Which modules were taken out of `sys.modules`, remembered without keeping one alive."""

from __future__ import annotations

import sys
import weakref
from typing import Any

__all__ = ["ModulesLost"]


class ModulesLost:
    """Compares the table of modules with how it was at the last look."""

    def __init__(self) -> None:
        """Have seen none."""
        self._seen: dict[str, Any] = {}
        self._lost: dict[str, Any] = {}

    def look(self) -> frozenset[str]:
        """Return the names whose module was taken away, and has not been put back.

        Imported anew after it was removed, a name stays in: the next test, which has to import it,
        did nothing wrong.
        """
        present = {name: _reference(module) for name, module in list(sys.modules.items())}
        for name, reference in list(self._lost.items()):
            if _same(present.get(name), reference):
                del self._lost[name]
        for name, reference in self._seen.items():
            if name not in self._lost and not _same(present.get(name), reference):
                self._lost[name] = reference
        self._seen = present
        return frozenset(self._lost)


def _reference(module: Any) -> Any:
    try:
        return weakref.ref(module)  # one object for all plain references to a module
    except TypeError:  # anything may be put into sys.modules
        return id(module)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, int) and one == other)
