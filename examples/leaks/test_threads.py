"""Threads: started, and never told to end."""

from __future__ import annotations

import threading


def test_leaks_a_thread():
    never = threading.Event()
    threading.Thread(target=never.wait, args=(30,), name="poller", daemon=True).start()


def test_joins_its_thread():
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(30,), name="poller")
    thread.start()
    done.set()
    thread.join()
