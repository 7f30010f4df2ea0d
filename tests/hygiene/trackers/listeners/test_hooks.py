"""Exception hooks and the filters of warnings: slots, of which only a change says something."""

from __future__ import annotations

import functools
import re
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.trackers import _hooks
from pytest_resource_hygiene.trackers._warning_spy import make_spy
from pytest_resource_hygiene.trackers.listeners import ListenerTracker

if TYPE_CHECKING:
    import types
from hygiene.trackers.listeners.probe import Component, Probe, functions_of, on_event


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
            rf"{name} replaced: .+ -> {re.escape(on_event.__module__)}\.on_event",
            probe.tracker.describe(key, value, old).summary,
        )
        assert not probe.tracker.is_ours(key, value)
        assert probe.tracker.restore(key, value, old)
        assert getattr(module, attribute) is not on_event
        assert not probe.replaced()

    @pytest.mark.parametrize("module", [sys, threading])
    def test_a_hook_that_is_deleted_is_replaced_by_nothing(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch, module: types.ModuleType
    ) -> None:
        """Others are seen as before."""
        name = f"{module.__name__}.excepthook"
        monkeypatch.delattr(module, "excepthook")
        monkeypatch.setattr(sys, "displayhook", on_event)

        assert probe.has_new_reading()
        replaced = probe.replaced()
        assert set(replaced) == {name, "sys.displayhook"}
        value, old = replaced[name]
        assert probe.tracker.describe(name, value, old).summary.endswith("nothing, it was deleted")
        assert probe.tracker.restore(name, value, old)
        assert callable(module.excepthook)
        assert set(probe.replaced()) == {"sys.displayhook"}

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

    def test_hook_of_the_whole_run_is_put_back(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Later releases of pytest set a function once, and want it back."""
        hook = functools.partial(print)
        monkeypatch.setattr(_hooks, "_RUNNER", "builtins")  # print's module
        monkeypatch.setattr(threading, "excepthook", hook)
        probe.rebase()
        monkeypatch.setattr(threading, "excepthook", Component().on_event)
        [(key, (value, old))] = probe.replaced().items()
        assert probe.tracker.restore(key, value, old)

        assert threading.excepthook is hook

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

    def test_filters_that_are_put_back_are_asked_anew(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the other filters have decided is cached by the place that warns."""
        told: list[None] = []
        monkeypatch.setattr(warnings, "_filters_mutated", lambda: told.append(None), raising=False)
        warnings.filters.insert(0, ("error", None, BytesWarning, None, 0))  # type: ignore[attr-defined]
        [(key, (value, old))] = probe.replaced().items()
        assert told == []
        assert probe.tracker.restore(key, value, old)

        assert told == [None]

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
        spy = make_spy(self.test_own_filter_is_not_counted_and_stays)
        with warnings.catch_warnings():
            filters: Any = warnings.filters
            probe.rebase()
            filters.insert(0, spy)

            assert not probe.replaced()

            warnings.simplefilter("ignore")
            [(key, (value, old))] = probe.replaced().items()
            probe.tracker.restore(key, value, old)

            assert list(warnings.filters).count(spy) == 1

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
