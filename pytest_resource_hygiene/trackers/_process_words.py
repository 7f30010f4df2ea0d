"""Puts a child process in words, and finds its object; a clean run never needs it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import (
    attribute_of,
    attributes_of,
    globals_of,
    instances_of,
    module_name,
)
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._children import is_zombie
from pytest_resource_hygiene.trackers._names import class_name
from pytest_resource_hygiene.trackers._secrets import without_secrets

if TYPE_CHECKING:
    from pytest_resource_hygiene.trackers.processes import Child

__all__ = ["command_of", "describe_child", "object_of"]

_MAX_SHOWN = 100


def describe_child(child: Child) -> Description:
    """Say process id, command line and state, and how to end it."""
    command = without_secrets(command_of(child.pid))
    zombie = is_zombie(child.pid)
    # A fork has its parent's command line, which says nothing of what it is there for.
    forked = bool(command) and command == without_secrets(command_of(os.getpid()))
    known = _shorten(" ".join(command) or _name_of(child.pid))
    shown = "a fork of this process" if forked else known or "(command line gone)"
    if zombie:
        shown = f"{known or 'it'} has ended, and nobody has waited for it"
    state = "zombie" if zombie else "running"
    orphan = ", orphaned by its parent" if child.orphan else ""
    return Description(
        summary=f"{state} child process {child.pid}{_name_with_job(child.pid)}: {shown}{orphan}",
        target=Path(command[0]).name if command else state,
        details={"pid": child.pid, "command": command, "state": state, "orphan": child.orphan},
        hint=_how_to_end(child, zombie=zombie, forked=forked),
    )


def _how_to_end(child: Child, *, zombie: bool, forked: bool) -> str:
    if zombie:
        return "wait() for it"
    if child.orphan:
        return "stop the whole process group (start_new_session=True, then os.killpg())"
    if forked:
        return "end it, as by os.kill(), and wait for it by os.waitpid()"
    return "terminate() or kill() it and wait() for it, or use Popen in a `with` block"


def object_of(pid: int) -> Any:
    """Return the object of subprocess or multiprocessing that stands for a child, or None."""
    import subprocess

    if (process := _of_multiprocessing(pid)) is not None:
        return process
    popens = instances_of(subprocess.Popen)
    return next((one for one in popens if attributes_of(one).get("pid") == pid), None)


def _of_multiprocessing(pid: int) -> Any:
    module = sys.modules.get("multiprocessing.process")
    children = globals_of(module).get("_children") if module is not None else None
    for process in list(children or ()):
        if attribute_of(attribute_of(process, "_popen"), "pid") == pid:
            return process
    return None


def _name_with_job(pid: int) -> str:
    """Return the name of a child of multiprocessing, and what it runs, for after its number.

    That is known of a class of the user's alone: `start` drops the function of another.
    """
    process = _of_multiprocessing(pid)
    if process is None:
        return ""
    of_user = module_name(type(process)).partition(".")[0] != "multiprocessing"
    job = f" running {class_name(process)}.run" if of_user else ""
    return f" {attribute_of(process, '_name')!r}{job}"


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
