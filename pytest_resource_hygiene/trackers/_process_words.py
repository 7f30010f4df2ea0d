"""Puts a child process in words; loaded with the first finding, for a clean run never needs it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._children import is_zombie
from pytest_resource_hygiene.trackers._secrets import without_secrets

if TYPE_CHECKING:
    from pytest_resource_hygiene.trackers.processes import Child

__all__ = ["command_of", "describe_child"]

_MAX_SHOWN = 100


def describe_child(child: Child) -> Description:
    """Say process id, command line and state, and how to end it."""
    command = without_secrets(command_of(child.pid))
    zombie = is_zombie(child.pid)
    known = _shorten(" ".join(command) or _name_of(child.pid))
    shown = known or "(command line gone)"
    if zombie:
        shown = f"{known or 'it'} has ended, and nobody has waited for it"
    state = "zombie" if zombie else "running"
    orphan = ", orphaned by its parent" if child.orphan else ""
    if zombie:
        hint = "wait() for it"
    elif child.orphan:
        hint = "stop the whole process group (start_new_session=True, then os.killpg())"
    else:
        hint = "terminate() or kill() it and wait() for it, or use Popen in a `with` block"
    return Description(
        summary=f"{state} child process {child.pid}: {shown}{orphan}",
        target=Path(command[0]).name if command else state,
        details={"pid": child.pid, "command": command, "state": state, "orphan": child.orphan},
        hint=hint,
    )


def command_of(pid: int) -> list[str]:
    """Return the command line of a process; empty if it has ended, or may not be asked."""
    try:
        raw = System.read(f"/proc/{pid}/cmdline")
    except OSError:
        return [] if sys.platform == "linux" else _command_by_psutil(pid)
    return [part.decode(errors="replace") for part in raw.rstrip(b"\0").split(b"\0") if part]


def _name_of(pid: int) -> str:
    """Return what the kernel calls a process, which it still knows when the command line is gone."""
    with contextlib.suppress(OSError):
        return System.read(f"/proc/{pid}/comm").decode(errors="replace").strip()
    return ""


def _command_by_psutil(pid: int) -> list[str]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return list(psutil.Process(pid).cmdline())
    return []


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
