"""Calls back when a module has been imported, so that what nobody uses is never loaded by us."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["PostImport"]


class PostImport(MetaPathFinder):
    """A finder that finds nothing itself, and notices when one of its modules has been executed."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._asking: set[str] = set()

    def when_imported(self, name: str, callback: Callable[[], None]) -> None:
        """Call at once if the module is there, else right after it has been executed."""
        if name in sys.modules:
            callback()
            return
        self._waiting.setdefault(name, []).append(callback)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Wait no longer."""
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find it; hang ourselves on its loader."""
        if fullname not in self._waiting or fullname in self._asking:
            return None
        self._asking.add(fullname)  # another of us asks back: a run within a run has one of its own
        try:
            spec = self._ask_others(fullname, path, target)
        finally:
            self._asking.discard(fullname)
        if spec is not None:
            self._hang_on(spec.loader, fullname)
        return spec

    def _ask_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is self:
                continue
            find = getattr(finder, "find_spec", None)  # which a finder of old need not have
            spec: ModuleSpec | None = find(fullname, path, target) if find is not None else None
            if spec is not None:
                return spec
        return None

    def _hang_on(self, loader: Any, name: str) -> None:
        execute = loader.exec_module  # the class's, or what another of us has put there

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            for callback in self._waiting.pop(name, ()):
                callback()

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader of C code that takes no attributes: stay blind to it
            self._waiting.pop(name, None)
