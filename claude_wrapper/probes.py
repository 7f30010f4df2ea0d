"""Asks each part of the server how it is: real checks, never assumptions."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from claude_wrapper.errors import WrapperError
from claude_wrapper.lifecycle import AuditReport, Baseline, audit
from claude_wrapper.monitoring.system import ComponentHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude import Pool, ProcessTable
    from claude_wrapper.claude.ledger import Ledger
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.monitoring.monitoring import Monitoring
    from claude_wrapper.monitoring.system import Probe
    from claude_wrapper.sessions import SessionService
    from claude_wrapper.settings import WrapperSettings

__all__ = ["Probes"]

# For how long a process that died by itself is worth a word, in seconds.
CRASH_MEMORY = 60.0
# A file of sessions on a disk that hangs must not make the check of the health hang.
STORE_PATIENCE = 2.0
# The estimate of the size of a session is right within a tenth.
SIZE_FACTOR = 1.1


@dataclass(slots=True, kw_only=True)
class Probes:
    """The checks over the parts of one server.

    Attributes:
        session_size: Estimated bytes of all sessions, at the last check.
    """

    settings: WrapperSettings
    tracker: ResourceTracker
    ledger: Ledger
    table: ProcessTable
    pool: Pool
    sessions: SessionService
    phase: Callable[[], str]
    monitoring: Callable[[], Monitoring]
    session_size: int = 0

    def all(self) -> dict[str, Probe]:
        """Every check by the name of its part."""
        return {
            "phase": self._check_phase,
            "cli": self._check_cli,
            "sessions": self._check_sessions,
            "state_folder": self._check_state_folder,
            "memory": self._check_memory,
            "resources": self._check_resources,
            "alerts": self._check_alerts,
        }

    def expected_bytes(self) -> float:
        """What the sessions may hold in memory; nothing where they are kept on disk."""
        in_memory = self.settings.session_store == "memory"
        return self.session_size * SIZE_FACTOR if in_memory else 0.0

    def audit(self, known: Baseline) -> AuditReport:
        """Compare the tracker's list with the world."""
        folders = [child.folder for child in self.table.children]
        return audit(self.tracker, known, folder=self.ledger.work_folder, folders=folders)

    async def _check_phase(self) -> ComponentHealth:
        phase = self.phase()
        return _health(ok=phase == "ready", phase=phase)

    async def _check_cli(self) -> ComponentHealth:
        last = self.table.last_crash_at
        crashed = last is not None and time.monotonic() - last < CRASH_MEMORY
        failure = self.pool.last_failure
        if not failure and crashed:
            failure = f"a CLI process ended by itself in the last {CRASH_MEMORY:g} s"
        facts = {"failure": failure, "crashed": self.table.crashed_total, **self.pool.counts()}
        if failure and not self.pool.roster.serves() and self.pool.failures_in_a_row > 1:
            # Nothing lives and nothing starts: whoever asks gets 502.
            return ComponentHealth(status="unhealthy", facts=facts)
        return _health(ok=not failure, **facts)

    async def _check_sessions(self) -> ComponentHealth:
        stats = await self.sessions.store.stats()
        self.session_size = stats.size
        settings = self.settings
        facts = {**asdict(stats), "sweeps": asdict(self.sessions.sweeps)}
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                await self.sessions.store.check()
        except (WrapperError, TimeoutError) as error:
            failure = getattr(error, "message", f"no answer within {STORE_PATIENCE:g} s")
            return ComponentHealth(status="unhealthy", facts={**facts, "failure": failure})
        ok = stats.active <= settings.max_sessions and stats.size <= settings.session_bytes
        return _health(ok=ok, **facts)

    async def _check_state_folder(self) -> ComponentHealth:
        folder = self.ledger.folder
        if os.access(folder, os.W_OK | os.X_OK):
            return _health(ok=True)
        failure = "it is gone or cannot be written: orphans could not be found after a crash"
        return ComponentHealth(status="unhealthy", facts={"failure": failure})

    async def _check_memory(self) -> ComponentHealth:
        leaks = self.monitoring().leaks
        return _health(ok=not leaks.is_leaking, **leaks.state())

    async def _check_resources(self) -> ComponentHealth:
        found = self.monitoring().auditor.to_dict()
        return _health(ok=bool(found["clean"]), **found)

    async def _check_alerts(self) -> ComponentHealth:
        active = [alert.to_dict() for alert in self.monitoring().alerts.active]
        return _health(ok=not active, active=active)


def _health(*, ok: bool, **facts: object) -> ComponentHealth:
    return ComponentHealth(status="healthy" if ok else "degraded", facts=facts)
