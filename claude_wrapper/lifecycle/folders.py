"""Folders that nobody but their user can look into."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["private_folder"]


def private_folder(path: Path) -> Path:
    """Make a folder of mode 0700, or make the one that is there so; returns it.

    Raises:
        OSError: It cannot be made, or belongs to another user.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix":
        facts = path.stat()
        if facts.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {facts.st_uid}, not to us", str(path))
        if stat.S_IMODE(facts.st_mode) != 0o700:
            path.chmod(0o700)
    return path
