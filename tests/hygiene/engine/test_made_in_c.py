"""Which objects of C extensions count as singletons, and when they are new."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.engine.references.made_in_c import SingletonsInC, is_unseen
from pytest_resource_hygiene.engine.verdicts.growth import Growth
from pytest_resource_hygiene.model import Holder, OwnerInfo
from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.trackers.fds import make_tracker

_FOLDER = "/x/site-packages/fakeq/"


class Context:
    """As a class written in C: it says that it is of the package's module in C."""

    instance: Any = None

    def close(self) -> None:
        """Have a way to end it."""


class Message:
    """The same without a way to end it."""


class Slotted:
    """The same without weak references."""

    __slots__ = ()

    def close(self) -> None:
        """Have a way to end it."""


class Strange(Context):
    """Says that it is of no module."""


class Evasive(type):
    """Has classes that cannot be asked for anything."""

    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An installed package with a module in C, whose classes those above are."""
    native, package = ModuleType("fakeq._native"), ModuleType("fakeq")
    native.__file__ = f"{_FOLDER}_native{EXTENSION_SUFFIXES[0]}"
    package.__file__ = f"{_FOLDER}__init__.py"
    for cls in (Context, Message, Slotted):
        monkeypatch.setattr(cls, "__module__", "fakeq._native")
    monkeypatch.setattr(Strange, "__module__", 7)
    monkeypatch.setitem(sys.modules, "fakeq", package)
    monkeypatch.setitem(sys.modules, "fakeq._native", native)
    return package


def _paths(holders: list[Holder]) -> list[str]:
    return sorted(holder.path[-1] for holder in holders)


def test_what_is_there_is_known_and_what_comes_is_told_once(package: ModuleType) -> None:
    """By a global, or by an attribute of a class, also of one that several modules have."""
    vars(package)["FIRST"] = Context()
    singletons = SingletonsInC(Places())
    assert singletons.take_new() == []

    vars(package).update(Context=Context, SECOND=Context())
    vars(sys.modules["fakeq._native"])["Context"] = Context
    Context.instance = Context()
    try:
        assert _paths(singletons.take_new()) == ["Context.instance", "fakeq.SECOND"]
        assert singletons.take_new() == []
        Context.instance = Context()
        assert _paths(singletons.take_new()) == ["Context.instance"], "another than before"
    finally:
        Context.instance = None


def test_one_that_has_the_address_of_another_that_is_gone_is_new(package: ModuleType) -> None:
    """Addresses are used again; the object that was known is not this one."""
    singletons = SingletonsInC(Places())
    vars(package)["FIRST"] = Context()
    singletons.take_new()
    vars(package)["SECOND"] = second = Context()
    singletons._known[id(second)] = singletons._known[id(vars(package)["FIRST"])]

    assert _paths(singletons.take_new()) == ["fakeq.SECOND"]


def test_only_what_c_code_may_have_opened_things_for_counts(package: ModuleType) -> None:
    """It can be ended, can be told from its successor, and is of a class of the extension."""
    singletons = SingletonsInC(Places())
    vars(package).update(
        text="plain", cls=Context, message=Message(), slotted=Slotted(), file=sys.stdout,
        odd=type("Odd", (), {"close": print})(), strange=Strange,
        evasive=Evasive("Evaded", (), {})(),
    )  # fmt: skip
    assert singletons.take_new() == []

    vars(package)["derived"] = Strange()
    assert _paths(singletons.take_new()) == ["fakeq.derived"], "a base is written in C"


def test_packages_of_the_user_and_without_c_are_not_looked_at(package: ModuleType) -> None:
    """What the user's own extension keeps is the user's to close."""
    native = sys.modules["fakeq._native"]
    singletons = SingletonsInC(Places())
    vars(package)["thing"] = Context()
    native.__file__ = f"/home/me/fakeq/_native{EXTENSION_SUFFIXES[0]}"
    assert singletons.take_new() == []
    native.__file__ = f"{_FOLDER}_native.py"
    assert singletons.take_new() == []
    native.__file__ = f"{_FOLDER}_native{EXTENSION_SUFFIXES[0]}"
    assert _paths(singletons.take_new()) == ["fakeq.thing"]


def test_a_function_may_be_the_only_way_to_a_singleton(monkeypatch: pytest.MonkeyPatch) -> None:
    """No global of gevent's refers to its hub; another release may want arguments."""
    singletons = SingletonsInC(Places())
    module: Any = ModuleType("gevent._hub_local")
    monkeypatch.setitem(sys.modules, "gevent._hub_local", module)
    assert singletons.take_new() == []

    module.get_hub_if_exists = lambda name: name
    assert singletons.take_new() == []

    hub = Message()
    module.get_hub_if_exists = lambda: hub
    assert _paths(singletons.take_new()) == ["gevent._hub_local.get_hub_if_exists()"]
    assert singletons.take_new() == []


def _entry(*, seen: bool = False) -> Entry:
    creation = Recorder().creation(None) if seen else None
    return Entry(make_tracker(), (5,), 5, creation=creation)


def test_what_came_in_a_setup_is_the_fixtures(package: ModuleType) -> None:
    """If C code opened anything meanwhile; or else it is of whoever is judged next."""
    singletons = SingletonsInC(Places())
    fixture, other = (Owner(OwnerInfo("fixture", name, "session")) for name in "ab")
    assert is_unseen(_entry())
    assert not is_unseen(_entry(seen=True))

    vars(package)["first"] = Context()
    other.hold(_entry(seen=True))
    singletons.setup_ended(other)
    fixture.hold(_entry())
    singletons.setup_ended(fixture)
    vars(package)["second"] = Context()

    assert _paths(singletons.new_of(other)) == ["fakeq.second"]
    assert _paths(singletons.new_of(fixture)) == ["fakeq.first"]
    assert singletons.new_of(fixture) == []


def test_what_is_asked_on_trial_is_answered_again_also_if_that_failed(package: ModuleType) -> None:
    """The owner is judged once more when the wait is over."""
    singletons = SingletonsInC(Places())
    test = Owner(OwnerInfo("test", "a", "function"))
    vars(package)["first"] = Context()

    with suppress(RuntimeError), singletons.keeping(test):
        assert _paths(singletons.new_of(test)) == ["fakeq.first"]
        raise RuntimeError

    assert _paths(singletons.new_of(test)) == ["fakeq.first"]


def _opened(fd: int) -> Any:
    """A group of one descriptor that nobody has seen being opened."""
    entry = Entry(make_tracker(), (fd, 0, 0, 0), fd)
    return SimpleNamespace(primary=entry, entries=[entry], severity="fail", holder=None, why=None)


def test_of_two_new_singletons_the_first_of_its_kind_is_taken_for_the_reason() -> None:
    """Nothing tells for which of them C code has opened something; another context grows."""
    context, hub = (Holder(name, (f"module {name}", name)) for name in ("context", "hub"))
    news = iter([[context], [context, hub], [context], [context, hub]])
    in_c = SimpleNamespace(new_of=lambda window: next(news))
    ledger = SimpleNamespace(is_live=lambda entry: True)
    growth = Growth(ledger, None, in_c)  # type: ignore[arg-type]
    groups = [_opened(fd) for fd in (3, 4, 5, 6)]
    for group in groups:
        growth.excuse_made_in_c([group], None)  # type: ignore[arg-type]

    assert [group.severity for group in groups] == ["note", "note", "fail", "fail"]
    assert [group.holder for group in groups] == [context, hub, context, context]
