"""The same server without the bug: what ``start`` adds, ``stop`` takes away, in reverse order.

The handlers are put back rather than reset to the default: somebody else may have set them before.
"""

from __future__ import annotations

import atexit
import signal

from components import NAMES


class Component:
    """One part of the server."""

    def __init__(self, name):
        self.name = name
        self.is_running = False
        self._previous = {}

    def start(self):
        self.is_running = True
        self._chain(signal.SIGINT)
        self._chain(signal.SIGTERM)
        atexit.register(self.stop)

    def _chain(self, number):
        previous = self._previous[number] = signal.getsignal(number)

        def stop_then_pass_on(number, frame):
            self.stop()
            if callable(previous):
                previous(number, frame)

        signal.signal(number, stop_then_pass_on)

    def stop(self):
        self.is_running = False
        while self._previous:
            signal.signal(*self._previous.popitem())
        atexit.unregister(self.stop)


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
