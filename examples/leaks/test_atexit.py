"""Exit callbacks: registered, and never taken back."""

from __future__ import annotations

import atexit


def say_goodbye():
    """Would be called when the process ends."""


def test_leaks_an_exit_callback():
    atexit.register(say_goodbye)


def test_takes_its_exit_callback_back():
    atexit.register(say_goodbye)
    atexit.unregister(say_goodbye)
