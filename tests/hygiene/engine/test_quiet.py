"""Whether nothing has happened, in C and in Python: what is asked, in which order, and what is dropped."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from support.twins import in_python

from pytest_resource_hygiene import audit, quiet
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.quiet import FUNCTION, ID, LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_OWNER: ContextVar[Any] = ContextVar("owner", default=None)


@pytest.fixture(params=["python", "as-installed"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the two versions, or twice the same where there is no other."""
    return in_python(quiet, monkeypatch) if request.param == "python" else quiet


class Thing:
    """Something that passes."""

    def __init__(self, *, is_over: bool = False) -> None:
        """Be over, or not."""
        self.is_over = is_over


def _is_over(thing: Thing) -> bool:
    return thing.is_over


class Watched:
    """Sites, one list of what passes, and what asks them."""

    def __init__(self, twin: ModuleType) -> None:
        """Be quiet."""
        self.sites = audit.Sites(frozenset(), "", _OWNER, threading.main_thread().ident or 0)
        self.records: deque[Any] = deque()
        self.quiet = twin.Quiet(self.sites, [twin.Passing(self.records, 1, _is_over)])
        while not self.quiet():
            pass

    def pass_by(self, thing: Thing) -> None:
        """Take down something that passes."""
        self.records.append((self.sites.passing_site(None), weakref.ref(thing)))


# --- what was taken down ---


def test_it_is_quiet_until_something_that_lasts_is_taken_down(twin: ModuleType) -> None:
    watched = Watched(twin)

    assert watched.quiet() is True
    watched.sites.site(None)
    assert (watched.quiet(), watched.quiet()) == (False, True)
    watched.sites.stir()
    assert (watched.quiet(), watched.quiet()) == (False, True)


def test_what_passes_has_to_be_over(twin: ModuleType) -> None:
    watched, thing = Watched(twin), Thing()

    watched.pass_by(thing)
    assert watched.quiet() is False
    assert len(watched.records) == 1, "whoever looks wants to know how it was made"
    thing.is_over = True
    watched.pass_by(Thing(is_over=True))  # gone at once
    assert watched.quiet() is True
    assert len(watched.records) == 0


def test_what_has_ceased_to_be_is_over(twin: ModuleType) -> None:
    watched, thing = Watched(twin), Thing()

    watched.pass_by(thing)
    del thing
    assert watched.quiet() is True
    assert len(watched.records) == 0


def test_what_passes_is_kept_while_a_probe_tells_of_a_change(twin: ModuleType) -> None:
    watched, answers = Watched(twin), [1]
    watched.quiet.ask_for([lambda: answers[-1]])
    assert watched.quiet() is False
    watched.pass_by(Thing(is_over=True))
    answers.append(2)

    assert watched.quiet() is False
    assert len(watched.records) == 1
    watched.pass_by(Thing(is_over=True))
    assert watched.quiet() is True
    assert len(watched.records) == 0


def test_no_probe_is_asked_when_something_lasts(twin: ModuleType) -> None:
    """Whoever looks then sees all of it, and what the probes said last is still known."""
    watched, asked = Watched(twin), list[int]()
    watched.quiet.ask_for([lambda: asked.append(1)])
    assert watched.quiet() is False
    watched.sites.stir()

    assert watched.quiet() is False
    assert len(asked) == 1
    assert watched.quiet() is True
    assert len(asked) == 2


def test_what_comes_meanwhile_is_not_dropped(twin: ModuleType) -> None:
    """Another thread may add while it is asked."""
    watched, late = Watched(twin), Thing()
    watched.quiet.ask_for([lambda: watched.pass_by(late)])
    watched.quiet()

    watched.pass_by(Thing(is_over=True))
    watched.records.clear()
    watched.pass_by(Thing(is_over=True))
    assert watched.quiet() is True
    assert [record[1]() for record in watched.records] == [None, late]


def test_a_failure_to_ask_is_no_quiet(twin: ModuleType) -> None:
    watched, things = Watched(twin), [Thing(is_over=True)]

    def fail(*_: object) -> bool:
        if things:
            raise RuntimeError
        return True

    watched.quiet.ask_for([fail])
    assert (watched.quiet(), watched.quiet()) == (False, False)
    kept = things.pop()
    assert (watched.quiet(), watched.quiet()) == (False, True)

    del kept.is_over
    watched.pass_by(kept)
    assert watched.quiet() is False


def test_what_is_no_exception_but_an_end_goes_on(twin: ModuleType) -> None:
    watched = Watched(twin)

    def interrupt() -> None:
        raise KeyboardInterrupt

    watched.quiet.ask_for([interrupt])
    with pytest.raises(KeyboardInterrupt):
        watched.quiet()
    watched.quiet.ask_for([])
    assert (watched.quiet(), watched.quiet()) == (False, True)


# --- probes ---


