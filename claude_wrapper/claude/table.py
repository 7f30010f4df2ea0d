"""All children that live, and the certainty that each is reaped: outlives every request."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from claude_wrapper.claude.child import PAST, Child
from claude_wrapper.claude.command import ClaudeCommand, Workspace, build_command
from claude_wrapper.claude.descendants import belongs, end_descendants
from claude_wrapper.claude.identity import is_alive
from claude_wrapper.claude.process import start_process
from claude_wrapper.claude.subreaper import Subreaper
from claude_wrapper.errors import CliFailedError, ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_wrapper.claude.ledger import Ledger
    from claude_wrapper.claude.locate import CliBinary
    from claude_wrapper.claude.process import ClaudeProcess
    from claude_wrapper.claude.transcript import Past
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["ProcessTable"]

logger = logging.getLogger(__name__)

TERM_PATIENCE = 0.3
KILL_PATIENCE = 1.0
BIRTH_INTERVAL = 0.005
# How long the last output of an ended child may take to arrive.
PIPE_PATIENCE = 0.25


class ProcessTable:
    """Starts children and ends them; every one is written to the ledger until it is reaped.

    Args:
        tracker: Where children, folders and reaping tasks are listed.
        ledger: The ledger of this run.
        binary: The executable.
        environ: The server's environment, of which a fixed list is passed on.
        cwd: The working folder asked for, or "" for an empty private one per child.
    """

    def __init__(
        self,
        tracker: ResourceTracker,
        ledger: Ledger,
        binary: CliBinary,
        environ: Mapping[str, str],
        cwd: str = "",
    ) -> None:
        self._tracker = tracker
        self._ledger = ledger
        self._binary = binary
        self._environ = environ
        self._cwd = cwd
        self._children: dict[int, Child] = {}
        self._births = 0
        self._is_closed = False
        self.started_total = 0
        self.killed_total = 0
        self.crashed_total = 0
        self.last_crash_at: float | None = None
        self._subreaper: Subreaper | None = None

    @property
    def children(self) -> tuple[Child, ...]:
        """Those not reaped yet."""
        return tuple(self._children.values())

    def adopt_orphans(self) -> None:
        """Look after what the kernel gives us; see `become_subreaper`."""
        run, folder = self._ledger.run_id, self._ledger.work_folder
        self._subreaper = Subreaper(self._tracker, lambda pid: belongs(pid, run, folder))
        self._subreaper.start()

    async def spawn(self, past: Past | None = None) -> Child:
        """Start a child.

        Args:
            past: The conversation it begins with.

        Raises:
            CliFailedError: The executable could not be started.
            ShuttingDownError: No more children are started.
        """
        if self._is_closed:
            raise ShuttingDownError("the server is shutting down")
        folder = self._ledger.work_folder / os.urandom(8).hex()
        self._births += 1
        try:
            command = self._prepare(folder, past)
            if past is not None:
                path = folder / PAST
                await self._tracker.in_thread(lambda: past.write(path), name="past-writer")
            process = await start_process(command)
            return self._adopt(process, folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise CliFailedError(
                f"a process could not be prepared in {folder.parent}: {error.strerror}"
            ) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._births -= 1

    def _adopt(self, process: ClaudeProcess, folder: Path) -> Child:
        # From here to the table nothing awaits: a child that runs is a child that is listed.
        name = f"cli {process.pid}"
        tracking = self._tracker.track("child", name, lambda: self._kill_now(process.pid))
        child = Child(process, folder, self._mark(folder), tracking)
        self._children[process.pid] = child
        self.started_total += 1
        self._tracker.spawn(process.drain_stderr(), name=f"cli-stderr {process.pid}")
        self._tracker.spawn(self._reap(child), name=f"cli-reaper {process.pid}")
        try:
            self._ledger.add(process.pid)
        except OSError:
            # Nobody could find it after a crash, so it must not live.
            self.end(child)
            raise
        if self._is_closed:
            self.end(child)
        return child

    def _mark(self, folder: Path) -> str:
        return f"{self._ledger.run_id}.{folder.name}"

    def end(self, child: Child) -> None:
        """Begin to end a child, group TERM then group KILL, and return at once."""
        if child.is_ending or child.gone.is_set():
            return
        child.is_ending = True
        child.process.hold_output(is_held=False)
        self._tracker.spawn(self._escalate(child), name=f"cli-end {child.pid}")

    async def end_all(self, deadline: float) -> int:
        """Start no more, and end every child within `deadline` seconds; how many there were."""
        self._is_closed = True
        count = len(self._children)
        for child in self.children:
            self.end(child)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                # One that was just being started joins the table in a moment.
                while self._births or self._children:
                    for child in self.children:
                        await child.gone.wait()
                    await asyncio.sleep(BIRTH_INTERVAL)
        await self._end_all_descendants()
        return count

    async def _end_all_descendants(self) -> None:
        """End what our children started and moved out of their group."""
        strays = await self._tracker.in_thread(self._kill_descendants_now, name="stray-finder")
        if strays:
            logger.warning("ended %d processes that had left their group", len(strays))
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_PATIENCE):
                while any(map(is_alive, strays)):
                    await asyncio.sleep(BIRTH_INTERVAL)
        if self._subreaper is not None:
            await self._subreaper.look()

    def kill_all_now(self) -> None:
        """Kill every group without waiting for anything: the last resort before an exit."""
        for pid in tuple(self._children):
            self._kill_now(pid)

    def kill_everything_now(self) -> None:
        """Kill every group, and then what had left them; it may take some tens of milliseconds."""
        self.kill_all_now()
        self._kill_descendants_now()
        if self._subreaper is not None:
            self._subreaper.kill_now()

    def _kill_descendants_now(self) -> tuple[int, ...]:
        return end_descendants(self._ledger.run_id, self._ledger.work_folder)

    def _kill_now(self, pid: int) -> None:
        child = self._children.get(pid)
        if child is not None:
            child.signal_group(signal.SIGKILL)

    def _prepare(self, folder: Path, past: Past | None) -> ClaudeCommand:
        self._ledger.renew()
        config = self._environ.get("CLAUDE_CONFIG_DIR", "")
        workspace = Workspace(
            home=folder / "home",
            config=Path(config) if config else self._own_config(folder),
            temp=folder / "tmp",
            cwd=Path(self._cwd).expanduser() if self._cwd else folder / "cwd",
        )
        for path in (folder, workspace.home, workspace.temp, folder / "cwd"):
            path.mkdir(mode=0o700)
        workspace.config.mkdir(mode=0o700, parents=True, exist_ok=True)
        return build_command(
            self._binary, workspace, self._environ, self._mark(folder),
            None if past is None else folder / PAST, "" if past is None else past.model,
        )  # fmt: skip

    def _own_config(self, folder: Path) -> Path:
        # With a key nothing needs to be remembered, and processes that share a configuration
        # folder have been seen to corrupt it; a login, however, must be found again.
        if self._environ.get("ANTHROPIC_API_KEY"):
            return folder / "config"
        return self._ledger.state_folder / "claude-config"

    async def _escalate(self, child: Child) -> None:
        child.process.close_stdin()
        child.signal_group(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(TERM_PATIENCE):
                await child.gone.wait()
            return
        self.killed_total += 1
        child.signal_group(signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_PATIENCE):
                await child.gone.wait()
            return
        logger.error("process group %d survived SIGKILL for %g s", child.pid, KILL_PATIENCE)

    async def _reap(self, child: Child) -> None:
        await child.process.wait()
        if not child.is_ending:
            self.crashed_total += 1
            self.last_crash_at = time.monotonic()
        # The leader is gone; whatever it started in its group goes now.
        child.signal_group(signal.SIGKILL)
        await child.process.release_pipes(PIPE_PATIENCE)
        await self._end_descendants(child)
        shutil.rmtree(child.folder, ignore_errors=True)
        self._children.pop(child.pid, None)
        try:
            self._ledger.remove(child.pid)
        except OSError as error:
            # The entry stays; whoever has the number later has another start time.
            logger.warning("the ledger could not be written: %s", error.strerror)
        child.tracking.done()
        child.gone.set()

    async def _end_descendants(self, child: Child) -> None:
        """End what one child left behind in other groups; at the end of all, one look is enough."""
        if self._is_closed:
            return
        strays = await self._tracker.in_thread(
            lambda: end_descendants(child.mark, child.folder), name=f"stray-finder {child.pid}"
        )
        if strays:
            logger.warning("ended %d processes that process %d left behind", len(strays), child.pid)
        if self._subreaper is not None:
            await self._subreaper.look()
