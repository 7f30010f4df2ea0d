"""The bug: a server of 21 components, each of which listens to the end of the process for ever.

Every component keeps the handlers it found, puts its own in front of them, and registers an exit
callback. ``stop`` forgets all three. Node prints "21 SIGTERM listeners added to [process]" for
this; Python prints nothing, and the process grows with every start.
"""

from __future__ import annotations

import atexit
import signal

NAMES = (
    "access-log", "auth", "backup", "cache", "config-watcher", "dashboard", "event-bus",
    "health-check", "http-server", "job-queue", "mailer", "metrics", "performance-monitor",
    "process-manager", "rate-limiter", "scheduler", "session-store", "system-monitor", "telemetry",
    "token-store", "uploads",
)  # fmt: skip


class Component:
    """One part of the server."""

    def __init__(self, name):
        self.name = name
        self.is_running = False

    def start(self):
        self.is_running = True
        self._chain(signal.SIGINT)
        self._chain(signal.SIGTERM)
        atexit.register(self.stop)

    def _chain(self, number):
        previous = signal.getsignal(number)

        def stop_then_pass_on(number, frame):
            self.stop()
            if callable(previous):
                previous(number, frame)

        signal.signal(number, stop_then_pass_on)

    def stop(self):
        self.is_running = False  # and the handlers, and the exit callback?


class Server:
    """All components."""

    def __init__(self):
        self.components = [Component(name) for name in NAMES]

    def start(self):
        for component in self.components:
            component.start()

    def stop(self):
        for component in reversed(self.components):
            component.stop()
