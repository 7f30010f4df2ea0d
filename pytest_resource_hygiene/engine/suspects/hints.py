"""How to end what the standard library makes for an object of its own: the object knows.

A pool's pipes are not closed with ``os.close()``, and a `multiprocessing.Process` has no ``wait()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.suspects.groups import Group

__all__ = ["hint_of_maker"]

_EXECUTOR = "call executor.shutdown(), or use the executor in a `with` block"
_POOL = "call pool.close() or terminate(), then pool.join()"
_QUEUE = "call queue.close() and queue.join_thread()"
_MANAGER = "call manager.shutdown(), or use the manager in a `with` block"
_PROCESS = "join() the process; if it does not end by itself, terminate() it first"
_HANDLER = "close() the handler, and take it off its logger first"
_LISTENER = "call listener.stop()"
_ASYNC_PROCESS = "terminate() or kill() the process, and `await process.wait()`"
_STREAM = "close() its writer, and `await writer.wait_closed()`"
_SERVER = "close() the server, and `await server.wait_closed()`; or use it in an `async with` block"
_POPENS_PIPE = "close() it, as by process.stdin.close(), or use Popen in a `with` block"

# File and function that the user's code has called; no name stands for every function of the file.
_HINTS = {
    ("concurrent/futures/process.py", ""): _EXECUTOR,
    ("concurrent/futures/thread.py", ""): _EXECUTOR,
    ("multiprocessing/pool.py", ""): _POOL,
    ("multiprocessing/context.py", "Pool"): _POOL,
    ("multiprocessing/context.py", "Queue"): _QUEUE,
    ("multiprocessing/context.py", "JoinableQueue"): _QUEUE,
    ("multiprocessing/queues.py", ""): _QUEUE,
    ("multiprocessing/context.py", "SimpleQueue"): "call queue.close()",
    ("multiprocessing/context.py", "Pipe"): "close() both connections, or use them in a `with` block",
    ("multiprocessing/context.py", "Manager"): _MANAGER,
    ("multiprocessing/managers.py", ""): _MANAGER,
    ("multiprocessing/process.py", "start"): _PROCESS,
    ("multiprocessing/shared_memory.py", ""): "close() the shared memory; whoever has created it "
    "also calls unlink()",
    ("logging/__init__.py", ""): _HANDLER,
    ("logging/handlers.py", "start"): _LISTENER,
    ("logging/handlers.py", ""): _HANDLER,
    ("asyncio/subprocess.py", ""): _ASYNC_PROCESS,
    ("asyncio/streams.py", "open_connection"): _STREAM,
    ("asyncio/streams.py", "open_unix_connection"): _STREAM,
    ("asyncio/streams.py", "start_server"): _SERVER,
    ("asyncio/streams.py", "start_unix_server"): _SERVER,
}  # fmt: skip
_OF_ONE_KIND = {"fds": {("subprocess.py", "__init__"): _POPENS_PIPE}}
_KINDS = frozenset({"fds", "sockets", "processes", "threads", "timers"})


def hint_of_maker(group: Group) -> str | None:
    """Return how to end what a call of the standard library has made, or the timer of another.

    None if the kind knows best.

    Args:
        group: its site names what was called, the innermost function first.
    """
    kind = group.primary.tracker.kind
    if kind not in _KINDS or not group.site:
        return None
    path, function = group.site[-1]
    file = path.replace("\\", "/")
    _, packages, name = file.rpartition("/site-packages/")
    if packages:  # its handle is in nobody's hands
        package = name.partition("/")[0].removesuffix(".py")
        return f"close the object of {package} that has set it" if kind == "timers" else None
    for (ending, called), hint in (_OF_ONE_KIND.get(kind, {}) | _HINTS).items():
        if called in {"", function} and file.endswith(f"/{ending}"):
            return hint
    return None
