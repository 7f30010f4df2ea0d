"""Who a process is: a pid alone is reused, a pid with its start time and boot is not."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "RUN_VARIABLE",
    "ProcessIdentity",
    "boot_id",
    "identify",
    "is_alive",
    "is_running",
    "is_stopped",
    "is_zombie",
    "started",
]

# Names the run and the child, RUN.CHILD, to whatever a child starts.
RUN_VARIABLE = "CLAUDE_WRAPPER_RUN_ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One process, told apart from a later one with the same pid."""

    pid: int
    started: str
    boot: str


def boot_id() -> str:
    """What changes at every boot: the kernel's id on Linux, elsewhere the boot time in seconds."""
    path = Path("/proc/sys/kernel/random/boot_id")
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    return str(int(psutil.boot_time()))


def started(pid: int) -> str:
    """When a process started, or "" when there is none.

    On Linux the ticks since boot, because the wall-clock figure moves when the clock is set.
    """
    if _is_linux():
        fields = _stat(pid)
        return fields[19] if fields else ""
    try:
        return f"{psutil.Process(pid).create_time():.3f}"
    except (psutil.Error, OSError):
        return ""


def identify(pid: int) -> ProcessIdentity:
    """The identity of a process that runs now; `started` is empty when it does not."""
    return ProcessIdentity(pid=pid, started=started(pid), boot=boot_id())


def is_running(identity: ProcessIdentity) -> bool:
    """Whether this very process, and not a later one with its pid, still runs."""
    if identity.boot != boot_id() or not identity.started:
        return False
    return started(identity.pid) == identity.started and not is_zombie(identity.pid)


def is_alive(pid: int) -> bool:
    """Whether some process has this pid now and has not ended."""
    return bool(started(pid)) and not is_zombie(pid)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits to be collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal, and so answers nobody."""
    if _is_linux():
        return _stat(pid)[:1] in (["T"], ["t"])
    try:
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    except (psutil.Error, OSError):
        return False


@functools.cache
def _is_linux() -> bool:
    return Path("/proc/self/stat").exists()


def _stat(pid: int) -> list[str]:
    """What Linux says of a process, from its state on; nothing when there is none."""
    # Not by pathlib: it interns the parts of every path. That is one dead entry more in the
    # interpreter's largest table, at every request, and a new table of two megabytes whenever the
    # dead ones have filled it: resident memory went up and down by that.
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            stat = file.read()
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
