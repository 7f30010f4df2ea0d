"""Which workers there are, and what each is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_wrapper.claude.child import Child
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.claude.worker import Worker

__all__ = ["Roster"]


class Roster:
    """Lists of workers by what they do.

    Attributes:
        idle: Ready for a turn.
        busy: In the hands of a turn.
        parked: They wait for the results of tool calls; since when, in monotonic seconds.
        recalling: Those among the busy whose parked turn is being taken back.
        ending: Processes that are not gone yet.
        starting: How many are being started.
        exchanging: How many are being started for one who has given another back for it.
    """

    def __init__(self) -> None:
        self.idle: list[Worker] = []
        self.busy: set[Worker] = set()
        self.parked: dict[Worker, float] = {}
        self.recalling: set[Worker] = set()
        self.ending: set[Child] = set()
        self.starting = 0
        self.exchanging = 0

    @property
    def size(self) -> int:
        """Processes there are or will be in a moment; one counts until it is gone."""
        living = (*self.idle, *self.busy, *self.parked, *self.ending)
        return len(living) + self.starting + self.exchanging

    @property
    def is_free(self) -> bool:
        """Whether any could be chosen: where none can, nobody in a long queue need be looked at."""
        return bool(self.idle or self.parked)

    def serves(self, schema: str | None = None) -> bool:
        """Whether anything is there, or comes, that can take a turn now or later.

        Args:
            schema: That of the turn; None for any turn.
        """
        idle = [worker for worker in self.idle if not worker.has_ended]
        living = (*idle, *self.busy, *self.parked)
        fits = any(schema in (None, worker.schema) for worker in living)
        return fits or bool(self.starting or self.exchanging)

    def counts(self) -> dict[str, int]:
        """Processes by state."""
        return {
            "idle": len(self.idle),
            "busy": len(self.busy),
            "parked": len(self.parked),
            "starting": self.starting + self.exchanging,
            "ending": len(self.ending),
        }

    def choose(self, wanted: Wanted, *, spare_sessions: bool) -> Worker | None:
        """The best worker that is free now: the fewer milliseconds it needs, the better.

        Args:
            wanted: What is looked for.
            spare_sessions: Leave those alone that hold a session: another one can be started.
        """
        for worker in self.parked:
            if not worker.has_ended and worker.waits_for(wanted):
                return worker
        fitting = [w for w in self.idle if w.schema == wanted.schema and not w.has_ended]
        holding = [w for w in fitting if w.holds(wanted)]
        if holding:
            return max(holding, key=lambda w: (len(w.context.fingerprints), w.last_used))
        free = [w for w in fitting if not (w.session and spare_sessions)]
        return min(free, key=lambda w: w.last_used, default=None)

    def take(self, worker: Worker) -> None:
        """Into the hands of a turn."""
        self.forget(worker)
        self.busy.add(worker)

    def forget(self, worker: Worker) -> None:
        """Off every list."""
        if worker in self.idle:
            self.idle.remove(worker)
        self.busy.discard(worker)
        self.recalling.discard(worker)
        self.parked.pop(worker, None)
