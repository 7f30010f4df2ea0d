"""Registries that a project declares, and the lines that declare them."""

from __future__ import annotations

import re
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.trackers._emitter_specs import emitter_from, load_emitter

if TYPE_CHECKING:
    from collections.abc import Callable
from hygiene.trackers.listeners.probe import Component, Probe, on_event


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
            f"listener {on_event.__module__}.on_event for 'start' on app bus"
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

        assert probe.summaries() == [f"listener {on_event.__module__}.on_event on callbacks"]

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
