"""The life of the server, from the settings to the exit code; reads from top to bottom."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from claude_wrapper import __version__
from claude_wrapper.app import create_app
from claude_wrapper.claude.child_watch import children_watched_by_descriptor
from claude_wrapper.claude.ledger import open_ledger
from claude_wrapper.claude.locate import CliBinary, demo_cli, find_cli, read_version
from claude_wrapper.claude.orphans import reap_orphans
from claude_wrapper.claude.own_address import check_base_url
from claude_wrapper.claude.subreaper import become_subreaper, retire_subreaper
from claude_wrapper.closing import Closing
from claude_wrapper.errors import SettingsError
from claude_wrapper.http_server import http_server
from claude_wrapper.lifecycle import Baseline, LoopErrors, ResourceTracker
from claude_wrapper.listener import bind
from claude_wrapper.monitoring.logs import ServerLogs, start_logging
from claude_wrapper.server_record import ServerRecord, describe_self, find_rival, remove_stale
from claude_wrapper.services import Services, build_services
from claude_wrapper.shutdown import (
    ShutdownReport,
    SignalHub,
    Verifier,
    Watchdog,
    hold_signals,
    write_report,
)
from claude_wrapper.state_keeper import StateKeeper

if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable, Sequence

    import uvicorn

    from claude_wrapper.settings import WrapperSettings

__all__ = ["WrapperServer", "serve"]

logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FORCED = 1
# Everything was stopped, and yet something is left; the log and the report name it.
EXIT_LEFT = 71
# Nobody asked it to stop.
EXIT_FAILED = 72


class WrapperServer:
    """One server: `run` returns the exit code when it has been stopped.

    Args:
        settings: What it was told.
        demo: Use the fake CLI that ships with the package.
        arguments: The words it was started with, kept for `restart`.
        owns_process: The process ends with the server: signals that come in the last step are for
            nobody. Otherwise they are delivered when `run` is over.
    """

    def __init__(
        self,
        settings: WrapperSettings,
        *,
        demo: bool = False,
        arguments: Sequence[str] = (),
        owns_process: bool = False,
    ) -> None:
        self._arguments = arguments
        self._owns_process = owns_process
        self._is_subreaper = False
        self._release_signals: Callable[[], None] = lambda: None
        self._settings = settings
        self._demo = demo
        self._tracker = ResourceTracker()
        self._signals = SignalHub()
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._orders = 0
        self._has_failed = False
        self._closing: Closing | None = None
        self._http: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0
        self.report: ShutdownReport | None = None

    def stop(self) -> None:
        """Ask the server to stop, as a signal would."""
        self._stop.set()

    async def run(self) -> int:
        """Serve until stopped.

        Raises:
            SettingsError: The port is taken, or another setting cannot be used.
            CliMissingError: There is no claude executable.
        """
        # Before anything of ours exists: what is new at the end was ours.
        verifier, others = Verifier(), Baseline.now()
        settings = self._settings
        logs = start_logging(self._tracker, settings.log_level, settings.log_file, settings.api_key)
        loop_errors = LoopErrors()
        loop_errors.install()
        self._signals.install()
        self._signals.subscribe(self._on_signal)
        try:
            self._is_subreaper = self._owns_process and become_subreaper()
            binary = demo_cli() if self._demo else find_cli(settings.cli_path)
            listener = bind(settings)
            with contextlib.closing(listener):
                self.port = listener.getsockname()[1]
                if not self._demo:
                    check_base_url(os.environ, settings.host, self.port)
                services = await self._build(binary)
                services.logs = logs
                if self._is_subreaper:
                    services.table.adopt_orphans()
                services.monitoring.auditor.accept(others)
                record = self._record(services)
                try:
                    _claim(record, settings)
                    StateKeeper(services.ledger, record).start(self._tracker)
                    await self._serve(services, listener)
                finally:
                    report = await self._shut_down(services)
                    record.remove(settings.state_path)
            # The log goes before the verification, which would find its thread and its file.
            logs.stop()
            # Only now: a signal held in this thread is given to any other one.
            self._release_signals = hold_signals()
            self._signals.restore()
            self.report = await _verified(report, verifier)
            _keep(self.report, settings, logs)
            return self._exit_code(self.report)
        finally:
            loop_errors.restore()
            self._signals.restore()
            logs.stop()
            if self._is_subreaper:
                retire_subreaper()
            if not self._owns_process:
                self._release_signals()

    def _exit_code(self, report: ShutdownReport) -> int:
        if self._force.is_set():
            return EXIT_FORCED
        if self._has_failed:
            return EXIT_FAILED
        return EXIT_LEFT if report.left else EXIT_OK

    async def _build(self, binary: CliBinary) -> Services:
        state = self._settings.state_path
        try:
            previous_run = await self._tracker.in_thread(
                lambda: reap_orphans(state), name="orphan-reaper"
            )
            ledger = open_ledger(state)
            remove_stale(state)
        except OSError as error:
            raise SettingsError(
                f"the state folder {state} cannot be used: {error.strerror}"
            ) from None
        try:
            return build_services(
                self._settings, self._tracker, ledger, binary=binary,
                cli_version=await self._read_version(binary), previous_run=previous_run,
            )  # fmt: skip
        except BaseException:
            ledger.close()
            raise

    def _record(self, services: Services) -> ServerRecord:
        settings = self._settings
        return describe_self(
            host=settings.host, port=self.port, needs_key=bool(settings.api_key),
            arguments=self._arguments, shutdown_timeout=settings.shutdown_timeout,
            log_file=settings.log_file, previous_run=str(services.previous_run),
        )  # fmt: skip

    async def _read_version(self, binary: CliBinary) -> str:
        """The version, unless a signal comes first: a CLI that hangs must not hold it up."""
        reading = self._tracker.spawn(read_version(binary), name="cli-version")
        await self._stopped_or(reading)
        if not reading.done():
            reading.cancel()
            await asyncio.wait([reading])
        return "" if reading.cancelled() else reading.result()

    async def _stopped_or(self, task: asyncio.Task[Any]) -> None:
        stopped = self._tracker.spawn(self._stop.wait(), name="stop-waiter")
        await asyncio.wait([stopped, task], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def _serve(self, services: Services, listener: socket.socket) -> None:
        settings = self._settings
        self._http = http_server(create_app(services), settings.request_timeout)
        self._serving = self._tracker.spawn(self._http.serve([listener]), name="http-server")
        await services.start()
        _announce(services, self.port)
        await self._stopped_or(self._serving)
        if not self._stop.is_set():
            logger.error("the HTTP server ended by itself; stopping")
            self._has_failed = True

    def _on_signal(self, number: signal.Signals, _count: int) -> None:
        logger.info("received %s", number.name)
        # A supervisor may send SIGTERM and SIGHUP together: a hangup is no impatience.
        self._orders += number.name in {"SIGINT", "SIGTERM", "SIGQUIT"}
        if self._orders > 1:
            self._force.set()
            if self._closing is not None:
                self._closing.hurry()
        self._stop.set()

    async def _shut_down(self, services: Services) -> ShutdownReport:
        budget = self._settings.shutdown_timeout
        watchdog = Watchdog(self._tracker, budget, services.table.kill_everything_now)
        self._closing = Closing(services, self._http, self._serving, budget)
        if self._force.is_set():
            self._closing.hurry()
        report = await self._closing.run()
        watchdog.call_off()
        return report


def serve(settings: WrapperSettings, *, demo: bool = False, arguments: Sequence[str] = ()) -> int:
    """Run a server until a signal stops it; the exit code. The process is to end with it.

    After a server has run, the signals that stop one stay held: the exit code must get out.

    Raises:
        SettingsError: A setting cannot be used.
        CliMissingError: There is no claude executable.
    """

    async def main() -> int:
        server = WrapperServer(settings, demo=demo, arguments=arguments, owns_process=True)
        with children_watched_by_descriptor():
            return await server.run()

    return asyncio.run(main())


async def _verified(report: ShutdownReport, verifier: Verifier) -> ShutdownReport:
    left = await verifier.leaks()
    return ShutdownReport(outcomes=report.outcomes, seconds=report.seconds, left=left)


def _keep(report: ShutdownReport, settings: WrapperSettings, logs: ServerLogs) -> None:
    verdict = "; ".join(report.left or ()) or "nothing left"
    level = logging.WARNING if report.left else logging.INFO
    # Whatever becomes of the log and the folder, the exit code must be told.
    with contextlib.suppress(SettingsError):
        logs.write_last(level, f"stopped in {report.seconds:.2f} s: {verdict}")
    try:
        write_report(settings.state_path, report)
    except OSError as error:
        with contextlib.suppress(SettingsError):
            logs.write_last(logging.WARNING, f"the shutdown report was not kept: {error.strerror}")


def _claim(record: ServerRecord, settings: WrapperSettings) -> None:
    """Write the record, unless it is that of another server: on another address, the same port."""
    other = find_rival(record, settings.state_path)
    if other is not None:
        raise SettingsError(
            f"the server with pid {other.pid} has port {other.port} in the state folder "
            f"{settings.state_path} already, at {other.url}; choose another --port or --state-dir"
        )
    try:
        record.write(settings.state_path)
    except OSError as error:
        raise SettingsError(
            f"the state folder {settings.state_path} cannot be written: {error.strerror}"
        ) from None


def _announce(services: Services, port: int) -> None:
    settings = services.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    key = "key required" if settings.api_key else "no key needed"
    version = services.cli_version or "version unknown"
    line = (
        f"claude-wrapper {__version__} on http://{host}:{port} · {key} · "
        f"CLI {version} ({services.binary.origin}) · previous run: {services.previous_run}"
    )
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, UnicodeEncodeError) as error:
        # A full disk or a pipe that nobody reads is no reason not to serve.
        logger.warning("the start-up line could not be printed (%s): %s", error, line)
