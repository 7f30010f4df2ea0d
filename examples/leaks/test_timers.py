"""Timers: set, and never cancelled."""

from __future__ import annotations

import threading


def beep():
    print("beep")


def test_leaks_a_timer():
    timer = threading.Timer(30, beep)
    timer.daemon = True
    timer.start()


def test_cancels_its_timer():
    timer = threading.Timer(30, beep)
    timer.start()
    timer.cancel()
    timer.join()
