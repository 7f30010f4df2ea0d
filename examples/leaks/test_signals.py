"""Signals: a handler that stays."""

from __future__ import annotations

import signal


def stop(number, frame):
    print("stopping")


def test_leaks_a_handler():
    signal.signal(signal.SIGTERM, stop)


def test_puts_the_previous_handler_back():
    previous = signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGTERM, previous)
