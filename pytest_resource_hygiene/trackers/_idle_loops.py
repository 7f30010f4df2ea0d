"""Tells whether time can change anything on a loop that nobody runs but us.

A task that sleeps for half a minute, or waits for what nobody will send, is as pending after the
grace period as before it. Where that can be known, nobody has to wait to see it.
"""

from __future__ import annotations

from typing import Any

from pytest_resource_hygiene.bystanders import alarm_within, other_threads

__all__ = ["can_change"]


def can_change(loop: Any, seconds: float) -> bool:
    """Return whether anything may happen on an idle loop within so many seconds.

    Only what could call it is asked for: a callback that is due, a timer, a descriptor, a signal or
    another thread. Of a loop that cannot be looked into, anything may be expected.

    Args:
        loop: an event loop of asyncio's that does not run.
        seconds: how long somebody is about to wait for it.
    """
    selector = getattr(loop, "_selector", None)
    ready, timers = getattr(loop, "_ready", None), getattr(loop, "_scheduled", None)
    if selector is None or ready is None or timers is None:
        return True
    if ready or getattr(loop, "_signal_handlers", None) or other_threads() or alarm_within(seconds):
        return True
    own = getattr(loop, "_ssock", None)  # by which other threads wake it
    if any(key.fileobj is not own and key.fileobj != _number(own) for key in _watched(selector)):
        return True
    end = loop.time() + seconds
    return any(timer.when() <= end for timer in timers if not timer.cancelled())


def _watched(selector: Any) -> list[Any]:
    return list((selector.get_map() or {}).values())


def _number(sock: Any) -> int:
    return int(sock.fileno()) if sock is not None else -1
