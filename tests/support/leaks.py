"""Leaks of every kind as lines of code.

Each leak says how the thing is made, how it is closed, and what a finding of it must say. The line
that ends in ``# origin`` is the one that the finding has to name.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

__all__ = ["HEAD", "LEAKS", "Leak"]

HEAD = """
import asyncio, atexit, ctypes, faulthandler, fcntl, gc, logging, multiprocessing, os, pty, select
import signal, socket, subprocess, sys, tempfile, threading, time, unittest, warnings, _thread
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import blinker
import pyee
import pytest

KEEP = []
FILE = __file__
SIGNAL = blinker.Signal()
EMITTER = pyee.EventEmitter()
LOG = logging.getLogger("inner")
LIBC = ctypes.CDLL(None)
PAIR = socket.socketpair(); PAIR[1].setblocking(False)

GRANDCHILDREN = []

def end_grandchildren():
    for pid in GRANDCHILDREN:
        try: os.kill(pid, signal.SIGKILL)
        except ProcessLookupError: pass

atexit.register(end_grandchildren)  # at import: nothing may outlive the inner run

def worker():
    pass

def noop(*args):
    pass

async def sleeper():
    await asyncio.sleep(1000)

async def numbers():
    for number in range(10):
        yield number
"""


@dataclass(frozen=True)
class Leak:
    """One way to leave something behind.

    Attributes:
        name: of the test, as an identifier.
        kind: what the finding has to be called.
        make: lines that make it and keep it; one of them ends in ``# origin``.
        close: lines that close it.
        says: words that the summary must contain.
        change: how it differs from what was there.
        loop: whether it can only be made while a loop runs.
        recorded: whether the moment of making can be seen.
        certain: whether no other creation could be taken for this one.
    """

    name: str
    kind: str
    make: str
    close: str
    says: str = ""
    change: str = "added"
    loop: bool = False
    recorded: bool = True
    certain: bool = True


def _leak(name: str, kind: str, make: str, close: str, says: str = "", **more: object) -> Leak:
    clean = textwrap.dedent
    return Leak(name, kind, clean(make).strip(), clean(close).strip(), says, **more)  # type: ignore[arg-type]


LEAKS = (
    _leak("thread", "threads", """
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait, name="left-over")
        thread.daemon = True
        thread.start()  # origin
        """, "stop.set(); thread.join()", "left-over"),
    _leak("raw_thread", "threads", """
        lock = _thread.allocate_lock(); lock.acquire()
        done = threading.Event()
        def blocked(): lock.acquire(); done.set()
        _thread.start_new_thread(blocked, ())  # origin
        KEEP.append(lock)
        """, "lock.release(); done.wait()", "raw thread"),
    _leak("executor", "threads", """
        pool = ThreadPoolExecutor(2, thread_name_prefix="crew")
        pool.submit(worker).result()  # origin
        KEEP.append(pool)
        """, "pool.shutdown(); KEEP.remove(pool)", "crew"),
    _leak("native_thread", "native_threads", """
        handle = ctypes.c_ulong()
        LIBC.pthread_create(ctypes.byref(handle), None, LIBC.pause, None)  # origin
        """, "LIBC.pthread_cancel(handle); LIBC.pthread_join(handle, None)", "native thread",
        recorded=False),
    _leak("timer", "timers", """
        timer = threading.Timer(1000, noop)
        timer.daemon = True
        timer.start()  # origin
        """, "timer.cancel(); timer.join()", "noop"),
    _leak("itimer", "timers", """
        signal.setitimer(signal.ITIMER_VIRTUAL, 5000)  # origin
        """, "signal.setitimer(signal.ITIMER_VIRTUAL, 0)", "ITIMER_VIRTUAL"),
    _leak("alarm", "timers", """
        signal.alarm(5000)  # origin
        """, "signal.alarm(0)", "ITIMER_REAL"),
    _leak("posix_timer", "timers", """
        number = ctypes.c_void_p()
        sigev = (ctypes.c_int * 16)(); sigev[3] = 1  # SIGEV_NONE
        LIBC.timer_create(1, sigev, ctypes.byref(number))  # origin
        """, "LIBC.timer_delete(number)", "POSIX timer", recorded=False),
    _leak("call_later", "timers", """
        ring = asyncio.get_running_loop().call_later(1000, noop)  # origin
        """, "ring.cancel()", "noop", loop=True),
    _leak("signal_handler", "signals", """
        before = signal.getsignal(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, noop)  # origin
        """, "signal.signal(signal.SIGUSR1, before)", "SIGUSR1", change="replaced"),
    _leak("wakeup_fd", "signals", """
        before = signal.set_wakeup_fd(PAIR[1].fileno())  # origin
        """, "signal.set_wakeup_fd(before)", "wakeup",
        change="replaced"),
    _leak("signal_mask", "signals", """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # origin
        """, "signal.pthread_sigmask(signal.SIG_SETMASK, before)", "SIGUSR2", change="replaced"),
    _leak("loop_signal_handler", "signals", """
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, noop)  # origin
        """, "asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)", "SIGUSR1",
        loop=True),
    _leak("file", "fds", """
        handle = open(FILE)  # origin
        KEEP.append(handle)
        """, "handle.close()", "test_"),
    _leak("same_file_twice", "fds", """
        KEEP.append([open(FILE), open(FILE)])  # origin
        """, "[one.close() for one in KEEP[-1]]", "test_"),
    _leak("os_open", "fds", """
        fd = os.open(FILE, os.O_RDONLY)  # origin
        """, "os.close(fd)", "test_"),
    _leak("pipe", "fds", """
        ends = os.pipe()  # origin
        """, "os.close(ends[0]); os.close(ends[1])", "pipe"),
    _leak("dup", "fds", """
        fd = os.dup(0)  # origin
        """, "os.close(fd)", "null"),
    _leak("eventfd", "fds", """
        fd = os.eventfd(0)  # origin
        """, "os.close(fd)", "eventfd"),
    _leak("memfd", "fds", """
        fd = os.memfd_create("scratch")  # origin
        """, "os.close(fd)", "scratch"),
    _leak("epoll", "fds", """
        epoll = select.epoll()  # origin
        KEEP.append(epoll)
        """, "epoll.close()", "poll", recorded=False),
    _leak("pty", "fds", """
        ends = pty.openpty()  # origin
        """, "os.close(ends[0]); os.close(ends[1])", "pt"),
    _leak("forkpty", "fds", """
        pid, fd = pty.fork()  # origin
        if not pid: os._exit(0)
        os.waitpid(pid, 0)
        """, "os.close(fd)", "pt"),
    _leak("fcntl_dup", "fds", """
        fd = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 0)  # origin
        """, "os.close(fd)", "null", recorded=False),
    _leak("listening_socket", "sockets", """
        server = socket.create_server(("127.0.0.1", 0))  # origin
        KEEP.append(server)
        """, "server.close()", "127.0.0.1"),
    _leak("socket_pair", "sockets", """
        pair = socket.socketpair()  # origin
        KEEP.append(pair)
        """, "pair[0].close(); pair[1].close()"),
    _leak("detached_socket", "sockets", """
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # origin
        fd = sock.detach()
        """, "os.close(fd)", certain=False),
    _leak("child", "processes", """
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)  # origin
        KEEP.append(child)
        """, "child.stdin.close(); child.wait()", "cat"),
    _leak("zombie", "processes", """
        pid = os.posix_spawnp("true", ["true"], {})  # origin
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        """, "os.waitpid(pid, 0)", "zombie"),
    _leak("grandchild", "processes", """
        child = subprocess.Popen(["sh", "-c", "sleep 1000 >&2 & echo $!"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        grandchild = int(child.stdout.readline()); child.stdout.close(); child.wait()
        GRANDCHILDREN.append(grandchild)
        """, """
        os.kill(grandchild, signal.SIGKILL)
        try: os.waitpid(grandchild, 0)
        except ChildProcessError: pass
        """, "sleep", recorded=False),
    _leak("multiprocessing_child", "processes", """
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[1000])
        child.daemon = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child.start()  # origin
        KEEP.append(child)
        """, "child.kill(); child.join(); child.close()"),
    _leak("task", "tasks", """
        task = asyncio.get_running_loop().create_task(sleeper())  # origin
        KEEP.append(task)
        """, "task.cancel(); await asyncio.wait([task])", "sleeper", loop=True),
    _leak("async_generator", "tasks", """
        generator = numbers(); KEEP.append(generator)
        await anext(generator)  # origin
        """, "await generator.aclose()", "numbers", loop=True, recorded=False),
    _leak("loop", "loops", """
        loop = asyncio.new_event_loop()  # origin
        KEEP.append(loop)
        """, "loop.close()", "not closed"),
    _leak("exit_callback", "atexit", """
        atexit.register(noop)  # origin
        """, "atexit.unregister(noop)", "noop"),
    _leak("blinker_receiver", "listeners", """
        SIGNAL.connect(noop)  # origin
        """, "SIGNAL.disconnect(noop)", "noop"),
    _leak("pyee_listener", "listeners", """
        EMITTER.on("ready", noop)  # origin
        """, "EMITTER.remove_listener('ready', noop)", "ready"),
    _leak("log_handler", "listeners", """
        handler = logging.StreamHandler()
        LOG.addHandler(handler)  # origin
        """, "LOG.removeHandler(handler)", "inner"),
    _leak("log_filter", "listeners", """
        class Filter(logging.Filter): pass
        filter = Filter()
        LOG.addFilter(filter)  # origin
        """, "LOG.removeFilter(filter)", "inner"),
    _leak("excepthook", "listeners", """
        before = sys.excepthook
        sys.excepthook = noop  # origin
        """, "sys.excepthook = before", "excepthook", change="replaced", recorded=False),
    _leak("thread_excepthook", "listeners", """
        before = threading.excepthook
        threading.excepthook = noop  # origin
        """, "threading.excepthook = before", "excepthook", change="replaced", recorded=False),
    _leak("dropped_file", "unclosed", """
        handle = open(FILE)  # origin
        del handle
        """, "", "dropped"),
    _leak("dropped_socket", "unclosed", """
        sock = socket.socket()  # origin
        del sock
        """, "", "dropped"),
)  # fmt: skip