@pytest.mark.parametrize("count", [0, 1, 40])
def test_every_probe_is_asked_each_time(twin: ModuleType, count: int) -> None:
    watched, numbers = Watched(twin), list(range(count))

    def ask(at: int) -> Callable[[], int]:
        return lambda: numbers[at]

    watched.quiet.ask_for(ask(at) for at in range(count))
    assert len(watched.quiet.probes) == count
    assert (watched.quiet(), watched.quiet()) == (False, True)
    for at in range(count):
        numbers[at] += 1
    assert watched.quiet() is (count == 0)
    assert watched.quiet() is True


def test_what_names_stand_for_is_seen_and_never_compared(twin: ModuleType) -> None:
    class Refusing:
        """Answers no comparison."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        def method(self) -> None:
            """Be bound anew at each access."""

    one = Refusing()
    names: dict[str, Any] = {"hook": one, "method": one.method, "list": [one]}
    probe = twin.places_probe(
        ((names, "hook", ID), (names, "method", FUNCTION), (names, "list", LENGTH))
    )
    watched = Watched(twin)
    watched.quiet.ask_for([probe])
    watched.quiet()
    before = probe()

    names["method"] = Refusing().method
    names["list"] = [0]
    assert watched.quiet() is True
    assert probe() == before
    for change in ({"hook": Refusing()}, {"method": print}, {"list": []}, {"list": None}):
        names.update(change)
        assert watched.quiet() is False
        assert watched.quiet() is True
    del names["hook"]
    assert watched.quiet() is False
    assert probe() != before


def test_handlers_of_the_root_logger_are_counted(twin: ModuleType) -> None:
    probe = twin.places_probe(((vars(logging.root), "handlers", LENGTH),))
    before, handler = probe(), logging.NullHandler()

    logging.root.addHandler(handler)
    try:
        assert probe() != before
    finally:
        logging.root.removeHandler(handler)
    assert probe() == before


# --- what only C can get wrong ---


@pytest.mark.skipif(speedups is None, reason="the parts in C are not compiled here")
def test_what_is_no_probe_of_names_is_told() -> None:
    with pytest.raises(TypeError, match="must be dict"):
        quiet.places_probe(((1, "name", ID),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 12"):
        quiet.places_probe((({}, "name", ID),) * 13)


def test_it_does_not_ask_itself(twin: ModuleType) -> None:
    """A probe that asks whether it is quiet hears that it is not."""
    watched = Watched(twin)
    watched.quiet.ask_for([watched.quiet])

    assert watched.quiet() is False


# --- the end of a test ---


class Window:
    """What an owner is to whoever ends its window."""

    def __init__(self, *, held: object = (), caught: object = ()) -> None:
        """Be open."""
        self.held, self.caught, self.closed = held, caught, False


def test_a_quiet_window_is_ended(twin: ModuleType) -> None:
    watched, owner = Watched(twin), Window()
    watched.sites.begin(owner)
    before = watched.quiet.seconds

    assert watched.quiet.close(owner, "next") is True
    assert (owner.closed, watched.sites.window, _OWNER.get()) == (True, "next", None)
    watched.sites.stir()
    assert watched.quiet.close(owner, "another") is True, "it was ended before"
    assert watched.sites.window == "next"
    assert watched.quiet() is False
    assert watched.quiet.seconds > before


def test_a_window_in_which_something_happened_stays_and_it_is_told_again(twin: ModuleType) -> None:
    for happen in ("lasts", "passes", "differs"):
        watched, owner, answers, thing = Watched(twin), Window(), [1], Thing()
        watched.quiet.ask_for([lambda answers=answers: answers[-1]])
        watched.quiet()
        watched.sites.begin(owner)
        if happen == "lasts":
            watched.sites.site(None)
        elif happen == "passes":
            watched.pass_by(thing)
        else:
            answers.append(2)

        assert watched.quiet.close(owner, "next") is False, happen
        assert (owner.closed, watched.sites.window) == (False, owner), happen
        assert (watched.quiet(), watched.quiet()) == (False, True), happen
        thing.is_over = True
        watched.sites.end(owner, None)


@pytest.mark.parametrize("what", ["held", "caught"])
def test_who_has_to_answer_for_something_is_not_closed(twin: ModuleType, what: str) -> None:
    watched, owner = Watched(twin), Window(**{what: {"a socket": None}})
    watched.sites.begin(owner)

    assert watched.quiet.close(owner, "next") is False
    assert (owner.closed, watched.sites.window) == (False, owner)
    assert watched.quiet() is True, "nothing has happened since"
    watched.sites.end(owner, None)


def test_the_window_of_another_is_left_open(twin: ModuleType) -> None:
    watched, owner, other = Watched(twin), Window(), Window()
    watched.sites.begin(owner)
    watched.sites.begin(other)

    assert watched.quiet.close(owner, "next") is True
    assert (owner.closed, watched.sites.window) == (True, other)
    watched.sites.end(other, None)


def test_what_is_no_owner_is_an_error(twin: ModuleType) -> None:
    watched = Watched(twin)

    with pytest.raises(AttributeError, match="closed"):
        watched.quiet.close(object(), None)
    with pytest.raises(TypeError):
        watched.quiet.close(Window())
