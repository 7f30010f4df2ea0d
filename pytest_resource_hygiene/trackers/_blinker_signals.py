"""Receivers of blinker's signals."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._emitters import strong
from pytest_resource_hygiene.trackers._library_emitters import LibraryEmitters

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["BlinkerSignals"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


class BlinkerSignals(LibraryEmitters):
    """Receivers of blinker signals, one for each sender that they are connected to.

    ``Signal.receivers`` alone would accuse the innocent: ``disconnect(receiver, sender)`` leaves
    the receiver in there, though nothing calls it any more.
    """

    def start(self, recorder: Recorder) -> None:
        """Wrap ``Signal.connect``, through which every connection passes."""
        base: Any = sys.modules.get("blinker.base")
        id_of, any_id = getattr(base, "make_id", None), getattr(base, "ANY_ID", None)
        if id_of is None or any_id is None:
            self.blind = "this release of blinker is unknown: its receivers are not seen"
            return

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def connect(self_: Any, receiver: Any, sender: Any = base.ANY, weak: Any = True) -> Any:
                slot = id_of(receiver), any_id if sender is base.ANY else id_of(sender)
                known = slot[1] in _senders(self_).get(slot[0], ())
                result = original(self_, receiver, sender, weak)
                if not known:
                    self.note(self_, slot, recorder.creation(None))
                return result

            return connect

        recorder.wrap(base.Signal, "connect", make)

    def live(self, emitter: Any) -> dict[Hashable, tuple[Any, str]]:
        """Return receivers by their own and their sender's id."""
        event = self._event(emitter)
        found: dict[Hashable, tuple[Any, str]] = {}
        for number, senders in list(_senders(emitter).items()):
            receiver = strong(emitter.receivers.get(number))
            if receiver is not None:
                found.update({(number, sender): (receiver, event) for sender in list(senders)})
        return found

    def counts(self, emitter: Any) -> Mapping[str, int]:
        """Count receivers, whatever number of senders they listen to."""
        return {self._event(emitter): len({key[0] for key in self.live(emitter)})}  # type: ignore[index]

    def _event(self, emitter: Any) -> str:
        return str(getattr(emitter, "name", "anonymous"))

    def describe(self, emitter: Any, event: str, name: str) -> Description:
        """Say receiver and signal."""
        signal = f"blinker signal {event!r}" if hasattr(emitter, "name") else "a blinker signal"
        return Description(
            summary=f"listener {name} on {signal}",
            target=name,
            details={"emitter": signal, "event": event, "listener": name},
            hint="call signal.disconnect(receiver), or connect in a "
            "`with signal.connected_to(receiver):` block",
        )


def _senders(signal: Any) -> Mapping[Any, Any]:
    """Return receivers' ids with those of the senders that they are connected to now."""
    senders: Mapping[Any, Any] = signal._by_receiver  # noqa: SLF001 - nothing public has it
    return senders
