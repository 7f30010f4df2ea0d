"""Listeners of pyee's emitters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._library_emitters import LibraryEmitters
from pytest_resource_hygiene.trackers._names import class_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["PyeeEmitters"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


class PyeeEmitters(LibraryEmitters):
    """Listeners of pyee emitters of every class, those for one time included."""

    def start(self, recorder: Recorder) -> None:
        """Wrap the one method through which on, once, add_listener and listens_to pass."""

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def _add_event_handler(self_: Any, event: Any, k: Any, v: Any) -> None:
                known = k in _events(self_).get(event, ())
                original(self_, event, k, v)
                if not known:
                    self.note(self_, (hash(event), id(k)), recorder.creation(None))

            return _add_event_handler

        emitter = getattr(sys.modules.get("pyee.base"), "EventEmitter", None)
        recorder.wrap(emitter, "_add_event_handler", make)

    def live(self, emitter: Any) -> dict[Hashable, tuple[Any, str]]:
        """Return listeners by event and id; the emitter keeps them, so that the id is theirs."""
        return {
            (hash(event), id(listener)): (listener, str(event))
            for event, listeners in list(_events(emitter).items())
            for listener in list(listeners)
        }

    def describe(self, emitter: Any, event: str, name: str) -> Description:
        """Say listener, event and the class of the emitter."""
        return Description(
            summary=f"listener {name} for {event!r} on pyee {type(emitter).__qualname__}",
            target=name,
            details={"emitter": class_name(emitter), "event": event, "listener": name},
            hint=f"call emitter.remove_listener({event!r}, listener) when done",
        )


def _events(emitter: Any) -> Mapping[Any, Any]:
    events: Mapping[Any, Any] = emitter._events  # noqa: SLF001 - `listeners` asks event by event
    return events
