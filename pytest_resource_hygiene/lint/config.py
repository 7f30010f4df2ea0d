"""The table ``[tool.resource-hygiene-lint]`` of ``pyproject.toml``, and the command line above it."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Config", "ConfigError", "find_config", "load_config", "parse_codes"]

_TABLE = "resource-hygiene-lint"
_KEYS = ("select", "ignore", "exclude", "per-file-ignores")
_ALWAYS_EXCLUDED = (
    ".git", ".hg", ".mypy_cache", ".nox", ".ruff_cache", ".tox", ".venv", "__pycache__", "build", "dist",
    "node_modules", "site-packages", "venv",
)  # fmt: skip


class ConfigError(Exception):
    """The configuration or the command line cannot be used as written; the text says what is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What is looked for, and where.

    Attributes:
        root: patterns of paths are relative to this folder.
        codes: of the enabled rules.
        exclude: patterns of files and folders that are not read.
        per_file_ignores: codes by pattern.
    """

    root: Path
    codes: frozenset[str]
    exclude: tuple[str, ...] = _ALWAYS_EXCLUDED
    per_file_ignores: dict[str, frozenset[str]] = field(default_factory=dict)

    def narrowed(self, select: str | None, ignore: str | None, known: frozenset[str]) -> Config:
        """Return it with the command line's ``--select`` and ``--ignore`` above it."""
        codes = self.codes if select is None else parse_codes(_split(select), "--select", known)
        if ignore is not None:
            codes -= parse_codes(_split(ignore), "--ignore", known)
        return replace(self, codes=codes)


def find_config(start: Path) -> Path | None:
    """Return the nearest ``pyproject.toml`` from a folder upwards."""
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    return None


def load_config(path: Path | None, known: frozenset[str], *, start: Path) -> Config:
    """Read the configuration.

    Args:
        path: the file; None if there is none.
        known: the codes that exist.
        start: the root if there is no file.

    Raises:
        ConfigError: something in it is not valid.
    """
    if path is None:
        return Config(root=start, codes=known)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    tools = document.get("tool", {})
    table = tools.get(_TABLE, {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.{_TABLE} must be a table, like [tool.{_TABLE}]")
    return _from_table(table, path, known)


def _from_table(table: dict[str, Any], path: Path, known: frozenset[str]) -> Config:
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ConfigError(
                f"{path}: [tool.{_TABLE}] has no key {key!r}{hint} Valid keys: {', '.join(_KEYS)}"
            )
    codes = known
    if "select" in table:
        codes = parse_codes(_strings(table, "select", path), f"{path}: select", known)
    if "ignore" in table:
        codes -= parse_codes(_strings(table, "ignore", path), f"{path}: ignore", known)
    excluded = tuple(_strings(table, "exclude", path)) if "exclude" in table else ()
    return Config(
        root=path.resolve().parent,
        codes=codes,
        exclude=_ALWAYS_EXCLUDED + excluded,
        per_file_ignores=_per_file(table.get("per-file-ignores", {}), path, known),
    )


def _strings(table: dict[str, Any], key: str, path: Path) -> list[str]:
    value = table[key]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{path}: {key} must be a list of strings, not {value!r}")
    return value


def _per_file(value: Any, path: Path, known: frozenset[str]) -> dict[str, frozenset[str]]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: per-file-ignores must be a table of pattern = [codes]")
    return {
        pattern: parse_codes(_strings(value, pattern, path), f"{path}: {pattern}", known)
        for pattern in value
    }


def parse_codes(values: list[str], where: str, known: frozenset[str]) -> frozenset[str]:
    """Return the codes that are named in full, or by their beginning (``RH``, ``RH9``).

    Raises:
        ConfigError: there is no such code.
    """
    codes: set[str] = set()
    for value in values:
        matching = {code for code in known if value and code.startswith(value.upper())}
        if not matching:
            raise ConfigError(f"{where}: no rule {value!r}. Valid: {', '.join(sorted(known))}")
        codes |= matching
    return frozenset(codes)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
