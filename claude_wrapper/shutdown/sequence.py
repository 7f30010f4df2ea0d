"""Runs the steps of a shutdown: in order, each with a deadline, all of them whatever fails."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["ShutdownReport", "ShutdownStep", "StepOutcome", "run_steps"]

logger = logging.getLogger(__name__)


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


async def run_steps(steps: Sequence[ShutdownStep]) -> ShutdownReport:
    """Run all steps and report; never raises what a step raised."""
    began = time.monotonic()
    outcomes = tuple([await _run_step(step) for step in steps])
    return ShutdownReport(outcomes=outcomes, seconds=time.monotonic() - began)


async def _run_step(step: ShutdownStep) -> StepOutcome:
    began = time.monotonic()
    task = asyncio.ensure_future(step.action())
    # wait, unlike wait_for, comes back at the deadline even when the step ignores cancellation.
    await asyncio.wait([task], timeout=step.deadline)
    seconds = time.monotonic() - began
    if not task.done():
        task.cancel()
        logger.warning(
            "shutdown step %r is not done after %g s; going on", step.name, step.deadline
        )
        return StepOutcome(name=step.name, result="late", seconds=seconds)
    if task.cancelled() or (error := task.exception()) is not None:
        detail = "cancelled" if task.cancelled() else f"{type(error).__name__}: {error}"
        logger.warning("shutdown step %r failed: %s; going on", step.name, detail)
        return StepOutcome(name=step.name, result="failed", seconds=seconds, detail=detail)
    result = task.result()
    detail = "" if result is None else str(result)
    return StepOutcome(name=step.name, result="done", seconds=seconds, detail=detail)
