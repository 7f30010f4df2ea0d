"""Runs the steps of a shutdown: in order, each with a deadline, all of them whatever fails."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["ShutdownReport", "ShutdownStep", "StepOutcome", "run_steps"]

logger = logging.getLogger(__name__)

# Each step gets a chance, even when the others have used up the whole time.
CHANCE = 0.1
# What a step still gets after somebody lost patience.
HURRIED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownStep:
    """One step: its name, what it does, and the longest it may take, in seconds.

    What the action returns is kept as the detail of its outcome.
    """

    name: str
    action: Callable[[], Awaitable[object]]
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a step went; seconds it took."""

    name: str
    result: Literal["done", "late", "failed"]
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownReport:
    """The whole shutdown; `left` names what was still there at the end, None when not checked."""

    outcomes: tuple[StepOutcome, ...]
    seconds: float
    left: tuple[str, ...] | None = None

    @property
    def is_clean(self) -> bool:
        """Every step was done in time and nothing is left."""
        return all(outcome.result == "done" for outcome in self.outcomes) and not self.left

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        steps = [
            {"name": o.name, "result": o.result, "seconds": round(o.seconds, 4), "detail": o.detail}
            for o in self.outcomes
        ]
        left = None if self.left is None else list(self.left)
        return {
            "clean": self.is_clean,
            "seconds": round(self.seconds, 4),
            "steps": steps,
            "left": left,
        }


class _Pace:
    """How long a step may take, given what is left for all of them."""

    def __init__(self, total: float, hurry: asyncio.Event) -> None:
        self._ends_at = time.monotonic() + total
        self._hurry = hurry

    async def wait(self, task: asyncio.Future[object], step: ShutdownStep) -> None:
        """Return when the task is done or its time is over."""
        if not self._hurry.is_set():
            left = max(CHANCE, min(step.deadline, self._ends_at - time.monotonic()))
            hurried = asyncio.ensure_future(self._hurry.wait())
            # wait, unlike wait_for, comes back in time even when the step ignores cancellation.
            both: set[asyncio.Future[Any]] = {task, hurried}
            await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
        if self._hurry.is_set():
            await asyncio.wait([task], timeout=min(step.deadline, HURRIED))


async def run_steps(
    steps: Sequence[ShutdownStep],
    *,
    total: float = math.inf,
    hurry: asyncio.Event | None = None,
) -> ShutdownReport:
    """Run all steps and report; never raises what a step raised.

    Args:
        steps: What to do, in order.
        total: Seconds for all of them; late steps take from the time of the later ones.
        hurry: Once set, every step is cut off after half a second.
    """
    began = time.monotonic()
    pace = _Pace(total, hurry or asyncio.Event())
    outcomes = tuple([await _run_step(step, pace) for step in steps])
    return ShutdownReport(outcomes=outcomes, seconds=time.monotonic() - began)


async def _run_step(step: ShutdownStep, pace: _Pace) -> StepOutcome:
    began = time.monotonic()
    task = asyncio.ensure_future(step.action())
    await pace.wait(task, step)
    seconds = time.monotonic() - began
    if not task.done():
        task.cancel()
        logger.warning("shutdown step %r is not done after %.2f s; going on", step.name, seconds)
        return StepOutcome(name=step.name, result="late", seconds=seconds)
    if task.cancelled() or (error := task.exception()) is not None:
        detail = "cancelled" if task.cancelled() else f"{type(error).__name__}: {error}"
        logger.warning("shutdown step %r failed: %s; going on", step.name, detail)
        return StepOutcome(name=step.name, result="failed", seconds=seconds, detail=detail)
    result = task.result()
    detail = "" if result is None else str(result)
    return StepOutcome(name=step.name, result="done", seconds=seconds, detail=detail)
