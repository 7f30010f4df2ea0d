"""Calls that were posted to a loop in another thread, and that it has not taken up yet.

``asyncio.run_coroutine_threadsafe`` makes no task: it asks the loop to make one. A test that does so
in its last moment may be over before there is anything to see. So at its end such a loop gets one
more call, after all that were posted before; when that has been made, so have they.
"""

from __future__ import annotations

import weakref
from _thread import allocate_lock
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["PostedCalls"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

_MOMENT = 0.05  # seconds; a loop that is busy for longer is not waited for


class PostedCalls:
    """Hears of calls from one thread to a loop in another, and has them say whose they are."""

    def __init__(self, recorder: Recorder) -> None:
        """Wait for asyncio."""
        self._recorder = recorder
        self._loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self._post: Callable[..., Any] | None = None
        self._main = System.main_thread().ident

    def hook(self, loop_class: Any) -> None:
        """Hear of calls to loops of that class."""
        self._recorder.wrap(loop_class, "call_soon_threadsafe", self._noting)

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        self._post = original

        def wrapper(loop: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("context") is None and System.get_ident() != self._main:
                kwargs["context"] = self._context_of_poster()
            handle = original(loop, *args, **kwargs)
            source = getattr(handle, "_source_traceback", None)
            if source and source[-1].filename == __file__:
                del source[-1]  # in debug mode asyncio shows who has posted it
            if self._runs_elsewhere(loop):
                self._loops.add(loop)
                self._recorder.stir()
            return handle

        return wrapper

    def _context_of_poster(self) -> Context:
        """Return the context of this thread; a bare thread has none, so it says who began it.

        Else what the loop makes in such a call would look like that of whoever runs the loop.
        """
        context = copy_context()
        owner_var = self._recorder.owner_var
        maker = self._recorder.maker_of_thread() if owner_var.get(None) is None else None
        while maker is not None:
            if (owner := maker.owner or maker.window) is not None:
                context.run(owner_var.set, owner)
                break
            maker = maker.parent
        return context

    def _runs_elsewhere(self, loop: Any) -> bool:
        return getattr(loop, "_thread_id", None) not in {None, self._main, System.get_ident()}

    def take_up(self) -> None:
        """Have every loop that was posted to make the calls that are due, if it can do so soon."""
        while self._loops and self._post is not None:
            try:
                loop = self._loops.pop()
            except KeyError:  # the last one has just ended
                return
            if not self._runs_elsewhere(loop):
                continue
            done = allocate_lock()
            done.acquire()
            with suppress(RuntimeError):  # closed meanwhile
                self._post(loop, done.release)
                done.acquire(timeout=_MOMENT)
