"""Which tests ran which lines, as coverage recorded it with dynamic contexts, if it did."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverage import CoverageData

__all__ = ["Contexts", "ContextsError", "read_contexts"]


class ContextsError(Exception):
    """There is a record, and it cannot be used; the text says why."""


class Contexts:
    """A record that can be asked."""

    def __init__(self, data: CoverageData, root: Path) -> None:
        """Take coverage's data; its paths may be absolute, or relative to the root."""
        self._data = data
        self._root = root
        self._files = {_absolute(name, root): name for name in data.measured_files()}

    def tests_of(self, path: str, lines: set[int] | None) -> set[str]:
        """Return the ids of the tests that ran one of these lines of a file, None for any line."""
        name = self._files.get(_absolute(path, self._root))
        if name is None:
            return set()
        found: set[str] = set()
        for line, contexts in self._data.contexts_by_lineno(name).items():
            if lines is None or line in lines:
                found.update(contexts)
        return {test for context in found if (test := test_of(context, self._root))}


def _absolute(name: str, root: Path) -> str:
    return str((root / name).resolve())


def test_of(context: str, root: Path) -> str:
    """Return the test that a context names.

    Args:
        context: ``path::test|run`` from ``pytest --cov-context=test``, or ``module.test`` from
            coverage's own ``dynamic_context = test_function``.
        root: where modules are looked for.
    """
    test = context.partition("|")[0]
    if "::" in test or not test:
        return test
    parts = test.split(".")
    for length in range(len(parts) - 1, 0, -1):
        file = Path(*parts[:length]).with_suffix(".py")
        if (root / file).is_file():
            return "::".join([file.as_posix(), *parts[length:]])
    return ""


def read_contexts(file: Path, root: Path) -> Contexts | None:
    """Read a data file of coverage; None if there is none, or it has no contexts.

    Raises:
        ContextsError: there is one and it cannot be read.
    """
    if not file.is_file():
        return None
    try:
        from coverage import CoverageData
        from coverage.exceptions import CoverageException
    except ImportError as error:
        raise ContextsError(f"{file.name} is there, but coverage is not installed") from error
    try:
        data = CoverageData(basename=str(file))
        data.read()
        has_contexts = any(data.measured_contexts())
        return Contexts(data, root) if has_contexts else None
    except (CoverageException, sqlite3.Error, OSError, ValueError) as error:
        raise ContextsError(f"{file.name} cannot be read: {error}") from error
