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
    from types import ModuleType

_OWNER: ContextVar[Any] = ContextVar("owner", default=None)
_OFTEN = frozenset({int(signal.SIGINT)})


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
        self.noted: list[tuple[int, Any, Any]] = []
        self.handling = functools.wraps(self.set)(
            twin.Handling(self.set, self.sites, _OFTEN, self.calls, self.note)
        )

    def set(self, signalnum: int, handler: Any) -> Any:
        """Set a handler; return the former."""
        if handler == "wrong":
            raise TypeError(handler)
        former = self.handlers.get(signalnum, signal.SIG_DFL)
        self.handlers[signalnum] = handler
        return former

    def note(self, signalnum: int, handler: Any, former: Any, site: Any) -> None:
        """Put down a call."""
        self.noted.append((signalnum, handler, former))
        self.calls.append((signalnum, None, former, site))


def test_it_sets_and_notes_however_it_is_called(twin: ModuleType) -> None:
    signals = Signals(twin)

    assert signals.handling(1, "one") is signal.SIG_DFL
    assert signals.handling(1, handler="two") == "one"
    assert signals.handling(handler="three", signalnum=1) == "two"
    assert signals.noted == [(1, "one", signal.SIG_DFL), (1, "two", "one"), (1, "three", "two")]
    assert signals.handling.others == 3
    assert signals.handling.__name__ == "set"


def test_what_is_refused_is_not_noted(twin: ModuleType) -> None:
    signals = Signals(twin)

    for wrong in ((1, "wrong"), (1,), (1, 2, 3)):
        with pytest.raises(TypeError):
            signals.handling(*wrong)
    assert not signals.noted
    assert signals.handling.others == 0


def test_the_signals_that_somebody_looks_at_pass(twin: ModuleType) -> None:
    """What was done to others lasts until it is looked at."""
    signals = Signals(twin)
    lasting, pulse = signals.sites.lasting, signals.sites.pulse

    signals.handling(signal.SIGINT, "one")
    assert signals.sites.lasting == lasting
    assert signals.sites.pulse != pulse
    assert signals.handling.others == 0
    signals.handling(signal.SIGURG, "one")
    assert signals.sites.lasting != lasting


def test_the_same_function_undoes_its_own_call(twin: ModuleType) -> None:
    signals = Signals(twin)

    former = signals.handling(2, "one")
    signals.handling(3, former)
    signals.handling(3, signal.SIG_DFL)
    assert [call[0] for call in signals.calls] == [2], "another signal's is not undone by it"
    signals.handling(2, former)
    assert not signals.calls

    def elsewhere() -> None:
        signals.handling(2, former)

    signals.handling(2, "one")
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
