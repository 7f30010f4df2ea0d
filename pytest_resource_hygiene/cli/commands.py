"""Sorts command lines: a pytest run, a Python program, or something that may start pytest."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from pytest_resource_hygiene.errors import SettingsError

__all__ = ["Command", "python_of", "sort_command"]

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?", re.IGNORECASE)
_PYTEST = {"pytest", "py.test", "pytest.exe", "py.test.exe"}
_WITH_VALUE = {"-W", "-X", "--check-hash-based-pycs"}
_SHEBANG_BYTES = 512


class Command(NamedTuple):
    """A command line, taken apart.

    Attributes:
        sort: ``pytest``; ``program``: Python code that can run under our eyes; or ``other``.
        head: what starts it, up to where pytest's or the program's arguments begin. For a program,
            the interpreter with its options.
        target: of a program: ``-m`` with a module, ``-c`` with code, or a file.
        tail: the arguments.
    """

    sort: Literal["pytest", "program", "other"]
    head: tuple[str, ...]
    target: tuple[str, ...]
    tail: tuple[str, ...]


def sort_command(words: list[str]) -> Command:
    """Say what a command line starts.

    Raises:
        SettingsError: there is no such command.
    """
    first, rest = words[0], words[1:]
    name = Path(first).name
    if first.endswith((".py", ".pyz")) and Path(first).is_file():
        return Command("program", (sys.executable,), (first,), tuple(rest))
    if Path(first, "__main__.py").is_file():
        return Command("program", (sys.executable,), (first,), tuple(rest))
    found = shutil.which(first)
    if found is None:
        raise SettingsError(
            f"run: there is no command {first!r}. Give a pytest command, a Python script, "
            "`python -m MODULE`, or a command that starts pytest."
        )
    if name in _PYTEST:
        return Command("pytest", (first,), (), tuple(rest))
    if _PYTHON.fullmatch(name):
        return _sort_python(first, rest)
    interpreter = _interpreter_of(Path(found))
    if interpreter is not None and _PYTEST.isdisjoint(rest):  # else e.g. coverage run -m pytest
        return Command("program", (interpreter,), (found,), tuple(rest))
    return Command("other", tuple(words), (), ())


def _sort_python(python: str, rest: list[str]) -> Command:
    options: list[str] = []
    words = list(rest)
    while words and words[0].startswith("-") and words[0] not in {"-", "-c", "-m"}:
        option = words.pop(0)
        options.append(option)
        if option in _WITH_VALUE and words:
            options.append(words.pop(0))
    head = (python, *options)
    if not words or words[0] == "-":
        raise SettingsError(
            "run: Python would read its program from standard input. Give a script, -m or -c."
        )
    if words[0] in {"-m", "-c"}:
        if len(words) < 2:
            raise SettingsError(f"run: {words[0]} needs an argument.")
        if words[0] == "-m" and words[1] in {"pytest", "py.test"}:
            return Command("pytest", (*head, *words[:2]), (), tuple(words[2:]))
        if words[0] == "-m" and "pytest" in words[2:]:
            return Command("other", (*head, *words), (), ())  # e.g. coverage run -m pytest
        return Command("program", head, tuple(words[:2]), tuple(words[2:]))
    if not Path(words[0]).exists():
        raise SettingsError(f"run: there is no file {words[0]!r}.")
    return Command("program", head, (words[0],), tuple(words[1:]))


def python_of(command: Command) -> list[str] | None:
    """Return the interpreter, with its options, that a pytest command runs on; None if unknown."""
    if len(command.head) > 1:
        return list(command.head[:-2])  # without ``-m pytest``
    found = shutil.which(command.head[0])
    interpreter = _interpreter_of(Path(found)) if found is not None else None
    return None if interpreter is None else [interpreter]


def _interpreter_of(file: Path) -> str | None:
    """Return the Python that a console script names in its first line, or None."""
    try:
        with file.open("rb") as stream:
            start = stream.read(_SHEBANG_BYTES)
    except OSError:
        return None
    if not start.startswith(b"#!"):
        return None
    first = os.fsdecode(start.partition(b"\n")[0])[2:].split()
    if first and Path(first[0]).name == "env" and len(first) == 2:
        first = [shutil.which(first[1]) or first[1]]
    if first and Path(first[0]).name == "sh":  # a path too long or with spaces: pip's way round it
        found = re.search(rb"exec'? '?\"?([^\"'\n]*python[\d.]*)", start)
        first = [os.fsdecode(found[1])] if found else first
    if first and len(first) == 1 and _PYTHON.fullmatch(Path(first[0]).name):
        return first[0]
    return None
