"""Functions of the system, as they were before any test could patch them.

Tests replace ``os.listdir``, stop the clock, forbid blocking calls on a loop, or put a fake file
system under every module. We look at the real process all the same. Tools of that sort go through
the globals of all modules, so these functions are attributes of a class.
"""

from __future__ import annotations

import _thread
import gc
import io
import linecache
import os
import sys
import threading
import time
from types import BuiltinFunctionType
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["System"]


def _sleep() -> Callable[[float], object]:
    """Return what lets seconds pass, also where a conftest has made ``time.sleep`` do nothing."""
    package = str(getattr(time.sleep, "__module__", "")).partition(".")[0]
    if isinstance(time.sleep, BuiltinFunctionType) or package in {"gevent", "eventlet"}:
        return time.sleep
    lock = _thread.allocate_lock()
    lock.acquire()
    return lambda seconds: lock.acquire(timeout=seconds)


def _class_of_threads() -> type[threading.Thread]:
    """Return the interpreter's own, also where somebody has put a subclass of it in its place."""
    main = type(threading.main_thread())
    own = [
        cls for cls in main.__mro__ if cls.__name__ == "Thread" and cls.__module__ == "threading"
    ]
    return own[0] if own else threading.Thread


class System:
    """The originals."""

    Thread = _class_of_threads()
    Timer = threading.Timer
    close = staticmethod(os.close)
    collect = staticmethod(gc.collect)
    current_thread = staticmethod(threading.current_thread)
    fstat = staticmethod(os.fstat)
    get_ident = staticmethod(threading.get_ident)
    get_objects = staticmethod(gc.get_objects)
    get_referents = staticmethod(gc.get_referents)
    is_tracked = staticmethod(gc.is_tracked)
    get_referrers = staticmethod(gc.get_referrers)
    getframe = staticmethod(sys._getframe)  # noqa: SLF001 - it has no other name
    getline = staticmethod(linecache.getline)
    getpid = staticmethod(os.getpid)
    listdir = staticmethod(os.listdir)
    monotonic = staticmethod(time.monotonic)
    main_thread = staticmethod(threading.main_thread)
    open_fd = staticmethod(os.open)
    perf_counter = staticmethod(time.perf_counter)
    readlink = staticmethod(os.readlink)
    sleep = staticmethod(_sleep())
    stat = staticmethod(os.stat)
    threads = staticmethod(threading.enumerate)
    time = staticmethod(time.time)
    if sys.platform == "linux":
        waitid = staticmethod(os.waitid)
    if sys.platform != "win32":
        control_fd = staticmethod(fcntl.fcntl)
        F_DUPFD_CLOEXEC = fcntl.F_DUPFD_CLOEXEC
        F_GETFL = fcntl.F_GETFL
        waitpid = staticmethod(os.waitpid)

    @staticmethod
    def read(path: str, _open: Callable[[str], io.FileIO] = io.FileIO) -> bytes:
        """Return what a small file holds.

        Raises:
            OSError: it cannot be read.
        """
        with _open(path) as file:
            return file.read()
