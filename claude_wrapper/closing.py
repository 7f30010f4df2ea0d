"""The runbook of the shutdown: what happens, in which order, and how long each step may take."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from claude_wrapper.errors import ShuttingDownError
from claude_wrapper.shutdown import ShutdownReport, ShutdownStep, run_steps

if TYPE_CHECKING:
    import uvicorn

    from claude_wrapper.services import Services

__all__ = ["Closing"]

# Shares of the shutdown timeout; what they leave is for the verification and for slow machines.
SHARE_DRAIN = 0.15
SHARE_TURNS = 0.2
SHARE_CHILDREN = 0.3
SHARE_CONNECTIONS = 0.15
SHARE_REST = 0.05
# All of them together; the rest of the time is for the verification and the interpreter's end.
SHARE_STEPS = 0.8
CONNECTIONS_AT_LEAST = 1.3
# In what share of that time a client must have read the end of its answer.
SHARE_READING = 0.5
# A file of sessions on a slow disk is worth waiting for.
STORE_AT_LEAST = 1.0
# A step ends by itself at its deadline; only one that hangs is cut off, this much later.
SLACK = 0.1


class Closing:
    """The steps over the parts of one server.

    Args:
        services: The parts.
        http: The HTTP server, and `serving`, the task that runs it.
        budget: Seconds for everything.
    """

    def __init__(
        self,
        services: Services,
        http: uvicorn.Server | None,
        serving: asyncio.Task[None] | None,
        budget: float,
    ) -> None:
        self._services = services
        self._http = http
        self._serving = serving
        self._budget = budget
        self._hurry = asyncio.Event()

    async def run(self) -> ShutdownReport:
        """Do everything, whatever fails, within the budget."""
        return await run_steps(self.steps(), total=self._budget * SHARE_STEPS, hurry=self._hurry)

    def steps(self) -> list[ShutdownStep]:
        """Everything to do, in order."""
        rest = self._budget * SHARE_REST
        connections = max(CONNECTIONS_AT_LEAST, self._budget * SHARE_CONNECTIONS)
        plan = [
            ("stop accepting", self._stop_accepting, rest),
            ("drain turns", self._drain, self._budget * SHARE_DRAIN),
            ("stop turns", self._stop_turns, self._budget * SHARE_TURNS),
            ("end children", self._end_children, self._budget * SHARE_CHILDREN),
            ("close connections", self._close_connections, connections),
            ("stop monitors", self._stop_monitors, rest),
            ("close sessions", self._close_sessions, max(STORE_AT_LEAST, rest)),
            ("clean up", self._clean_up, rest),
            ("close ledger", self._close_ledger, rest),
        ]
        return [
            ShutdownStep(name=name, action=action, deadline=seconds + SLACK)
            for name, action, seconds in plan
        ]

    def hurry(self) -> None:
        """No more patience with anything: kill the children now, cut the connections."""
        self._hurry.set()
        self._services.table.kill_all_now()
        if self._http is not None:
            self._http.force_exit = True
            self._cut_connections()

    async def _stop_accepting(self) -> None:
        self._services.phase = "draining"
        self._services.pool.close()
        self._services.waits.end()
        if self._http is not None:
            self._http.should_exit = True

    async def _drain(self) -> str:
        runner = self._services.runner
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._budget * SHARE_DRAIN):
                for turn in runner.running:
                    await turn.finished.wait()
        return f"{len(runner.running)} turns still run"

    async def _stop_turns(self) -> str:
        error = ShuttingDownError("the server is shutting down; the answer is incomplete")
        stopped = await self._services.runner.stop(error, self._budget * SHARE_TURNS)
        return f"{stopped} turns stopped"

    async def _end_children(self) -> str:
        ended = await self._services.table.end_all(self._budget * SHARE_CHILDREN)
        return f"{ended} children ended"

    async def _close_connections(self) -> str:
        if self._serving is None:
            return ""
        patience = self._budget * SHARE_CONNECTIONS * SHARE_READING
        try:
            await asyncio.wait([self._serving], timeout=patience)
        finally:
            # Also when the time for this step is over already.
            cut = self._cut_connections()
        await asyncio.wait([self._serving])
        return f"{cut} connections cut" if cut else ""

    def _cut_connections(self) -> int:
        """End those whose clients do not read: closing would wait for them; how many."""
        connections = () if self._http is None else tuple(self._http.server_state.connections)
        for connection in connections:
            connection.transport.abort()
        return len(connections)

    async def _stop_monitors(self) -> None:
        await self._services.monitoring.stop()

    async def _close_sessions(self) -> None:
        self._services.responses.close()
        await self._services.sessions.store.close()

    async def _clean_up(self) -> str:
        outcomes = await self._services.tracker.cleanup_all(self._budget * SHARE_REST)
        return ", ".join(f"{o.resource.name} {o.error}".strip() for o in outcomes)

    async def _close_ledger(self) -> None:
        # With a child that could not be ended the ledger stays: the next start tries again.
        if not self._services.table.children:
            self._services.ledger.close()
