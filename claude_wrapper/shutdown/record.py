"""The report of the last shutdown, kept in the state folder for the next run to show."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.lifecycle.stored import from_json

if TYPE_CHECKING:
    from pathlib import Path

    from claude_wrapper.shutdown.sequence import ShutdownReport

__all__ = ["LastShutdown", "read_report", "write_report"]

NAME = "last-shutdown.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of it: how it ended, in how many seconds, and what it had to say."""

    name: str
    result: str
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastShutdown:
    """A report as it is kept; see `ShutdownReport`. `ended_at` is Unix time."""

    ended_at: float
    pid: int
    clean: bool
    seconds: float
    steps: tuple[Step, ...]
    left: tuple[str, ...] | None


def write_report(state_folder: Path, report: ShutdownReport) -> None:
    """Keep the report, readable by its user only; a reader sees the old one or the new one.

    Raises:
        OSError: The folder cannot be written.
    """
    document = {"ended_at": round(time.time(), 3), "pid": os.getpid(), **report.to_dict()}
    draft = state_folder / f".{NAME}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, json.dumps(document).encode())
    finally:
        os.close(descriptor)
    draft.replace(state_folder / NAME)


def read_report(state_folder: Path) -> LastShutdown | None:
    """The report of the run that ended last; None when there is none that can be read."""
    try:
        return from_json(LastShutdown, (state_folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
