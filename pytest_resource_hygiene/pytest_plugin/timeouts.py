"""Stops the clock of pytest-timeout while suspects are waited for: that time is ours, not the test's.

By signal, the clock is stopped and wound up again. The timer of a thread cannot be stopped; it is
given another function, which waits on for as long as we did.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

__all__ = ["timeout_stopped"]

_PLUGIN = "pytest_timeout"


@contextmanager
def timeout_stopped(item: Any) -> Iterator[None]:
    """Have the time inside not count for the timeout of a test.

    Args:
        item: the test that runs.
    """
    rest = _stop_clock()
    postponed = _postponed(item)
    if postponed is not None:
        postponed.begin()
    try:
        yield
    finally:
        if postponed is not None:
            postponed.end()
        if rest:
            signal.setitimer(signal.ITIMER_REAL, rest)


def _stop_clock() -> float:
    """Return how many seconds were left; 0 if it is not the plugin's clock, or does not run."""
    if not hasattr(signal, "setitimer") or System.current_thread() is not System.main_thread():
        return 0
    if getattr(signal.getsignal(signal.SIGALRM), "__module__", None) != _PLUGIN:
        return 0
    return signal.setitimer(signal.ITIMER_REAL, 0)[0]


class _Postponed:
    """What a timer calls at the end of a test's time."""

    def __init__(self, timer: threading.Timer) -> None:
        self._timer = timer
        self._function = timer.function
        self._spent = 0.0
        self._since: float | None = None

    def begin(self) -> None:
        self._since = System.monotonic()

    def end(self) -> None:
        self._spent, self._since = self._seconds(), None

    def _seconds(self) -> float:
        since = self._since
        return self._spent + (System.monotonic() - since if since is not None else 0)

    def ring(self, *args: Any, **kwargs: Any) -> None:
        waited = 0.0
        while (rest := self._seconds() - waited) > 0:
            waited += rest
            if self._timer.finished.wait(rest):
                return
        self._function(*args, **kwargs)


def _postponed(item: Any) -> _Postponed | None:
    for timer in System.threads():
        if isinstance(timer, System.Timer) and next(iter(timer.args), None) is item:
            mine = getattr(timer.function, "__self__", None)
            if isinstance(mine, _Postponed):
                return mine
            if getattr(timer.function, "__module__", None) == _PLUGIN:
                postponed = _Postponed(timer)
                timer.function = postponed.ring
                return postponed
    return None
