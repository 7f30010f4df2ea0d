"""Imports our own modules as they are, past pytest's rewriting of assertions.

pytest rewrites the ``assert`` statements of every package that ships a plugin, all of its modules:
a tenth of a second at each start wherever the result cannot be kept on disk, as in a container or
an environment that belongs to root. Nothing here profits from it.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["PlainFinder", "install", "remove"]

_OURS = __name__.partition(".")[0] + "."


class PlainFinder(MetaPathFinder):
    """Finds modules of this package where the interpreter itself would."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of ours is; nothing for all others."""
        return PathFinder.find_spec(fullname, path) if fullname.startswith(_OURS) else None


_finder = PlainFinder()


def install() -> None:
    """Go before pytest's finder; may be called twice."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def remove() -> None:
    """Leave imports as they were found."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
