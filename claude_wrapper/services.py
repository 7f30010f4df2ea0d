"""What the routes share; built in order, closed in reverse by the shutdown."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from claude_wrapper.claude import CliBinary, Pool, PoolLimits, ProcessTable, TurnLimits, TurnRunner
from claude_wrapper.errors import SettingsError
from claude_wrapper.lifecycle.waits import Waits
from claude_wrapper.monitoring.monitoring import (
    Monitoring,
    MonitoringOptions,
    build_monitoring,
)
from claude_wrapper.probes import Probes
from claude_wrapper.sessions import (
    FallbackStore,
    MemoryStore,
    ResponseStore,
    SessionLimits,
    SessionService,
    SqliteStore,
)
from claude_wrapper.shutdown.record import LastShutdown, read_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_wrapper.claude.ledger import Ledger
    from claude_wrapper.claude.orphans import PreviousRun
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.monitoring.logs import ServerLogs
    from claude_wrapper.sessions import Session, SessionStore
    from claude_wrapper.settings import WrapperSettings

__all__ = ["Services", "build_services"]

Phase = Literal["starting", "ready", "draining"]


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts of a running server.

    Attributes:
        phase: Whether turns are taken; only `ready` answers 200 on `/health/ready`.
        waits: For what clients still send; ended when the server stops.
        logs: The running log, where the server owns one.
        last_shutdown: The report of the run before this one.
        started_at: Unix time.
    """

    settings: WrapperSettings
    tracker: ResourceTracker
    ledger: Ledger
    binary: CliBinary
    cli_version: str
    previous_run: PreviousRun
    table: ProcessTable
    pool: Pool
    runner: TurnRunner
    sessions: SessionService
    responses: ResponseStore
    monitoring: Monitoring
    waits: Waits = field(default_factory=Waits)
    logs: ServerLogs | None = None
    last_shutdown: LastShutdown | None = None
    phase: Phase = "starting"
    started_at: float = field(default_factory=time.time)
    _began: float = field(default_factory=time.monotonic)

    @property
    def uptime(self) -> float:
        """Seconds since the start, whatever is done to the clock of the machine."""
        return time.monotonic() - self._began

    async def start(self) -> None:
        """Begin the work in the background."""
        self.pool.start()
        self.sessions.start(self.settings.session_cleanup_interval)
        self.responses.start(self.tracker, self.settings.session_cleanup_interval)
        self.phase = "ready"
        await self.monitoring.start()


def build_services(
    settings: WrapperSettings,
    tracker: ResourceTracker,
    ledger: Ledger,
    *,
    binary: CliBinary,
    cli_version: str,
    previous_run: PreviousRun,
    environ: Mapping[str, str] | None = None,
) -> Services:
    """Build every part; nothing runs before `start`.

    Raises:
        SettingsError: The session store asked for is not known.
    """
    env = os.environ if environ is None else environ
    table = ProcessTable(tracker, ledger, binary, env, settings.cwd)
    pool = Pool(table, tracker, _pool_limits(settings))
    limits = TurnLimits(total=settings.request_timeout, idle=settings.stream_idle_timeout)
    session_limits = _session_limits(settings)
    sessions = SessionService(
        _store(settings, session_limits, pool, tracker),
        session_limits,
        tracker,
        most_waiting=settings.queue_size,
    )
    probes = Probes(
        settings=settings, tracker=tracker, ledger=ledger, table=table, pool=pool,
        sessions=sessions, phase=lambda: services.phase, monitoring=lambda: services.monitoring,
    )  # fmt: skip
    services = Services(
        settings=settings,
        tracker=tracker,
        ledger=ledger,
        binary=binary,
        cli_version=cli_version,
        previous_run=previous_run,
        table=table,
        pool=pool,
        runner=TurnRunner(pool, tracker, limits),
        responses=ResponseStore(session_limits),
        sessions=sessions,
        monitoring=_monitoring(settings, tracker, probes),
        last_shutdown=read_report(settings.state_path),
    )
    return services


def _monitoring(settings: WrapperSettings, tracker: ResourceTracker, probes: Probes) -> Monitoring:
    return build_monitoring(
        tracker,
        MonitoringOptions(
            state_folder=settings.state_path,
            memory_limit=settings.memory_limit,
            alert_file=Path(settings.alert_file).expanduser() if settings.alert_file else None,
            alert_webhook=settings.alert_webhook,
        ),
        probes=probes.all(),
        session_bytes=probes.expected_bytes,
        audit=probes.audit,
    )


def _store(
    settings: WrapperSettings, limits: SessionLimits, pool: Pool, tracker: ResourceTracker
) -> SessionStore:
    def drop(gone: Session) -> None:
        pool.crew.drop_session(gone.owner, gone.id)

    kind, _, path = settings.session_store.partition(":")
    if settings.session_store == "memory":
        return MemoryStore(limits, on_removed=drop)
    if kind == "sqlite" and path:
        store = SqliteStore(path, limits, tracker, on_removed=drop)
        return FallbackStore(store, limits, on_removed=drop)
    raise SettingsError(
        f"--session-store is {settings.session_store!r}; valid are memory and sqlite:PATH"
    )


def _session_limits(settings: WrapperSettings) -> SessionLimits:
    return SessionLimits(
        sessions=settings.max_sessions,
        size=settings.session_bytes,
        messages=settings.session_messages,
        ttl=settings.session_ttl,
    )


def _pool_limits(settings: WrapperSettings) -> PoolLimits:
    return PoolLimits(
        warm=min(settings.pool_size, settings.max_concurrency),
        most=settings.max_concurrency,
        queue=settings.queue_size,
        max_turns=settings.worker_max_turns,
        max_age=settings.worker_max_age,
        max_rss=settings.worker_max_rss,
        idle_ttl=settings.worker_idle_ttl,
        parked_ttl=settings.request_timeout,
    )
