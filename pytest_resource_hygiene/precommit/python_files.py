"""Which files hold tests: what pytest's setting ``python_files`` says, read without pytest.

Files and tables as in pytest's reference, "Configuration file formats": the first of them that has
anything to say to pytest, in the folder of the file or the nearest one above it.
"""

from __future__ import annotations

import configparser
import fnmatch
import shlex
import tomllib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["DEFAULT_PATTERNS", "is_test_file", "patterns_for"]

DEFAULT_PATTERNS = ("test_*.py", "*_test.py")
_Table = dict[str, Any]


def is_test_file(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether pytest would collect a file: patterns with a slash are for the whole path."""
    name = PurePosixPath(path).name
    return any(
        fnmatch.fnmatch(f"/{path}", f"*/{pattern}") if "/" in pattern else fnmatch.fnmatch(name, pattern)
        for pattern in patterns
    )  # fmt: skip


def patterns_for(path: str, root: Path) -> Sequence[str]:
    """Return the patterns that are in force for a file, given by its path below the root.

    A file that cannot be read or parsed says nothing here: pytest itself will tell what is wrong.
    """
    for parent in PurePosixPath(path).parents:
        table = _table_in(root / parent)
        if table is not None:
            return _patterns(table.get("python_files"))
    return DEFAULT_PATTERNS


def _patterns(value: object) -> Sequence[str]:
    if isinstance(value, str):
        value = shlex.split(value)
    if not isinstance(value, list) or not value:
        return DEFAULT_PATTERNS
    return [str(one) for one in value]


def _table_in(folder: Path) -> _Table | None:
    for names, read in _READERS:
        for name in names:
            try:
                text = (folder / name).read_text(encoding="utf-8")
                table = read(text)
            except (OSError, ValueError, configparser.Error):
                continue
            if table is not None:
                return table
    return None


def _ini(section: str, *, alone: bool = False) -> Callable[[str], _Table | None]:
    """Return a reader of an INI file; one that is pytest's alone counts without the section."""

    def read(text: str) -> _Table | None:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(text)
        if parser.has_section(section):
            return dict(parser[section])
        return {} if alone else None

    return read


def _pytest_toml(text: str) -> _Table:
    table = tomllib.loads(text).get("pytest", {})
    return table if isinstance(table, dict) else {}


def _pyproject(text: str) -> _Table | None:
    tool = tomllib.loads(text).get("tool", {})
    table = tool.get("pytest") if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        return None
    older = table.get("ini_options")
    return older if isinstance(older, dict) else table


_READERS: tuple[tuple[tuple[str, ...], Callable[[str], _Table | None]], ...] = (
    (("pytest.toml", ".pytest.toml"), _pytest_toml),
    (("pytest.ini", ".pytest.ini"), _ini("pytest", alone=True)),
    (("pyproject.toml",), _pyproject),
    (("tox.ini",), _ini("pytest")),
    (("setup.cfg",), _ini("tool:pytest")),
)
