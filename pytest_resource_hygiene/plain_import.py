"""Imports our own modules as they are, past pytest's rewriting of assertions.

pytest rewrites the ``assert`` statements of every package that ships a plugin, all of its modules:
a tenth of a second at each start wherever the result cannot be kept on disk, as in a container or
an environment that belongs to root. Nothing here profits from it.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, PathFinder, SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["PlainFinder", "install", "remove"]

_OURS = __name__.partition(".")[0] + "."


class PlainFinder(MetaPathFinder):
    """Finds modules of this package where the interpreter itself would."""

    def __init__(self) -> None:
        """Have looked into no folder."""
        self._folders: dict[str, FileFinder] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of ours is; nothing for all others."""
        if not fullname.startswith(_OURS):
            return None
        # Nearly all are sources; the interpreter would try three other endings before each.
        for folder in path or ():
            if (spec := self._source_in(folder, fullname)) is not None:
                return spec
        return PathFinder.find_spec(fullname, path)

    def _source_in(self, folder: str, fullname: str) -> ModuleSpec | None:
        finder = self._folders.get(folder)
        if finder is None:
            finder = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
            self._folders[folder] = finder
        spec = finder.find_spec(fullname)
        return spec if spec is not None and spec.loader is not None else None


_finder = PlainFinder()


def install() -> None:
    """Go before pytest's finder; may be called twice."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def remove() -> None:
    """Leave imports as they were found."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
