"""What stands for `signal.signal`, in C and in Python, called directly."""

from __future__ import annotations

import functools
import signal
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from support.twins import in_python

from pytest_resource_hygiene import audit
from pytest_resource_hygiene.trackers import _signal_calls, unclosed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_OWNER: ContextVar[Any] = ContextVar("owner", default=None)
_OFTEN = frozenset({int(signal.SIGINT)})
_FIRST = signal.default_int_handler


@pytest.fixture(params=["python", "as-installed"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the two versions, or twice the same where there is no other."""
    is_python = request.param == "python"
    return in_python(_signal_calls, monkeypatch) if is_python else _signal_calls


class Signals:
    """A `signal.signal` that sets nothing, and what stands for it."""

    def __init__(self, twin: ModuleType) -> None:
        """Begin with the default of everything."""
        self.handlers: dict[int, Any] = {}
        self.sites = audit.Sites(frozenset(), "", _OWNER, threading.main_thread().ident or 0)
        self.calls: list[Any] = []
        self.overflows: list[int] = []
        self.handling = functools.wraps(self.set)(
            twin.Handling(
                self.set, self.sites, _OFTEN, self.calls, _FIRST, _signal_calls._refer,
                lambda: self.overflows.append(len(self.calls)), 3,
            )
        )  # fmt: skip

    @property
    def noted(self) -> list[tuple[int, Any, Any]]:
        """Number, handler and what undoes it, of each call that is put down."""
        return [
            (number, None if ref is None else ref(), undoes)
            for number, ref, undoes, _ in self.calls
        ]

    def set(self, signalnum: int, handler: Any) -> Any:
        """Set a handler; return the former."""
        if handler == "wrong":
            raise TypeError(handler)
        former = self.handlers.get(signalnum, signal.SIG_DFL)
        self.handlers[signalnum] = handler
        return former


def test_it_sets_and_notes_however_it_is_called(twin: ModuleType) -> None:
    signals, one, two, three = Signals(twin), _handler(), _handler(), _handler()

    assert signals.handling(1, one) is signal.SIG_DFL
    assert signals.handling(1, handler=two) is one
    assert signals.handling(handler=three, signalnum=1) is two
    assert signals.noted == [(1, one, signal.SIG_DFL), (1, two, None), (1, three, None)]
    assert signals.handling.others == 3
    assert signals.handling.__name__ == "set"


def _handler() -> Callable[[int, object], None]:
    return lambda number, frame: None


class Handlers:
    """What somebody may give for a handler."""

    def method(self, number: int, frame: object) -> None:
        """Be bound to an object."""


class Slotted:
    """A callable that cannot be referred to weakly."""

    __slots__ = ()

    def __call__(self, number: int, frame: object) -> None:
        """Do nothing."""


class Constant(int):
    """What a library has for a constant of its own."""


@pytest.mark.parametrize("make", [_handler, functools.partial(functools.partial, print)])
def test_handlers_are_referred_to_and_kept_alive_by_nobody(
    twin: ModuleType, make: Callable[[], Any]
) -> None:
    signals, handler = Signals(twin), make()

    signals.handling(2, handler)
    reference = signals.calls[0][1]
    assert reference() is handler
    signals.handlers.clear()
    del handler
    assert reference() is None


def test_a_method_is_referred_to_by_its_object(twin: ModuleType) -> None:
    """Python makes a method anew each time that it is asked for."""
    signals, handlers = Signals(twin), Handlers()

    signals.handling(2, handlers.method)
    signals.handlers.clear()
    reference = signals.calls[0][1]
    assert reference() == handlers.method
    del handlers
    assert reference() is None


@pytest.mark.parametrize(
    "handler",
    [signal.SIG_IGN, Constant(7), print, _FIRST, Slotted()],
    ids=lambda one: repr(one)[:9],
)
def test_constants_and_what_is_built_in_need_no_reference(twin: ModuleType, handler: Any) -> None:
    signals = Signals(twin)

    signals.handling(2, handler)
    assert [call[1] for call in signals.calls] == [None]


@pytest.mark.parametrize("former", [signal.SIG_IGN, signal.SIG_DFL, 0, Constant(7), _FIRST])
def test_what_was_there_before_anybody_undoes_a_call(twin: ModuleType, former: Any) -> None:
    signals = Signals(twin)
    signals.handlers[2] = former

    signals.handling(2, _handler())
    assert [call[2] for call in signals.calls] == [former]
    signals.handling(2, former)
    assert not signals.calls


@pytest.mark.parametrize("former", [_handler(), Handlers().method, print, None])
def test_what_somebody_has_set_is_not_kept(twin: ModuleType, former: Any) -> None:
    signals = Signals(twin)
    signals.handlers[2] = former

    signals.handling(2, _handler())
    assert [call[2] for call in signals.calls] == [None]


def test_each_call_that_is_more_than_the_limit_is_told(twin: ModuleType) -> None:
    signals = Signals(twin)

    for _ in range(5):
        signals.handling(2, _handler())
    assert signals.overflows == [4, 5]


def test_what_is_refused_is_not_noted(twin: ModuleType) -> None:
    signals = Signals(twin)

    for wrong in ((1, "wrong"), (1,), (1, 2, 3)):
        with pytest.raises(TypeError):
            signals.handling(*wrong)
    assert not signals.calls
    assert signals.handling.others == 0


def test_the_signals_that_somebody_looks_at_pass(twin: ModuleType) -> None:
    """What was done to others lasts until it is looked at."""
    signals = Signals(twin)
    lasting, pulse = signals.sites.lasting, signals.sites.pulse

    signals.handling(signal.SIGINT, _handler())
    assert signals.sites.lasting == lasting
    assert signals.sites.pulse != pulse
    assert signals.handling.others == 0
    signals.handling(signal.SIGURG, _handler())
    assert signals.sites.lasting != lasting


def test_the_same_function_undoes_its_own_call(twin: ModuleType) -> None:
    signals = Signals(twin)

    former = signals.handling(2, _handler())
    signals.handling(3, former)
    signals.handling(3, signal.SIG_DFL)
    assert [call[0] for call in signals.calls] == [2], "another signal's is not undone by it"
    signals.handling(2, former)
    assert not signals.calls

    def elsewhere() -> None:
        signals.handling(2, former)

    signals.handling(2, _handler())
    elsewhere()
    assert [call[0] for call in signals.calls] == [2, 2]


@pytest.mark.parametrize("version", ["python", "as-installed"])
def test_a_filter_is_put_first_and_stands_once(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    module = in_python(unclosed, monkeypatch) if version == "python" else unclosed
    ours, other = object(), object()
    for entries in ([], [other], [ours], [other, ours], [ours, other], [other, other, ours, other]):
        names = {"filters": list(entries)}
        there = names["filters"]
        for _ in range(2):
            module.put_first(names, "filters", ours)  # type: ignore[attr-defined]
            assert names["filters"] is there
            assert there == [ours, *(one for one in entries if one is not ours)]
