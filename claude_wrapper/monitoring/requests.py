"""What happened to requests: totals for ever, and one small record per minute for a day."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["RequestFigures", "RequestStats"]

MINUTES = 24 * 60
# Averages are over this many minutes, so that one slow answer is no alert for a day.
AVERAGED = 5


@dataclass(slots=True)
class _Minute:
    number: int
    count: int = 0
    errors: int = 0
    seconds: float = 0.0
    response_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFigures:
    """Requests since the start, of the last minutes, and errors of the last day.

    Attributes:
        per_minute: Requests in the last five minutes, per minute.
        average_seconds: Mean time of a whole request in the last five minutes; 0 without any.
        average_response_seconds: Mean time until its answer began.
        error_rate: Share of answers with status 500 or more in the last five minutes, 0 to 1.
    """

    total: int
    ok: int
    failed: int
    per_minute: float
    average_seconds: float
    average_response_seconds: float
    error_rate: float
    errors_last_minute: int
    errors_last_day: int


class RequestStats:
    """Counts finished requests; a server error is a failure, a client's mistake is not.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minutes: deque[_Minute] = deque(maxlen=MINUTES)
        self._total = self._failed = 0

    def record(self, status: int, seconds: float, *, response: float | None = None) -> None:
        """One request is over.

        Args:
            status: HTTP status of its answer.
            seconds: From its beginning to the end of its answer.
            response: Seconds until the answer began; None where it came in one piece.
        """
        number = int(self._clock() // 60)
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number))
        minute = self._minutes[-1]
        failed = status >= 500
        minute.count += 1
        minute.errors += failed
        minute.seconds += seconds
        minute.response_seconds += seconds if response is None else response
        self._total += 1
        self._failed += failed

    def figures(self) -> RequestFigures:
        """Everything in one record."""
        now = int(self._clock() // 60)
        recent = self._since(now - AVERAGED)
        count = sum(minute.count for minute in recent)
        errors = sum(minute.errors for minute in recent)
        return RequestFigures(
            total=self._total,
            ok=self._total - self._failed,
            failed=self._failed,
            per_minute=count / AVERAGED,
            average_seconds=_mean((minute.seconds for minute in recent), count),
            average_response_seconds=_mean((minute.response_seconds for minute in recent), count),
            error_rate=errors / count if count else 0.0,
            errors_last_minute=sum(minute.errors for minute in self._since(now - 1)),
            errors_last_day=sum(minute.errors for minute in self._since(now - MINUTES)),
        )

    def _since(self, number: int) -> list[_Minute]:
        return [minute for minute in self._minutes if minute.number > number]


def _mean(values: Iterable[float], count: int) -> float:
    return sum(values) / count if count else 0.0
