"""At start: find what an unclean exit left behind, end it, and say how much it was."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.claude.descendants import end_descendants
from claude_wrapper.claude.identity import is_alive, is_running
from claude_wrapper.claude.ledger import abandoned_runs

if TYPE_CHECKING:
    from pathlib import Path

    from claude_wrapper.claude.ledger import RunRecord

__all__ = ["PreviousRun", "reap_orphans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousRun:
    """How the runs before this one ended.

    Attributes:
        clean: Nothing was left behind.
        reaped: Pids of the processes that were ended now.
        folders: Working folders that were removed now.
        survivors: Pids that could not be ended.
    """

    clean: bool
    reaped: tuple[int, ...] = ()
    folders: int = 0
    survivors: tuple[int, ...] = ()

    def __str__(self) -> str:
        """The words for the start-up line."""
        return "clean" if self.clean else f"unclean, reaped {len(self.reaped)}"


def reap_orphans(state_folder: Path, *, patience: float = 1.0) -> PreviousRun:
    """End the children of servers that are gone, remove their folders, and report.

    A process is only signalled when its start time is the recorded one, or when it carries that
    run's mark in its environment or works in that run's private folder, which also finds the group
    of a dead leader: a stranger that got a recorded number is never touched.

    Args:
        state_folder: Where the ledgers lie.
        patience: Seconds to wait for killed processes to disappear.
    """
    runs = abandoned_runs(state_folder)
    if not runs:
        return PreviousRun(clean=True)
    victims = tuple(sorted({pid for run in runs for pid in _kill_run(run)}))
    survivors = _wait_gone(victims, patience)
    folders = sum(len(tuple(run.folder.glob("work/*"))) for run in runs)
    for run in runs:
        shutil.rmtree(run.folder, ignore_errors=True)
    reaped = tuple(pid for pid in victims if pid not in survivors)
    return PreviousRun(clean=False, reaped=reaped, folders=folders, survivors=survivors)


def _kill_run(run: RunRecord) -> set[int]:
    """Kill the recorded children, then whatever descends from them."""
    victims = set()
    for child in run.children:
        if is_running(child.identity):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child.pid, signal.SIGKILL)
                victims.add(child.pid)
    return victims | set(end_descendants(run.run_id, run.folder))


def _wait_gone(pids: tuple[int, ...], patience: float) -> tuple[int, ...]:
    ends_at = time.monotonic() + patience
    left = pids
    while left and time.monotonic() < ends_at:
        left = tuple(filter(is_alive, left))
        time.sleep(0.01 if left else 0)
    return left
