"""Finds the files to check: given ones, and those in given folders."""

from __future__ import annotations

import fnmatch
import os
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.config import Config, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["codes_for", "find_files"]

_SUFFIXES = (".py", ".pyw")


def find_files(paths: Iterable[str], config: Config) -> list[str]:
    """Return the files to check, each once, in the order of their paths.

    Symbolic links to folders are not followed, so that there is no going round in circles. In folders
    only regular files count: an editor's lock is a link to nowhere, and a pipe would be waited for.

    Raises:
        ConfigError: a path does not exist.
    """
    found: dict[str, None] = {}
    for path in paths:
        if os.path.isdir(path):
            found.update(dict.fromkeys(sorted(_walk(path, config))))
        elif os.path.lexists(path):
            if not _is_excluded(path, config):
                found[path] = None
        else:
            raise ConfigError(f"there is no file or folder {path!r}")
    return list(found)


def _walk(folder: str, config: Config) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if not _is_excluded(os.path.join(parent, name), config)
        ]
        for name in files:
            path = os.path.normpath(os.path.join(parent, name))
            if not name.endswith(_SUFFIXES) or _is_excluded(path, config):
                continue
            if os.path.isfile(path):
                yield path


def _is_excluded(path: str, config: Config) -> bool:
    return any(_matches(path, pattern, config.root) for pattern in config.exclude)


def codes_for(path: str, config: Config) -> frozenset[str]:
    """Return the codes to look for in one file."""
    codes = config.codes
    for pattern, ignored in config.per_file_ignores.items():
        if _matches(path, pattern, config.root):
            codes -= ignored
    return codes


def _matches(path: str, pattern: str, root: Path) -> bool:
    """Match a pattern without a slash against the name, one with a slash against the whole path."""
    if "/" not in pattern:
        return fnmatch.fnmatch(os.path.basename(path), pattern)
    whole = os.path.relpath(path, root).replace(os.sep, "/")
    plain = pattern.strip("/")
    return fnmatch.fnmatch(whole, plain) or fnmatch.fnmatch(whole, plain.removesuffix("/**") + "/*")
