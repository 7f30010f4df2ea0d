"""What the plugin reads from pytest's own records of fixtures: no run is needed to ask for it."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from pytest_resource_hygiene.pytest_plugin.fixture_names import function_fixtures
from pytest_resource_hygiene.pytest_plugin.fixture_value import Elsewhere, kept_by
from pytest_resource_hygiene.pytest_plugin.letting_go import clear_frames
from pytest_resource_hygiene.pytest_plugin.owners import waiting_finalizers


class _Value:
    """Something that can be referred to weakly."""


def _module(text: str) -> ModuleType:
    module = ModuleType("module_of_the_test")
    exec(text, vars(module))  # functions with globals of their own
    return module


def _elsewhere(function: Any, module: ModuleType, scope: str = "module") -> Elsewhere:
    return Elsewhere(
        SimpleNamespace(func=function, scope=scope),
        SimpleNamespace(module=module, cls=_Value, config=SimpleNamespace(rootpath="/nowhere")),
    )


# --- what a setup binds ---


def test_what_a_setup_binds_in_its_module_is_its_value_once() -> None:
    """A global of the function is the module's as well, and what was there before is nobody's."""
    module = _module("BEFORE = object()\ndef setup():\n    global CLIENT\n    CLIENT = object()\n")
    elsewhere = _elsewhere(module.setup, module)
    module.setup()
    elsewhere.setup_ended()

    assert elsewhere.values() == [module.CLIENT]
    first, module.CLIENT = module.CLIENT, object()  # a test's own, beside the fixture's
    assert first is not module.CLIENT
    assert elsewhere.values() == []


def test_what_takes_the_place_of_what_is_gone_is_the_fixtures() -> None:
    """It has to be of the same class: the teardown ends it in the same way."""
    module = _module("class Client: ...\ndef setup():\n    global CLIENT\n    CLIENT = Client()\n")
    elsewhere = _elsewhere(module.setup, module)
    module.setup()
    elsewhere.setup_ended()
    module.CLIENT = None
    assert elsewhere.values() == []
    module.CLIENT = module.Client()
    assert elsewhere.values() == [module.CLIENT]


def test_what_a_setup_of_another_module_binds_is_found_in_its_globals() -> None:
    """A fixture of a conftest keeps its things in the conftest."""
    conftest = _module("def setup():\n    global POOL\n    POOL = object()\n")
    for scope in ("module", "session"):
        elsewhere = _elsewhere(conftest.setup, _module(""), scope)
        conftest.setup()
        elsewhere.setup_ended()

        assert elsewhere.values() == [conftest.POOL]


@pytest.mark.parametrize("function", [os.getcwd, _Value(), partial(os.getcwd)])
def test_a_fixture_may_be_made_of_what_has_no_globals(function: Any) -> None:
    """A function of C, an object that can be called, a partial of either."""
    elsewhere = _elsewhere(function, _module(""))
    elsewhere.setup_ended()

    assert elsewhere.values() == []


def test_a_finalizer_may_be_anything_and_have_anything_as_arguments() -> None:
    """A mock has every attribute; of a generator that waits, the locals are kept, and its managers."""
    manager = ExitStack()

    def waits() -> Any:
        pool = object()
        with make():
            yield pool

    def make() -> ExitStack:
        return manager

    generator = waits()
    pool = next(generator)
    finalizers = [Mock(), partial(print, Mock()), partial(print, generator)]
    definition = SimpleNamespace(cached_result=("value", None), _finalizers=finalizers)

    assert kept_by(definition) == ["value", *finalizers, pool, make, manager.__exit__]


# --- what pytest still holds ---


def test_no_local_of_a_failed_frame_stays() -> None:
    """Up to Python 3.12 whoever has asked for the locals of a frame has left a copy with it."""

    def fails() -> None:
        value = _Value()
        seen.append(weakref.ref(value))
        raise ValueError

    seen: list[weakref.ref[_Value]] = []
    with pytest.raises(ValueError) as caught:
        fails()
    traceback = caught.value.__traceback__
    assert traceback is not None
    assert traceback.tb_next is not None
    assert "value" in traceback.tb_next.tb_frame.f_locals  # as a report with locals asks

    clear_frames(caught.value)
    assert seen[0]() is None


def test_no_local_stays_of_what_a_group_of_errors_consists_of() -> None:
    """As of the tasks of a group, one of which has failed because of another."""

    def fails(error: Exception) -> None:
        value = _Value()
        seen.append(weakref.ref(value))
        raise error

    def caught(error: Exception) -> Exception:
        with pytest.raises(type(error)) as info:
            fails(error)
        return info.value

    seen: list[weakref.ref[_Value]] = []
    cause, context, member = map(caught, (ValueError(), KeyError(), OSError()))
    group = ExceptionGroup("of tasks", [ExceptionGroup("of a task", [member])])
    group.__context__, group.__cause__ = context, cause
    assert all(one() is not None for one in seen)

    clear_frames(group)
    assert [one() for one in seen] == [None, None, None]


def test_finalizers_of_the_test_itself_do_not_keep_anything() -> None:
    """They run in a moment; those of its class, module and session do later. Pytest's are its own."""
    session, item = SimpleNamespace(), object()
    ours, pytests = partial(print), SimpleNamespace(__module__="_pytest.fixtures")
    stack = {"module": ([ours, pytests], None), item: ([partial(repr)], None)}
    session._setupstate = SimpleNamespace(stack=stack)

    assert waiting_finalizers(session, item) == [ours]  # type: ignore[arg-type]


# --- which fixtures answer within their test ---


def _item(scope: str, cls: type | None) -> Any:
    def fixture() -> None: ...

    definition = SimpleNamespace(func=fixture, scope=scope, argname="it")
    return SimpleNamespace(
        cls=cls, module=None, config=SimpleNamespace(rootpath="/"),
        _fixtureinfo=SimpleNamespace(name2fixturedefs={"it": [definition]}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "cls", "answers"),
    [
        ("function", None, True), ("function", _Value, True), ("class", None, True),
        ("class", _Value, False), ("module", None, False), ("session", None, False),
    ],
)  # fmt: skip
def test_a_class_fixture_of_a_plain_function_lives_as_long_as_the_test(
    scope: str, cls: type | None, answers: bool
) -> None:
    """And that of a class longer, as wider ones do: these are judged when they are torn down."""
    found = function_fixtures(_item(scope, cls))

    assert [one.name for one in found.values()] == (["it"] if answers else [])
