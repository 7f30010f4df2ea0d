"""Native threads: started by C code, unknown to Python. A note, not a failure, unless asked for."""

from __future__ import annotations

import ctypes
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="calls pthread_create of Linux")


def start_native_thread():
    """Run C's ``sleep(5)`` in a thread of its own."""
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, libc.sleep, ctypes.c_void_p(5)) == 0
    return libc, thread


def test_leaves_a_native_thread():
    start_native_thread()


def test_ends_its_native_thread():
    libc, thread = start_native_thread()
    libc.pthread_cancel(thread)
    libc.pthread_join(thread, None)
