"""What is staged, as git tells it: files, and the lines that change in them."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Change", "GitError", "changed_lines", "staged_changes", "top_folder"]

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+", re.MULTILINE)


class GitError(Exception):
    """Git is not there, or this is no repository; the text is what git said."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file of the commit to be.

    Attributes:
        old: its path in the last commit; None if it is new.
        new: its path now; None if it is deleted.
    """

    old: str | None
    new: str | None


def top_folder() -> Path:
    """Return the folder that paths of git are relative to.

    Raises:
        GitError: this is no repository.
    """
    return Path(os.fsdecode(_git("rev-parse", "--show-toplevel").rstrip(b"\n")))


def staged_changes(root: Path) -> list[Change]:
    """Return what differs between the last commit and the index.

    Where pre-commit was told to compare two commits (``--from-ref``), what differs between these.

    Raises:
        GitError: git cannot tell.
    """
    fields = _git("diff", "--name-status", "-z", "-M", *_range(), root=root).split(b"\0")
    words = iter(map(os.fsdecode, fields))
    changes = []
    for status in words:
        if not status:
            break
        first = next(words, "")
        if status[0] in "RC":
            changes.append(Change(first if status[0] == "R" else None, next(words, "")))
        else:
            changes.append(
                Change(None if status == "A" else first, None if status == "D" else first)
            )
    return changes


def changed_lines(change: Change, root: Path) -> set[int]:
    """Return the lines that change, as they were numbered in the last commit.

    An insertion touches the line before it and the line behind it.

    Raises:
        GitError: git cannot tell.
    """
    if change.old is None:
        return set()
    paths = [path for path in (change.old, change.new) if path is not None]
    literal = [f":(top,literal){path}" for path in dict.fromkeys(paths)]
    diff = _git(
        "diff", "-U0", "--no-color", "--no-ext-diff", "-M", *_range(), "--", *literal, root=root
    )
    lines: set[int] = set()
    for found in _HUNK.finditer(diff):
        first, count = int(found[1]), int(found[2] or 1)
        lines.update(range(first, first + count) if count else (first, first + 1))
    return lines


def _range() -> list[str]:
    old, new = os.environ.get("PRE_COMMIT_FROM_REF"), os.environ.get("PRE_COMMIT_TO_REF")
    if old and new:
        return [f"{old}...{new}"]
    return ["--cached"]


def _git(*arguments: str, root: Path | None = None) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 -- the git of the user, whichever it is
            cwd=root,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror or error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="backslashreplace").strip()
        raise GitError(said.splitlines()[-1] if said else f"git {arguments[0]} failed")
    return done.stdout
