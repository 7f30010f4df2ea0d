"""The ledger on disk: which children this server has, so that the next start can find orphans.

One private folder per run of the server: `run.json` says who the server is, `children.jsonl` gets
one line when a child starts and one when it was reaped, and is written anew with those that live
when it has become long; the working folders of the children lie below. A clean exit removes the
folder; a folder whose server is gone is an unclean exit.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from claude_wrapper.claude.identity import ProcessIdentity, boot_id, identify, is_running
from claude_wrapper.lifecycle.folders import keep_young, private_folder, private_state_folder
from claude_wrapper.lifecycle.stored import from_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MOST_LINES", "ChildRecord", "Ledger", "RunRecord", "abandoned_runs", "open_ledger"]

# Two for each child that came and went; a server that runs for months has hundreds of thousands.
MOST_LINES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRecord:
    """One child: pid, when it started, its process group, and the boot it belongs to."""

    pid: int
    started: str
    pgid: int
    boot: str

    @property
    def identity(self) -> ProcessIdentity:
        """The child as a process that can be looked for."""
        return ProcessIdentity(pid=self.pid, started=self.started, boot=self.boot)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What every line of the ledger has."""

    event: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One earlier run: its id, its folder, and the children that were never reaped."""

    run_id: str
    folder: Path
    children: tuple[ChildRecord, ...]


class Ledger:
    """The open ledger of this run."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.folder = folder
        self.run_id = run_id
        self._run = folder / "run.json"
        self._children = folder / "children.jsonl"
        self._living: dict[int, ChildRecord] = {}
        self._lines = 0

    @property
    def work_folder(self) -> Path:
        """Where the children's private folders are made."""
        return self.folder / "work"

    @property
    def state_folder(self) -> Path:
        """What it lies in, with the ledgers of other servers."""
        return self.folder.parent.parent

    def renew(self) -> None:
        """Make what is not there, and keep the rest from looking old; at the start, and ever again.

        A state folder may be removed beneath a server, by mistake or by what removes old files.
        Without `run.json` another start would take the server for a dead one and end its processes.

        Raises:
            OSError: The folder cannot be made or written.
        """
        if not (self.work_folder.is_dir() and self._run.exists()):
            private_folder(private_state_folder(self.state_folder) / self.folder.parent.name)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.work_folder.mkdir(mode=0o700, exist_ok=True)
            document = {"run_id": self.run_id, **asdict(identify(os.getpid()))}
            self._run.write_text(json.dumps(document), encoding="utf-8")
        if self._living and not self._children.exists():
            self._write_anew()
        keep_young(self._run)
        keep_young(self._children)

    def add(self, pid: int) -> ChildRecord:
        """Write down a child that just started as the leader of its own group.

        Raises:
            OSError: It could not be written, and is not.
        """
        record = ChildRecord(pid=pid, started=identify(pid).started, pgid=pid, boot=boot_id())
        self._append(_started(record))
        self._living[pid] = record
        return record

    def remove(self, pid: int) -> None:
        """Write down that a child was reaped.

        Raises:
            OSError: It could not be written, and is not.
        """
        self._living.pop(pid, None)
        self._append({"event": "reaped", "pid": pid})
        if self._lines > MOST_LINES:
            self._write_anew()

    def close(self) -> None:
        """The run ended cleanly: nothing is left for the next start to do."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _append(self, entry: dict[str, object]) -> None:
        # One write call with O_APPEND: a crash leaves whole lines, and at worst a torn last one.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._children, flags, 0o600)
        try:
            _write_whole(descriptor, _line(entry))
        finally:
            os.close(descriptor)
        self._lines += 1

    def _write_anew(self) -> None:
        """Only what lives; whoever reads meanwhile, or after a crash, finds one or the other."""
        newer = self._children.with_suffix(".new")
        content = b"".join(_line(_started(record)) for record in self._living.values())
        newer.unlink(missing_ok=True)
        descriptor = os.open(newer, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_whole(descriptor, content)
        finally:
            os.close(descriptor)
        newer.replace(self._children)
        self._lines = len(self._living)


def _started(record: ChildRecord) -> dict[str, object]:
    return {"event": "started", **asdict(record)}


def _line(entry: dict[str, object]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _write_whole(descriptor: int, content: bytes) -> None:
    """All or nothing: the next line would become part of a torn one, and be lost with it."""
    size = os.fstat(descriptor).st_size
    if os.write(descriptor, content) < len(content):
        os.ftruncate(descriptor, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def open_ledger(state_folder: Path) -> Ledger:
    """Begin a run: a fresh folder, private to the user, with our own identity in it.

    Raises:
        OSError: The state folder cannot be made or written.
    """
    run_id = uuid.uuid4().hex
    ledger = Ledger(state_folder / "runs" / run_id, run_id)
    ledger.renew()
    return ledger


def abandoned_runs(state_folder: Path) -> tuple[RunRecord, ...]:
    """The runs whose server is gone without having cleaned up."""
    runs = state_folder / "runs"
    if not runs.is_dir():
        return ()
    records = (_read_run(folder) for folder in sorted(runs.iterdir()) if folder.is_dir())
    return tuple(record for record in records if record is not None)


def _read_run(folder: Path) -> RunRecord | None:
    try:
        text = (folder / "run.json").read_text(encoding="utf-8")
        if is_running(from_json(ProcessIdentity, text)):
            return None
    except (OSError, ValueError):
        # A folder without a readable run.json is a start that died half-way, or one that is
        # starting at this moment; the latter writes its file within moments, so look at its age.
        return (
            RunRecord(run_id=folder.name, folder=folder, children=()) if _is_old(folder) else None
        )
    return RunRecord(run_id=folder.name, folder=folder, children=_read_children(folder))


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > 60
    except OSError:
        return False


def _read_children(folder: Path) -> tuple[ChildRecord, ...]:
    living: dict[int, ChildRecord] = {}
    try:
        # What was damaged is no reason to miss what was not.
        text = (folder / "children.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    for line in text.splitlines():
        try:
            entry = from_json(_Entry, line)
            if entry.event == "started":
                living[entry.pid] = from_json(ChildRecord, line)
            else:
                living.pop(entry.pid, None)
        except ValueError:
            continue
    return tuple(living.values())
