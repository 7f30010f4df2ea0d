"""A small event emitter whose listeners can be counted, undone, and never outlive it."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Emitter", "EmitterClosedError", "MaxListenersExceededWarning", "living_emitters"]

logger = logging.getLogger(__name__)

MAX_LISTENERS = 10

# For the audit only; holds nothing alive.
_LIVING: weakref.WeakSet[Emitter] = weakref.WeakSet()


class MaxListenersExceededWarning(ResourceWarning):
    """More listeners than plausible sit on one event of one emitter: probably a leak."""


class EmitterClosedError(RuntimeError):
    """A listener was added to an emitter that was destroyed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    callback: Callable[..., Awaitable[None] | None]
    added_at: str


class Emitter:
    """Named events with listeners, plain or async.

    `on` returns the undo of the registration. The 11th listener of one event warns once with a
    `MaxListenersExceededWarning` that names the emitter, the event and where each was added.

    Args:
        name: How warnings and logs call this emitter.

    Attributes:
        on_destroyed: Called at the end; the tracker takes the emitter off its list.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._listeners: dict[str, list[_Listener]] = {}
        self._warned: set[str] = set()
        self._destroyed = False
        self.on_destroyed: Callable[[], None] | None = None
        _LIVING.add(self)

    @property
    def is_tracked(self) -> bool:
        """Whether a tracker lists it."""
        return self.on_destroyed is not None

    def on(self, event: str, callback: Callable[..., Awaitable[None] | None]) -> Callable[[], None]:
        """Call `callback` at every `event`; the returned function undoes that.

        Raises:
            EmitterClosedError: The emitter was destroyed.
        """
        if self._destroyed:
            raise EmitterClosedError(
                f"emitter {self.name!r} was destroyed: a listener for {event!r} would never run"
            )
        listener = _Listener(callback, _caller())
        self._listeners.setdefault(event, []).append(listener)
        self._warn_when_crowded(event)

        def undo() -> None:
            self._discard(event, listener)

        return undo

    async def emit(self, event: str, **data: Any) -> None:
        """Run the listeners of `event` in the order of registration; one that raises is logged."""
        for listener in tuple(self._listeners.get(event, ())):
            try:
                outcome = listener.callback(**data)
                if outcome is not None:
                    await outcome
            except asyncio.CancelledError:
                raise
            except Exception:
                logger.exception("listener of %s.%s failed", self.name, event)

    def listener_count(self, event: str | None = None) -> int:
        """How many listeners wait for `event`, or for anything."""
        if event is not None:
            return len(self._listeners.get(event, ()))
        return sum(map(len, self._listeners.values()))

    def describe(self) -> tuple[str, ...]:
        """Each listener as `emitter.event at file:line`."""
        return tuple(
            f"{self.name}.{event} at {listener.added_at}"
            for event, listeners in self._listeners.items()
            for listener in listeners
        )

    def remove_all(self) -> None:
        """Forget every listener."""
        self._listeners.clear()
        self._warned.clear()

    def destroy(self) -> None:
        """Forget every listener and refuse new ones."""
        self.remove_all()
        self._destroyed = True
        _LIVING.discard(self)
        if self.on_destroyed is not None:
            self.on_destroyed()

    def _discard(self, event: str, listener: _Listener) -> None:
        listeners = self._listeners.get(event, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners:
            self._listeners.pop(event, None)

    def _warn_when_crowded(self, event: str) -> None:
        listeners = self._listeners[event]
        if len(listeners) <= MAX_LISTENERS or event in self._warned:
            return
        self._warned.add(event)
        places = ", ".join(listener.added_at for listener in listeners)
        warnings.warn(
            f"{len(listeners)} listeners on event {event!r} of emitter {self.name!r}, more than "
            f"{MAX_LISTENERS}: probably a leak. Keep what on() returns and call it. "
            f"Added at: {places}",
            MaxListenersExceededWarning,
            stacklevel=3,
        )


def living_emitters() -> tuple[Emitter, ...]:
    """All emitters of this process that were neither destroyed nor collected."""
    return tuple(_LIVING)


def _caller() -> str:
    frame = sys._getframe(2)  # noqa: SLF001  # the only way to say where without keeping a frame
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
