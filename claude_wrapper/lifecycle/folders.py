"""Folders that nobody but their user can look into."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keep_young", "private_folder", "private_state_folder"]

PRIVATE = 0o700
# What we make in a state folder, and what a file system makes in its topmost one.
OWN_FOLDERS = frozenset(["runs", "claude-config", "lost+found"])
# Seconds; what cleans temporary folders takes files that nobody has touched for days.
REFRESH = 3600.0


def private_folder(path: Path) -> Path:
    """Make a folder of mode 0700, or make the one that is there so; returns it.

    Raises:
        OSError: It cannot be made, or belongs to another user.
    """
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    if os.name == "posix":
        facts = path.stat()
        if facts.st_uid != os.geteuid():
            raise _refused(path, f"it belongs to user {facts.st_uid}, not to us")
        if stat.S_IMODE(facts.st_mode) != PRIVATE:
            path.chmod(PRIVATE)
    return path


def private_state_folder(path: Path) -> Path:
    """As above for the state folder, which a user names: `/tmp` or a home is soon named.

    Raises:
        OSError: As above; or others can use the folder, and it holds folders that are not ours.
    """
    if os.name == "posix" and path.is_dir():
        mode = stat.S_IMODE(path.stat().st_mode)
        strange = next((one.name for one in path.iterdir() if _is_strange(one)), "")
        if mode & stat.S_ISVTX or (mode != PRIVATE and strange):
            holds = f" and holds {strange!r}, which is not ours" if strange else ""
            raise _refused(
                path, f"it is open to others (mode {mode:o}){holds}; name a folder of its own"
            )
    return private_folder(path)


def keep_young(path: Path) -> None:
    """Keep a file, where there is one, from looking like one that nobody needs any more.

    Raises:
        OSError: Its times cannot be set.
    """
    if path.exists() and time.time() - path.stat().st_mtime > REFRESH:
        os.utime(path)


def _is_strange(path: Path) -> bool:
    return path.name not in OWN_FOLDERS and path.is_dir()


def _refused(path: Path, reason: str) -> OSError:
    return OSError(errno.EPERM, reason, str(path))
