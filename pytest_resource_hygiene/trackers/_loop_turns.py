"""Runs somebody else's idle loop for a moment, whatever its own callbacks do meanwhile.

They may stop it, as a server's do when the last thing is done, or say that the program shall end.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_resource_hygiene.audit import Stack

__all__ = ["run_for", "within_turn"]

_TURNS = 3  # a task that is cancelled needs one to hear of it, one to end, and one to say so
_TURN = 0.001  # seconds
_A_WHILE = 0.0001  # in which a clock moves


def run_for(loop: Any, seconds: float) -> None:
    """Run a loop that does not run for so many seconds, or, with 0, for a few turns."""
    if not seconds:
        for _ in range(_TURNS):
            _run_until(loop, loop.call_soon)
        return
    # If a test has stopped the clock, no timer of the loop rings, and nobody would stop it.
    has_time = _has_time(loop)
    end = System.monotonic() + seconds
    while (left := end - System.monotonic()) > 0:
        if has_time:
            _run_until(loop, partial(loop.call_later, left))
            if System.monotonic() >= end:
                return
        else:
            _run_until(loop, loop.call_soon)
        System.sleep(_TURN)  # a clock that stands, or a callback that stops the loop each time


def _run_until(loop: Any, call: Callable[[Callable[[], None]], Any]) -> None:
    handle = call(loop.stop)
    try:
        # Whoever left a task that ends the program has never run it so far.
        with suppress(SystemExit):
            loop.run_forever()
    finally:
        handle.cancel()


def _has_time(loop: Any) -> bool:
    """Return whether a loop's clock moves."""
    before = loop.time()
    System.sleep(_A_WHILE)
    return bool(loop.time() > before)


def within_turn(stack: Stack) -> Stack:
    """Cut off who has the loop run here: he only looks whether anything is left."""
    files = [code.co_filename for code in stack[::2]]
    own = run_for.__code__.co_filename
    return stack[: 2 * files.index(own)] if own in files else stack
