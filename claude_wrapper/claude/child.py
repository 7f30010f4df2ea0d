"""One child process with what belongs to it: its group, its private folder, its place on the list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil

from claude_wrapper.claude.identity import is_stopped, started
from claude_wrapper.claude.process import signal_group

if TYPE_CHECKING:
    import signal
    from pathlib import Path

    from claude_wrapper.claude.process import ClaudeProcess
    from claude_wrapper.lifecycle.tracker import Tracking

__all__ = ["PAST", "Child"]

# The transcript that a child begins with, in its folder.
PAST = "past.jsonl"


class Child:
    """One child with its private folder, until it is reaped.

    Attributes:
        process: The running CLI.
        mark: What its descendants carry in their environment.
        gone: Set once it ended, was collected, what it had started is dead and its folder removed.
    """

    def __init__(self, process: ClaudeProcess, folder: Path, mark: str, tracking: Tracking) -> None:
        self.process = process
        self.folder = folder
        self.mark = mark
        self.gone = asyncio.Event()
        self.tracking = tracking
        self.is_ending = False

    @property
    def pid(self) -> int:
        """Process and group id."""
        return self.process.pid

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it: it answers nobody until another one comes."""
        return is_stopped(self.pid)

    @property
    def has_lost_its_folder(self) -> bool:
        """Whether somebody has removed its home, while there is a place for those of others."""
        return not self.folder.is_dir() and self.folder.parent.is_dir()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal it and what it started in its group, as long as the number is theirs.

        Once it was collected, its number may become another's, and with it that of another group,
        as soon as nobody is left in its own.
        """
        if not (self.process.has_ended and started(self.pid)):
            signal_group(self.pid, number)

    def forget_past(self) -> None:
        """Remove the transcript it began with; what is in it need not be on a disk any longer."""
        (self.folder / PAST).unlink(missing_ok=True)

    def rss(self) -> int:
        """Resident memory in bytes; 0 when it is gone, or there is no descriptor to look."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except (psutil.Error, OSError):
            return 0
