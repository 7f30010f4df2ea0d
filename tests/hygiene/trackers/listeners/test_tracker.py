"""The kind `listeners` as a whole, driven without an engine."""

from __future__ import annotations

import gc
import logging
import logging.config
import sys
from typing import TYPE_CHECKING

import blinker
from pyee.base import EventEmitter

from pytest_resource_hygiene.trackers.listeners import (
    ListenerTracker,
    make_tracker,
)

if TYPE_CHECKING:
    import pytest
from hygiene.trackers.listeners.probe import LOGGER, Probe, on_event


def test_additive_values_are_equal_and_slots_are_not_restored_without_a_value(
    probe: Probe,
) -> None:
    """A listener is never *replaced*, and what cannot be put back says so."""
    for _ in range(2):
        logging.getLogger(LOGGER).addHandler(logging.NullHandler())
    one, other = probe.added().values()
    key = next(iter(probe.added()))

    assert one == other
    assert hash(one) == hash(other)
    assert not probe.tracker.restore(key, one, None)
    assert not probe.tracker.restore("sys.excepthook", probe.listed()["sys.excepthook"], None)


class TestSources:
    """What the libraries' listeners say when they are looked at late."""

    def test_listener_that_went_meanwhile_is_still_described(self, probe: Probe) -> None:
        """A listener or emitter that goes while it is being reported is no error."""
        signal, emitter, handler = blinker.Signal(), EventEmitter(), logging.NullHandler()
        signal.connect(on_event)
        emitter.on("data", on_event)
        logging.getLogger(LOGGER).addHandler(handler)
        added = probe.added()
        emitter.remove_all_listeners()

        del signal
        gc.collect()  # a signal with a weak receiver is part of a cycle

        texts = [probe.tracker.describe(*item).summary for item in added.items()]
        assert texts[:2] == [
            "listener that is gone by now on a blinker signal",
            "listener that is gone by now for '' on pyee EventEmitter",
        ]
        assert [probe.tracker.anchor(*item) for item in added.items()] == [None, None, handler]
        logging.getLogger(LOGGER).removeHandler(handler)

    def test_origin_is_forgotten_with_the_logger(self, probe: Probe) -> None:
        """A logger made by hand is not listed, and its record goes with it."""
        logger = logging.Logger("by hand")  # noqa: LOG001 - that is the point
        logger.addHandler(logging.NullHandler())
        assert not probe.added()

        del logger
        probe.tracker.forget()

        assert not probe.tracker._logging._made

    def test_placeholders_among_the_loggers_are_no_loggers(self, probe: Probe) -> None:
        """getLogger("a.b") leaves a placeholder for "a", which has no handlers."""
        logging.getLogger("hygiene_placeholder.child")

        assert not probe.added()


def test_happy_reading_is_stable(probe: Probe) -> None:
    """Nothing happened, nothing changed."""
    assert not probe.has_new_reading()
    assert not probe.added()
    assert not probe.replaced()


def test_libraries_are_not_imported_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody uses blinker or pyee, they stay out of the process."""
    for name in list(sys.modules):
        if name.partition(".")[0] in {"blinker", "pyee"}:
            monkeypatch.delitem(sys.modules, name)
    probe = Probe(ListenerTracker())
    try:
        probe.listed()

        assert not {"blinker", "pyee"} & sys.modules.keys()
    finally:
        probe.recorder.stop()


def test_specimen_is_seen_and_leaves_nothing() -> None:
    """The canary's handler is listed while it is there, and no logger stays behind."""
    probe = Probe(make_tracker())  # type: ignore[arg-type]
    try:
        with probe.tracker.specimen():
            inside = len(probe.added())

        assert inside == 1
        assert not probe.added()
        assert "resource_hygiene_canary" not in logging.Logger.manager.loggerDict
    finally:
        probe.recorder.stop()


def test_wraps_are_undone() -> None:
    """After stop() nothing of us is left in the libraries."""
    before = logging.Logger.addHandler, blinker.Signal.connect, EventEmitter._add_event_handler

    Probe(ListenerTracker()).recorder.stop()

    assert before == (
        logging.Logger.addHandler,
        blinker.Signal.connect,
        EventEmitter._add_event_handler,
    )
