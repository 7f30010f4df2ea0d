"""Puts what has changed about signals in words; loaded with the first finding or chain."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of
from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._names import name_of
from pytest_resource_hygiene.trackers._signal_slots import is_constant

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = [
    "describe_handler",
    "describe_loop_handler",
    "describe_mask",
    "describe_wakeup_fd",
    "signal_name",
]


def describe_wakeup_fd(fd: int, old: Any) -> Description:
    """Say which descriptor was replaced by which."""
    return Description(
        summary=f"wakeup fd {_shown_fd(old)} replaced by {_shown_fd(fd)}",
        target="wakeup_fd",
        details={"old": old, "new": fd},
        hint="put the previous one back with signal.set_wakeup_fd()",
    )


def describe_mask(blocked: AbstractSet[int], old: AbstractSet[int] | None) -> Description:
    """Say which signals are blocked that were not, and the other way round."""
    before = old or frozenset()
    added, gone = _names(blocked - before), _names(before - blocked)
    words = [f"{added} now blocked"] if added else []
    words += [f"{gone} no longer blocked"] if gone else []
    return Description(
        summary=f"signal mask: {', '.join(words)}",
        target=f"mask {added} {gone}".strip(),
        details={"blocked": added, "unblocked": gone},
        hint="put the previous mask back with signal.pthread_sigmask(SIG_SETMASK, old)",
    )


def describe_loop_handler(number: int, handler: Any) -> Description:
    """Say which handler a loop has for a signal."""
    name, new = signal_name(number), _handler_name(handler)
    return Description(
        summary=f"{name}: loop signal handler {new}",
        target=f"{name} {new}",
        details={"signal": name, "new": new},
        hint=f"call loop.remove_signal_handler(signal.{name}) when done",
    )


def describe_handler(number: int, handler: Any, old: Any, depth: int) -> Description:
    """Say which handler was replaced by which, and how many are chained by now.

    Args:
        number: the signal.
        handler: what answers to it; None for one that Python did not set.
        old: what did before.
        depth: see `HandlerChains.depth`.
    """
    name, new, before = signal_name(number), _handler_name(handler), _handler_name(old)
    details: dict[str, Any] = {"signal": name, "new": new, "old": before}
    if depth > 1:
        details["depth"] = depth
    if handler is None:
        hint = f"call faulthandler.unregister(signal.{name}), or what undoes it in the C library"
    elif attribute_of(attribute_of(handler, "__self__"), "remove_signal_handler") is not None:
        # uvloop's own method, which stays when its loop is closed
        hint = f"call loop.remove_signal_handler(signal.{name}) before the loop is closed"
    else:
        hint = f"keep what signal.signal(signal.{name}, ...) returned and set it again when done"
    return Description(
        summary=f"{name}: handler {before} replaced by {new}"
        + (f" ({name}: {depth} handlers deep)" if depth > 1 else ""),
        target=f"{name} {new}",
        details=details,
        hint=hint,
    )


def signal_name(number: int) -> str:
    """Return the name of a signal; real-time signals have none but for the first and the last."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _names(numbers: AbstractSet[int]) -> str:
    return ", ".join(map(signal_name, sorted(numbers)))


def _shown_fd(fd: Any) -> str:
    return "none" if fd in {None, -1} else str(fd)


def _handler_name(handler: Any) -> str:
    if handler is None:
        return "a handler set from C"
    if is_constant(handler):
        return signal.Handlers(handler).name
    name = name_of(attribute_of(handler, "_callback", handler))  # of an asyncio Handle
    return name.removeprefix("_") if name.startswith("_signal.") else name
