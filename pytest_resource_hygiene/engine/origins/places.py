"""Whose code a file is: the user's, a library's, the standard library's, or a tool's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_resource_hygiene.objects import file_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PLUGIN_ENDINGS", "Place", "Places"]

Place = Literal["user", "library", "stdlib", "tool", "own", "frozen", "generated"]

_OWN = str(Path(__file__).resolve().parents[2]) + "/"
_TOOLS = (
    "_pytest", "pytest", "pluggy", "xdist", "execnet", "coverage", "pytest_cov", "pytest_timeout",
    "pytest_asyncio", "pytest_rerunfailures", "pytest_randomly", "pytest_subtests", "debugpy",
    "pydevd", "_pydevd_bundle", "_pydevd_frame_eval", "_hypothesis_pytestplugin.py",
)  # fmt: skip
# Of packages that users call as well, only the files that are the test runner's.
_DEBUGGER = ("/pdb.py", "/bdb.py")
_TOOL_FILES = ("anyio/pytest_plugin.py",)
PLUGIN_ENDINGS = tuple(f"/{name}" for name in _TOOL_FILES)  # also where it is being developed
_CYTHON = (".pyx", ".pxd", ".pxi")


class Places:
    """Sorts file names, and remembers the answers.

    Args:
        roots: folders of the user's own code, e.g. the project and the folders of collected tests.
        tools: further files that belong to the test runner, e.g. those of installed plugins.
    """

    def __init__(self, roots: Iterable[str] = (), tools: Iterable[str] = ()) -> None:
        """Find out all now: later, a test may have replaced what this takes."""
        # What `sysconfig` would say; importing that takes a millisecond.
        self._stdlib = _prefixes({str(Path(os.__file__).parent)})
        self._roots: tuple[str, ...] = _prefixes(set(roots))
        self._tools = frozenset(tools)
        self._cache: dict[str, Place] = {}
        self._projects: set[str] | None = None

    def add_root(self, folder: str) -> None:
        """Count a folder as the user's, e.g. tests that are shipped inside a package."""
        prefixes = _prefixes({folder})
        if prefixes[0] not in self._roots:
            self._roots += prefixes
            self._cache.clear()

    def has_in_a_root(self, folder: str) -> bool:
        """Return whether a folder is the user's by its name alone, and not one of packages in it."""
        if "-packages" in folder or self._is_in_stdlib(f"{folder}/"):
            return False
        return f"{folder}/".startswith(self._roots)

    def of(self, file: str) -> Place:
        """Return whose a file is, by its name as the code object gives it."""
        try:
            return self._cache[file]
        except KeyError:
            place = self._cache[file] = self._sort(file)
            return place

    def _sort(self, file: str) -> Place:
        if file.startswith(_OWN):
            return "own"
        if file.startswith("<"):
            return "frozen" if file.startswith("<frozen") else "generated"
        if file in self._tools or file.endswith((*_DEBUGGER, *PLUGIN_ENDINGS)):
            return "tool"
        packaged = _below(file, "/site-packages/") or _below(file, "/dist-packages/")
        if packaged:
            if packaged.split("/", 1)[0].removesuffix(".py") in _TOOLS or packaged in _TOOL_FILES:
                return "tool"
            return "user" if self._is_rooted_in_package(file) else "library"
        if file.endswith(_CYTHON) and not file.startswith("/"):  # as it was where it was compiled
            return "user" if any(os.path.exists(root + file) for root in self._roots) else "library"  # noqa: PTH110 - never raises
        if file.startswith(self._stdlib) and not self._is_rooted_in_stdlib(file):
            return "stdlib"
        return "user"

    def _is_rooted_in_stdlib(self, file: str) -> bool:
        # A root above it does not make it the user's: pytest is started in "/" in containers, and in
        # a home or project folder that has the interpreter in it.
        return any(file.startswith(root) and self._is_in_stdlib(root) for root in self._roots)

    def _is_in_stdlib(self, folder: str) -> bool:
        return folder.startswith(self._stdlib) and folder not in self._stdlib

    def _is_rooted_in_package(self, file: str) -> bool:
        # A root above site-packages (a project with its .venv inside) does not make libraries ours.
        return any(file.startswith(root) and "-packages/" in root for root in self._roots)

    def is_library_module(self, name: str) -> bool:
        """Return whether a module is the standard library's or an installed package's.

        A package whose source lies in one of the user's folders is the user's, also when what runs
        is its installed copy.
        """
        top = name.partition(".")[0]
        if top in self._project_packages():
            return False
        file = file_of(sys.modules.get(name))
        if file is None:
            return top in sys.stdlib_module_names
        return self.of(file) in {"library", "stdlib", "tool"}

    def is_part_of(self, module: str, files: Iterable[str]) -> bool:
        """Return whether one of the files belongs to the package that a module is in.

        Of a namespace package, to the part of it that the module is in.
        """
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            file = file_of(sys.modules.get(".".join(parts[:end])))
            if file is not None:
                folder, name = os.path.split(file)
                prefix = f"{folder}/" if name.startswith("__init__.") else file
                return any(one.startswith(prefix) for one in files)
        return False

    def are_of_one_package(self, file: str, other: str) -> bool:
        """Return whether two files are of the same installed package, or are one module."""
        top = _below(file, "-packages/").partition("/")[0]
        return bool(top) and top == _below(other, "-packages/").partition("/")[0]

    def _project_packages(self) -> set[str]:
        if self._projects is None:
            self._projects = {
                path.name.removesuffix(".py")
                for root in self._roots
                if "-packages/" not in root and root not in self._stdlib
                for path in (*_entries(root), *_entries(f"{root}src"))
                if path.suffix == ".py" or os.path.exists(path / "__init__.py")  # noqa: PTH110 - never raises
            }
        return self._projects


def _prefixes(folders: set[str]) -> tuple[str, ...]:
    every = folders | {str(Path(folder).resolve()) for folder in folders}
    return tuple(sorted(folder.rstrip("/") + "/" for folder in every if folder))


def _entries(folder: str) -> list[Path]:
    """Return what is in a folder; nothing of one that is not there or that we may not read."""
    try:
        return list(Path(folder).iterdir())
    except OSError:
        return []


def _below(file: str, marker: str) -> str:
    return file.rpartition(marker)[2] if marker in file else ""
