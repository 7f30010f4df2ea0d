"""The kind `listeners`, driven without an engine."""

from __future__ import annotations

import functools
import gc
import logging
import logging.config
import re
import sys
import threading
import types
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import blinker
import pytest
from pyee.asyncio import AsyncIOEventEmitter
from pyee.base import EventEmitter

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers.listeners import (
    ListenerTracker,
    emitter_from,
    load_emitter,
    make_tracker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

LOGGER = "hygiene.test_listeners"


class Probe:
    """A started tracker, and what it listed first."""

    def __init__(self, tracker: ListenerTracker) -> None:
        self.tracker = tracker
        self.recorder = Recorder()
        tracker.start(self.recorder)
        self.recorder.start()
        self.rebase()

    def rebase(self) -> None:
        self.first = dict(self.tracker.list_resources(Moment()))
        self.reading = self.tracker.reading()

    def listed(self) -> dict[Hashable, Any]:
        return dict(self.tracker.list_resources(Moment()))

    def added(self) -> dict[Hashable, Any]:
        return {key: value for key, value in self.listed().items() if key not in self.first}

    def replaced(self) -> dict[Hashable, tuple[Any, Any]]:
        return {
            key: (value, self.first[key])
            for key, value in self.listed().items()
            if key in self.first and value != self.first[key]
        }

    def has_new_reading(self) -> bool:
        return bool(self.tracker.reading() != self.reading)

    def summaries(self) -> list[str]:
        return [self.tracker.describe(*item).summary for item in self.added().items()]

    def limits(self) -> list[tuple[str, str, int]]:
        return [limit[:3] for limit in self.tracker.iter_limits()]


@pytest.fixture
def probe() -> Iterator[Probe]:
    logging.getLogger(LOGGER)
    probe = Probe(ListenerTracker())
    yield probe
    probe.tracker.stop()
    probe.recorder.stop()
    logger = logging.getLogger(LOGGER)
    logger.handlers.clear()
    logger.filters.clear()


def functions_of(creation: Creation | None) -> list[str]:
    assert creation is not None, "nothing was recorded"
    return [code.co_name for code in creation.stack[::2]]


def on_event(*args: object) -> None:
    """Listen."""


class Component:
    """Has a method that listens."""

    def on_event(self, *args: object) -> None:
        """Listen."""


class TestBlinker:
    def test_connected_receiver_is_added_with_its_origin(self, probe: Probe) -> None:
        """A receiver left on a signal is listed, named, and knows where it was connected."""
        signal = blinker.NamedSignal("saved")
        signal.connect(on_event)

        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        assert probe.tracker.describe(key, value).summary == (
            f"listener {__name__}.on_event on blinker signal 'saved'"
        )
        assert functions_of(probe.tracker.creation(key, value))[0] == (
            "test_connected_receiver_is_added_with_its_origin"
        )
        assert probe.tracker.anchor(key, value) is on_event

    @pytest.mark.parametrize(
        "disconnect",
        [
            pytest.param(lambda signal: signal.disconnect(on_event), id="from-all"),
            pytest.param(lambda signal: signal.disconnect(on_event, "sender"), id="from-one"),
            pytest.param(lambda signal: signal._clear_state(), id="cleared"),
        ],
    )
    def test_disconnected_receiver_is_gone(
        self, probe: Probe, disconnect: Callable[[blinker.Signal], None]
    ) -> None:
        """However a receiver is disconnected, it is no longer listed."""
        signal = blinker.Signal()
        signal.connect(on_event, sender="sender")
        assert probe.added()

        disconnect(signal)

        assert not probe.added()

    def test_decorator_and_context_manager_pass_through_the_wrap(self, probe: Probe) -> None:
        """connect_via() and connected_to() are connections like any other."""
        signal = blinker.Signal()

        signal.connect_via("sender")(on_event)
        with signal.connected_to(Component().on_event):
            inside = len(probe.added())

        assert inside == 2
        assert len(probe.added()) == 1

    def test_one_receiver_of_two_senders_is_two_listeners(self, probe: Probe) -> None:
        """Each (sender, receiver) counts, and connecting the same pair twice changes nothing."""
        signal = blinker.Signal()

        for sender in ("one", "two", "two"):
            signal.connect(on_event, sender=sender)

        assert len(probe.added()) == 2
        assert not [limit for limit in probe.limits() if "blinker" in limit[0]]

    def test_weak_receiver_that_died_is_gone(self, probe: Probe) -> None:
        """A receiver connected weakly is free to die, and not listed afterwards."""
        signal = blinker.Signal()
        component = Component()
        signal.connect(component.on_event)
        assert len(probe.added()) == 1
        ref = weakref.ref(component)

        del component

        assert ref() is None
        assert not probe.added()

    def test_receiver_from_before_is_nobodys(self) -> None:
        """What was connected before we watched does not appear when the signal is next used."""
        signal = blinker.Signal()
        signal.connect(on_event)
        probe = Probe(ListenerTracker())
        try:
            signal.connect(print, weak=False)

            assert len(probe.added()) == 1
            assert ("blinker.base.Signal", "anonymous", 2) in probe.limits()
        finally:
            probe.recorder.stop()

    def test_reconnected_receiver_is_a_new_registration(self, probe: Probe) -> None:
        """A swap is seen: the id of one that is gone does not stand for the next one."""
        signal = blinker.Signal()
        signal.connect(on_event)
        probe.rebase()

        signal.disconnect(on_event)
        signal.connect(on_event)

        assert len(probe.added()) == 1

    def test_signal_dies_with_its_strong_receivers(self, probe: Probe) -> None:
        """We keep neither a signal nor its receivers alive."""
        signal, component = blinker.Signal(), Component()
        signal.connect(component.on_event, weak=False)
        listed = probe.listed()
        refs = weakref.ref(signal), weakref.ref(component)

        del signal, component

        assert [ref() for ref in refs] == [None, None]
        assert not probe.added()
        assert listed

    def test_unknown_release_is_a_blind_spot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the library lacks what we need, nothing is wrapped and the canary says so."""
        monkeypatch.delattr("blinker.base.make_id")
        connect = blinker.Signal.connect
        probe = Probe(ListenerTracker())
        try:
            assert blinker.Signal.connect is connect
            assert "blinker" in (probe.tracker.blind_spot() or "")
        finally:
            probe.recorder.stop()


class TestPyee:
    @pytest.mark.parametrize("factory", [EventEmitter, AsyncIOEventEmitter])
    @pytest.mark.parametrize(
        "register",
        [
            pytest.param(lambda emitter: emitter.on("data", on_event), id="on"),
            pytest.param(lambda emitter: emitter.on("data")(on_event), id="decorator"),
            pytest.param(lambda emitter: emitter.once("data", on_event), id="once"),
            pytest.param(lambda emitter: emitter.add_listener("data", on_event), id="add"),
        ],
    )
    def test_every_way_to_register_is_seen_and_undone(
        self,
        probe: Probe,
        factory: Callable[[], EventEmitter],
        register: Callable[[EventEmitter], object],
    ) -> None:
        """A listener of any emitter class is listed until it is removed."""
        emitter = factory()
        register(emitter)
        [(key, value)] = probe.added().items()
        text = probe.tracker.describe(key, value)

        assert text.summary == (
            f"listener {__name__}.on_event for 'data' on pyee {type(emitter).__qualname__}"
        )
        assert "test_every_way_to_register_is_seen_and_undone" in functions_of(
            probe.tracker.creation(key, value)
        )
        assert probe.tracker.anchor(key, value) is on_event

        emitter.remove_listener("data", on_event)

        assert not probe.added()

    def test_listener_for_one_time_is_gone_after_its_event(self, probe: Probe) -> None:
        """A `once` listener that was called is no leak."""
        emitter = EventEmitter()
        emitter.once("data", on_event)
        assert probe.added()

        emitter.emit("data")

        assert not probe.added()

    def test_bound_method_registered_twice_is_one_listener(self, probe: Probe) -> None:
        """Equal listeners are kept once by pyee, and counted once by us."""
        emitter, component = EventEmitter(), Component()

        emitter.on("data", component.on_event)
        emitter.on("data", component.on_event)

        assert len(probe.added()) == 1

    def test_events_may_be_any_hashable(self, probe: Probe) -> None:
        """An event that is equal but not identical is the same event."""
        emitter = EventEmitter()
        emitter.on(("a", int("1")), on_event)  # type: ignore[call-overload]
        emitter.on(("a", int("1")), print)  # type: ignore[call-overload]

        assert len(probe.added()) == 2

    def test_emitter_without_weak_references_works_unseen(self, probe: Probe) -> None:
        """A class that cannot be referred to weakly keeps working; we are blind to it."""

        class Slotted:
            __slots__ = ("_events", "_lock")
            on = EventEmitter.on
            add_listener = EventEmitter.add_listener
            emit = EventEmitter.emit
            _call_handlers = EventEmitter._call_handlers
            _emit_handle_potential_error = EventEmitter._emit_handle_potential_error

            def __init__(self) -> None:
                self._events: dict[str, Any] = {}
                self._lock = threading.Lock()

            def _add_event_handler(self, *args: Any) -> None:
                EventEmitter._add_event_handler(self, *args)

        emitter = Slotted()
        emitter.on("data", on_event)

        assert on_event in emitter._events["data"]
        assert not probe.added()

    def test_emitter_in_a_cycle_is_free_to_die(self, probe: Probe) -> None:
        """We keep neither an emitter nor its listeners alive, even once they were listed."""
        component = Component()
        component.emitter = EventEmitter()  # type: ignore[attr-defined]
        component.emitter.on("data", component.on_event)  # type: ignore[attr-defined]
        listed = probe.listed()
        ref = weakref.ref(component)

        del component
        gc.collect()

        assert ref() is None
        assert not probe.added()
        assert listed

    def test_a_crowd_is_counted_by_emitter_and_event(self, probe: Probe) -> None:
        """Each event of each emitter is counted, with the newest listener's origin."""
        emitters = [EventEmitter(), EventEmitter()]
        for emitter in emitters:
            for _ in range(11):
                emitter.on("data", Component().on_event)
            emitter.on("end", on_event)

        limits = [limit for limit in probe.tracker.iter_limits() if limit[0].startswith("pyee")]

        assert [limit[:3] for limit in limits] == [
            ("pyee.base.EventEmitter", "data", 11),
            ("pyee.base.EventEmitter #2", "data", 11),
        ]
        assert "test_a_crowd_is_counted_by_emitter_and_event" in functions_of(limits[0][3])


class TestLogging:
    def test_handler_is_added_until_removed(self, probe: Probe) -> None:
        """A handler left on a logger is listed with its origin, and gone once removed."""
        logger, handler = logging.getLogger(LOGGER), logging.StreamHandler()
        logger.addHandler(handler)
        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        assert probe.tracker.describe(key, value).summary == (
            f"handler StreamHandler on logger {LOGGER!r}"
        )
        assert functions_of(probe.tracker.creation(key, value))[0] == (
            "test_handler_is_added_until_removed"
        )
        assert probe.tracker.anchor(key, value) is handler

        logger.removeHandler(handler)

        assert not probe.added()

    def test_handler_put_into_the_list_is_seen(self, probe: Probe) -> None:
        """Without addHandler() a new handler changes the reading; its origin is where it was made."""
        handler = logging.NullHandler()
        logging.getLogger(LOGGER).handlers.append(handler)

        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        creation = probe.tracker.creation(key, value)
        assert "test_handler_put_into_the_list_is_seen" in functions_of(creation)

    def test_handlers_that_are_gone_are_forgotten(self, probe: Probe) -> None:
        """What is known of a handler's making ends with the handler."""
        handler = logging.NullHandler()
        assert id(handler) in probe.tracker._logging._born

        del handler
        probe.tracker.forget()

        assert not [made for made, _ in probe.tracker._logging._born.values() if made() is None]

    def test_root_handler_is_on_the_root_logger(self, probe: Probe) -> None:
        """The root logger has no name, and is called what it is."""
        handler = logging.NullHandler()
        logging.root.addHandler(handler)
        try:
            assert probe.summaries() == ["handler NullHandler on the root logger"]
        finally:
            logging.root.removeHandler(handler)

    @pytest.mark.parametrize("place", ["logger", "handler"])
    def test_filter_is_added_until_removed(self, probe: Probe, place: str) -> None:
        """Filters count on loggers and on their handlers, functions among them."""
        logger, handler = logging.getLogger(LOGGER), logging.NullHandler()
        logger.addHandler(handler)
        probe.rebase()
        owner: logging.Filterer = logger if place == "logger" else handler

        def accept(record: logging.LogRecord) -> bool:
            return True

        owner.addFilter(accept)
        [(key, value)] = probe.added().items()
        summary = probe.tracker.describe(key, value).summary

        assert re.match(
            rf"filter {__name__}.*\.accept on (handler NullHandler of )?logger", summary
        )
        assert "test_filter_is_added_until_removed" in functions_of(
            probe.tracker.creation(key, value)
        )

        owner.removeFilter(accept)

        assert not probe.added()

    def test_filter_without_weak_references_is_seen(self, probe: Probe) -> None:
        """A filter that cannot be referred to weakly is listed all the same."""

        class Slotted:
            __slots__ = ()

            def filter(self, record: logging.LogRecord) -> bool:
                return True

        logging.getLogger(LOGGER).addFilter(Slotted())
        [(key, value)] = probe.added().items()

        assert probe.tracker.creation(key, value) is not None
        assert probe.tracker.anchor(key, value) is None

    @pytest.mark.parametrize("times", [1, 5])
    def test_configuration_run_again_is_no_growth(self, probe: Probe, times: int) -> None:
        """New handlers that dictConfig() puts where old ones of their class were add nothing."""
        config = {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"all": {"name": ""}},
            "handlers": {"null": {"class": "logging.NullHandler", "filters": ["all"]}},
            "loggers": {LOGGER: {"handlers": ["null"]}},
        }
        logging.config.dictConfig(config)
        probe.rebase()

        for _ in range(times):
            logging.config.dictConfig(config)

        assert not probe.added()
        assert not probe.replaced()

    def test_second_handler_of_a_class_is_growth(self, probe: Probe) -> None:
        """One more handler of a class that was there is added, and the new one is named."""
        logger = logging.getLogger(LOGGER)
        logger.addHandler(logging.NullHandler())
        probe.rebase()
        second = logging.NullHandler()

        logger.addHandler(second)
        [(key, value)] = probe.added().items()

        assert probe.tracker.anchor(key, value) is second

    def test_handler_added_again_is_still_the_first(self, probe: Probe) -> None:
        """addHandler() with a handler that is there does nothing, and records nothing."""
        logger, handler = logging.getLogger(LOGGER), logging.NullHandler()
        logger.addHandler(handler)
        reading = probe.tracker.reading()

        logger.addHandler(handler)

        assert probe.tracker.reading() == reading

    def test_the_runners_handlers_are_ignored(
        self, probe: Probe, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The handlers of pytest come and go without being listed, counted or recorded."""
        logger = logging.getLogger(LOGGER)
        reading = probe.tracker.reading()

        logger.addHandler(caplog.handler)

        assert not probe.added()
        assert probe.tracker.reading() == reading

    def test_handler_dies_after_it_was_listed(self, probe: Probe) -> None:
        """We keep no handler alive."""
        logger, handler = logging.getLogger(LOGGER), logging.NullHandler()
        logger.addHandler(handler)
        listed = probe.listed()
        ref = weakref.ref(handler)

        logger.removeHandler(handler)
        del handler

        assert ref() is None
        assert listed

    def test_records_of_live_handlers_survive_forget(self, probe: Probe) -> None:
        """forget() drops what was removed, and keeps where a live handler was added."""
        logger, gone, kept = logging.getLogger(LOGGER), logging.NullHandler(), logging.Handler()
        logger.addHandler(gone)
        logger.addHandler(kept)
        logger.removeHandler(gone)

        probe.tracker.forget()
        [(key, value)] = probe.added().items()

        assert probe.tracker.creation(key, value) is not None
        assert len(probe.tracker._logging._made) == 1

    def test_a_crowd_is_counted_by_logger(self, probe: Probe) -> None:
        """The limit is asked about each logger's handlers."""
        for _ in range(11):
            logging.getLogger(LOGGER).addHandler(logging.NullHandler())

        assert (f"logger {LOGGER!r}", "handler", 11) in probe.limits()


class TestHooks:
    @pytest.mark.parametrize(
        ("module", "attribute"),
        [
            (sys, "excepthook"),
            (sys, "unraisablehook"),
            (sys, "displayhook"),
            (threading, "excepthook"),
        ],
    )
    def test_changed_hook_is_replaced_and_put_back(
        self,
        probe: Probe,
        monkeypatch: pytest.MonkeyPatch,
        module: types.ModuleType,
        attribute: str,
    ) -> None:
        """Each hook is a slot: a new value is a replacement that names both, and can be undone."""
        name = f"{module.__name__}.{attribute}"
        monkeypatch.setattr(module, attribute, on_event)

        [(key, (value, old))] = probe.replaced().items()

        assert probe.has_new_reading()
        assert key == name
        assert probe.tracker.anchor(key, value) is on_event
        assert re.fullmatch(
            rf"{name} replaced: .+ -> {__name__}\.on_event",
            probe.tracker.describe(key, value, old).summary,
        )
        assert not probe.tracker.is_ours(key, value)
        assert probe.tracker.restore(key, value, old)
        assert getattr(module, attribute) is not on_event
        assert not probe.replaced()

    def test_the_runners_hooks_do_not_count(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A hook of pytest in the place of the interpreter's own, or the reverse, is no change."""

        def collect() -> None:
            """Stand where pytest's own hook would."""

        collect.__module__ = "_pytest.unraisableexception"
        monkeypatch.setattr(sys, "unraisablehook", functools.partial(collect))
        probe.rebase()
        monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

        assert not probe.replaced()
        key = "sys.unraisablehook"
        assert probe.tracker.is_ours(key, probe.listed()[key])

    def test_hook_of_one_phase_is_not_put_back(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Up to 8.3, pytest's hook belongs to one phase: a later one must not get it back."""
        component = Component()
        monkeypatch.setattr(Component.on_event, "__module__", "_pytest.threadexception")
        monkeypatch.setattr(threading, "excepthook", component.on_event)
        probe.rebase()
        monkeypatch.setattr(threading, "excepthook", Component().on_event)

        assert not probe.has_new_reading()
        assert not probe.replaced()

        monkeypatch.setattr(threading, "excepthook", print)
        [(key, (value, old))] = probe.replaced().items()
        probe.tracker.restore(key, value, old)

        assert threading.excepthook is threading.__excepthook__

    def test_hook_without_a_name_is_named_by_its_class(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An object that is called as a hook is named by its class."""

        class Hook:
            def __call__(self, *args: object) -> None:
                """Do nothing."""

        monkeypatch.setattr(sys, "excepthook", functools.partial(Hook()))
        [(key, (value, old))] = probe.replaced().items()

        assert probe.tracker.describe(key, value, old).summary.endswith("Hook object")


class TestWarnings:
    def test_changed_filters_are_replaced_and_put_back(self, probe: Probe) -> None:
        """A filter that stays is a replacement with its origin, and can be undone."""
        with warnings.catch_warnings():
            probe.rebase()
            warnings.filterwarnings("ignore", message="never", category=FutureWarning)

            [(key, (value, old))] = probe.replaced().items()

            assert probe.has_new_reading()
            assert probe.tracker.describe(key, value, old).summary == (
                "warnings.filters: ignore:never:FutureWarning added"
            )
            assert "test_changed_filters_are_replaced_and_put_back" in functions_of(
                probe.tracker.creation(key, value)
            )
            assert probe.tracker.restore(key, value, old)
            assert not probe.replaced()
            probe.tracker.forget()
            assert probe.tracker.creation(key, value) is None

    def test_removed_and_reordered_filters_are_named(self, probe: Probe) -> None:
        """Filters that vanish count as well, and a line number is shown."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", module="app", lineno=10)
            probe.rebase()
            warnings.resetwarnings()
            [(key, (value, old))] = probe.replaced().items()

            summary = probe.tracker.describe(key, value, old).summary
            assert summary.startswith("warnings.filters: error::Warning:app:10")
            assert summary.endswith("removed")
            reordered = probe.tracker.describe(key, old[::-1], old).summary
            assert reordered == "warnings.filters: order changed"

    def test_own_filter_is_not_counted_and_stays(self, probe: Probe) -> None:
        """The filter by which we hear warnings is no change, and survives putting back."""
        spy: Any = type("Spy", (), {"resource_hygiene_spy": True})
        with warnings.catch_warnings():
            filters: Any = warnings.filters
            probe.rebase()
            filters.insert(0, ("default", None, spy, None, 0))

            assert not probe.replaced()

            warnings.simplefilter("ignore")
            [(key, (value, old))] = probe.replaced().items()
            probe.tracker.restore(key, value, old)

            assert [entry[2] for entry in warnings.filters].count(spy) == 1

    def test_filters_changed_inside_a_block_are_harmless(self, probe: Probe) -> None:
        """catch_warnings() puts everything back."""
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")

        assert not probe.replaced()
        assert not probe.has_new_reading()

    def test_showwarning_is_replaced_and_put_back(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The function showwarning is a slot like the hooks."""
        original = warnings.showwarning
        monkeypatch.setattr(warnings, "showwarning", on_event)
        [(key, (value, old))] = probe.replaced().items()

        assert key == "warnings.showwarning"
        assert probe.tracker.restore(key, value, old)
        assert warnings.showwarning is original

    def test_warnings_can_be_left_to_the_runner(self) -> None:
        """With watch_warnings off nothing of `warnings` is listed, read or wrapped."""
        probe = Probe(ListenerTracker(watch_warnings=False))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")

                assert not probe.has_new_reading()
                assert not [key for key in probe.listed() if str(key).startswith("warnings")]
        finally:
            probe.recorder.stop()


class TestDeclared:
    def test_listener_of_a_declared_registry_is_added(self, probe: Probe) -> None:
        """A registry is compared by event and listener; what was in it before is nobody's."""
        registry: dict[str, list[object]] = {"start": [print]}
        undo = probe.tracker.declare("app bus", emitter_from(registry))
        probe.rebase()

        registry["start"].append(on_event)
        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        assert probe.tracker.describe(key, value).summary == (
            f"listener {__name__}.on_event for 'start' on app bus"
        )
        assert probe.tracker.creation(key, value) is None
        assert probe.tracker.anchor(key, value) is on_event
        assert ("app bus", "start", 2) in probe.limits()

        registry["start"].remove(on_event)
        assert not probe.added()

        undo()
        registry["start"].append(on_event)
        assert not probe.added()

    def test_same_function_registered_again_is_growth(self, probe: Probe) -> None:
        """A list that holds one function twice calls it twice."""
        callbacks = [on_event]
        probe.tracker.declare("callbacks", emitter_from(callbacks))
        probe.rebase()

        callbacks.append(on_event)

        assert probe.summaries() == [f"listener {__name__}.on_event on callbacks"]

    @pytest.mark.parametrize(
        "wrapped",
        [
            pytest.param(lambda method: method, id="new-bound-methods"),
            pytest.param(weakref.WeakMethod, id="weak-references"),
            pytest.param(lambda method: (10, method), id="tuples"),
            pytest.param(lambda method: ("name", weakref.WeakMethod(method)), id="weak-in-tuples"),
        ],
    )
    def test_registry_may_make_its_answer_anew(
        self, probe: Probe, wrapped: Callable[[Any], Any]
    ) -> None:
        """Listeners are recognised though methods, tuples and references are new each time."""
        components: list[Component] = []
        probe.tracker.declare(
            "factory", emitter_from(lambda: [wrapped(one.on_event) for one in components])
        )
        components.append(Component())
        probe.rebase()

        assert not probe.added()

        components.append(Component())

        assert len(probe.added()) == 1
        assert "Component.on_event on factory" in probe.summaries()[0]

    def test_declared_listener_dies_after_it_was_listed(self, probe: Probe) -> None:
        """We keep no listener of a registry alive."""
        callbacks: list[object] = []
        probe.tracker.declare("callbacks", emitter_from(callbacks))
        component = Component()
        callbacks.append(component.on_event)
        listed = probe.added()
        ref = weakref.ref(component)

        callbacks.clear()
        del component

        assert listed
        assert ref() is None

    def test_listeners_that_are_plain_values_are_recognised(self, probe: Probe) -> None:
        """Names, and objects without weak references, are listeners too."""

        class Slotted:
            __slots__ = ()

        callbacks: list[object] = []
        probe.tracker.declare("names", emitter_from(callbacks))

        callbacks.extend(["app.on_start", Slotted()])

        assert len(probe.added()) == 2
        assert probe.summaries()[0] == "listener 'app.on_start' on names"
        assert [probe.tracker.anchor(*item) for item in probe.added().items()] == [None, None]

    def test_two_declarations_of_one_name_are_refused(self, probe: Probe) -> None:
        """Names must differ, and the error says what to do."""
        undo = probe.tracker.declare("bus", emitter_from([]))

        with pytest.raises(SettingsError, match="'bus' is declared twice; names must differ"):
            probe.tracker.declare("bus", emitter_from([]))

        undo()
        again = probe.tracker.declare("bus", emitter_from([]))
        undo()
        with pytest.raises(SettingsError):
            probe.tracker.declare("bus", emitter_from([]))
        again()


class TestEmitterFrom:
    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            pytest.param({"a": [print], 1: {len}}, [("a", print), ("1", len)], id="mapping"),
            pytest.param({"a": print, "b": None}, [("a", print)], id="one-callback-each"),
            pytest.param({"a": {print: 1}}, [("a", print)], id="mapping-of-mappings"),
            pytest.param([print, len], [("", print), ("", len)], id="collection"),
            pytest.param(lambda: {"a": [print]}, [("a", print)], id="function"),
            pytest.param(
                types.SimpleNamespace(_listeners={"a": [print]}), [("a", print)], id="attribute"
            ),
            pytest.param(
                types.SimpleNamespace(listeners=print, callbacks=[len]),
                [("", len)],
                id="first-attribute-that-fits",
            ),
        ],
    )
    def test_valid_forms(self, spec: object, expected: list[tuple[str, object]]) -> None:
        """Each documented form yields pairs of event and listener."""
        assert list(emitter_from(spec)()) == expected

    def test_object_is_looked_at_anew(self) -> None:
        """An attribute that is assigned again later is followed."""
        emitter = types.SimpleNamespace(listeners=[print])
        listeners = emitter_from(emitter)

        emitter.listeners = [len]

        assert list(listeners()) == [("", len)]

    @pytest.mark.parametrize("spec", [7, "text", None, object(), Component, {"a": 7}, {"a": "b"}])
    def test_anything_else_is_refused(self, spec: object) -> None:
        """The error names the value, what is valid, and what to do."""
        with pytest.raises(SettingsError) as caught:
            emitter_from(spec)

        shown = repr(next(iter(spec.values())) if isinstance(spec, dict) else spec)
        assert str(caught.value).startswith(f"cannot list the listeners of {shown}")
        assert "valid are a mapping" in str(caught.value)
        assert "declare one of them" in str(caught.value)

    def test_result_of_a_function_is_looked_at_when_called(self) -> None:
        """A function is called when listeners are wanted, never at its declaration."""
        listeners = emitter_from(lambda: 7)

        with pytest.raises(SettingsError, match="cannot list the listeners of 7"):
            listeners()


class TestLoadEmitter:
    @pytest.fixture
    def module(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        module = types.ModuleType("hygiene_example.bus")
        module.app = types.SimpleNamespace(bus={"start": [print]})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    @pytest.mark.parametrize(
        ("spec", "name"),
        [
            ("app bus = hygiene_example.bus:app.bus", "app bus"),
            ("  hygiene_example.bus:app.bus ", "hygiene_example.bus:app.bus"),
        ],
    )
    def test_line_names_a_registry(self, module: types.ModuleType, spec: str, name: str) -> None:
        """A line has an optional name, a module, and attributes of attributes."""
        found, listeners = load_emitter(spec)

        assert found == name
        assert list(listeners()) == [("start", print)]

    def test_module_is_not_imported_for_that(self) -> None:
        """A module that nobody has imported has no listeners, and stays unimported."""
        _, listeners = load_emitter("this.module_does_not:exist")

        assert list(listeners()) == []

    def test_module_that_is_being_imported_has_none_yet(self, module: types.ModuleType) -> None:
        """While a module executes, its attributes may be missing for good reason."""
        module.__spec__ = types.SimpleNamespace(_initializing=True)  # type: ignore[assignment]
        _, listeners = load_emitter("hygiene_example.bus:later")

        assert list(listeners()) == []

    def test_missing_attribute_is_an_error(self, module: types.ModuleType) -> None:
        """A module without the attribute makes the line wrong."""
        _, listeners = load_emitter("hygiene_example.bus:app.nothing")

        with pytest.raises(
            SettingsError, match=r"names 'nothing', which .* does not have: correct"
        ):
            listeners()

    @pytest.mark.parametrize("spec", ["", "name", "name =", "= a:b", "a:", ":b", "a b:c", "a:b.1"])
    def test_other_forms_are_refused(self, spec: str) -> None:
        """The error names the line and the valid forms."""
        said = re.escape(f"{spec!r} is no emitter. Write 'name = package.module:attribute' or ")
        with pytest.raises(SettingsError, match=f"^{said}"):
            load_emitter(spec)


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
