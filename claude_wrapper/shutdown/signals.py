"""The one owner of process signals: components subscribe, and handlers are put back exactly.

Handlers are installed with `signal.signal` and not through the loop, because the loop forgets the
previous handler. Python runs them in the main thread between two instructions, so all they do is
to wake the loop, which then calls the subscribers.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["SignalHub", "hold_signals"]


def _existing(*names: str) -> tuple[signal.Signals, ...]:
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


HANGUPS = frozenset(_existing("SIGHUP"))
# Their default is to end the process where it stands, with children and files left: nobody sends
# them to us on purpose, but a log rotation or a limit of the shell may.
STRAY = _existing(
    "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGIO", "SIGPWR"
)
SIGNALS = (*_existing("SIGINT", "SIGTERM", "SIGHUP"), *STRAY)

# `timeout` and some supervisors signal the process and then its group: the same signal again
# within this many seconds is an echo, not impatience.
ECHO = 0.1


def hold_signals() -> Callable[[], None]:
    """Let the signals of the hub wait, whoever handles them; the undo delivers what came.

    For the last step of a shutdown: the handlers must be back to be compared, and a signal that
    meets the default one would end the process before it has said what it found.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return lambda: None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def undo() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return undo


class SignalHub:
    """Receives whatever signal may end the process between `install` and `restore`.

    Whoever has put a handler of his own for a stray one, or ignores it, keeps it.

    Attributes:
        received: How many signals have come.
    """

    def __init__(self) -> None:
        self.received = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._last: dict[int, float] = {}
        self._subscribers: list[Callable[[signal.Signals, int], object]] = []

    @property
    def is_installed(self) -> bool:
        """Whether the handlers are ours now."""
        return bool(self._previous)

    def install(self) -> None:
        """Take the signals over; does nothing outside the main thread, or when it has them."""
        if self.is_installed or threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in SIGNALS:
            former = signal.getsignal(number)
            if number in HANGUPS and former == signal.SIG_IGN:
                # Whoever started us with nohup wants the server to outlive the terminal.
                continue
            if number in STRAY and former != signal.SIG_DFL:
                continue
            self._previous[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Put every previous handler back, where the handler is still ours."""
        for number, previous in self._previous.items():
            # == because a bound method is a new object each time it is looked up.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous if previous is not None else signal.SIG_DFL)
        self._previous.clear()
        self._subscribers.clear()
        self._loop = None

    def subscribe(self, callback: Callable[[signal.Signals, int], object]) -> Callable[[], None]:
        """Call back at each signal, with it and how many came; returns the undo."""
        self._subscribers.append(callback)

        def undo() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return undo

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        is_echo = now - self._last.get(number, -ECHO) < ECHO
        self._last[number] = now
        if is_echo:
            return
        self.received += 1
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, signal.Signals(number), self.received)

    def _tell(self, number: signal.Signals, count: int) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(number, count)
