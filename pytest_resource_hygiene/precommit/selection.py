"""Chooses what to run: changed test files, folders of changed conftests, tests of changed lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_resource_hygiene.precommit.python_files import is_test_file, patterns_for
from pytest_resource_hygiene.precommit.staged import changed_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_resource_hygiene.precommit.contexts import Contexts
    from pytest_resource_hygiene.precommit.staged import Change

__all__ = ["Selection", "select"]


@dataclass(slots=True)
class Selection:
    """What is to be run.

    Attributes:
        whole: files and folders of which everything is run.
        tests: ids of single tests in other files.
    """

    whole: list[str] = field(default_factory=list)
    tests: set[str] = field(default_factory=set)

    @property
    def arguments(self) -> list[str]:
        """The paths for pytest: files of single tests too, the others in them are deselected."""
        files = {test.partition("::")[0] for test in self.tests}
        return [_as_argument(path) for path in [*self.whole, *sorted(files - set(self.whole))]]


def select(
    given: Sequence[str],
    changes: Sequence[Change],
    root: Path,
    *,
    patterns: Sequence[str] = (),
    contexts: Contexts | None = None,
) -> Selection:
    """Choose the tests that belong to what has changed.

    Args:
        given: paths that the hook was called with, relative to the root.
        changes: what is staged.
        root: the top folder of the repository.
        patterns: of names of test files; by default what pytest's `python_files` says.
        contexts: the record of who ran which line, if there is one.

    Raises:
        GitError: git cannot tell which lines change.
    """
    chosen = Selection()
    paths = dict.fromkeys([*given, *(change.new for change in changes if change.new is not None)])
    for path in paths:
        if (root / path).is_file() and is_test_file(path, patterns or patterns_for(path, root)):
            chosen.whole.append(path)
    chosen.whole += _below_conftests([*paths, *(one.old for one in changes if one.old)], root)
    if contexts is not None:
        for change in changes:
            chosen.tests |= _tests_of(change, contexts, root)
    chosen.whole = _without_nested(chosen.whole)
    chosen.tests = {
        test for test in chosen.tests if _is_new(test.partition("::")[0], chosen.whole, root)
    }
    return chosen


def _as_argument(path: str) -> str:
    """Write a path so that pytest cannot take it for an option, or for a file of options."""
    return f"./{path}" if path.startswith(("-", "@")) else path


def _below_conftests(paths: Iterable[str], root: Path) -> list[str]:
    """Return the folders of conftests: what changes in one may make any test below it leak."""
    found = []
    for path in paths:
        folder = PurePosixPath(path).parent
        if PurePosixPath(path).name == "conftest.py" and (root / folder).is_dir():
            found.append(str(folder))
    return found


def _tests_of(change: Change, contexts: Contexts, root: Path) -> set[str]:
    if change.old is None or not change.old.endswith(".py"):
        return set()
    lines = None if change.new is None else changed_lines(change, root)
    return contexts.tests_of(change.old, lines)


def _without_nested(paths: Iterable[str]) -> list[str]:
    """Leave out what lies in a folder that is there itself."""
    unique = list(dict.fromkeys(paths))
    return [one for one in unique if not any(_lies_in(one, other) for other in unique)]


def _lies_in(path: str, folder: str) -> bool:
    return path != folder and (
        folder == "." or PurePosixPath(folder) in PurePosixPath(path).parents
    )


def _is_new(file: str, whole: Iterable[str], root: Path) -> bool:
    """Tell whether a file of a single test is there, and is not run as a whole anyway."""
    return (root / file).is_file() and not any(file == one or _lies_in(file, one) for one in whole)
