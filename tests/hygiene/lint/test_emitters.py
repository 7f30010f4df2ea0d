"""RH001 to RH003: who is kept by what lives longer, and how it is said."""

from __future__ import annotations

import pytest
from hygiene.lint.checked import codes

from pytest_resource_hygiene.lint.check import check_text, known_codes

_CLASS = """
import functools, gc, logging
from app import bus
from gc import callbacks

own = make()

class Page:
    def __init__(self, bus_given, log=None):
        self.given = bus_given
        self.mine = make()
        self.log = logging.getLogger("a")
        {body}

    def react(self, *args):
        print()
{rest}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("bus.on('a', self.react)", ["RH003"]),
        ("own.on('a', self.react)", ["RH003"]),
        ("bus_given.on('a', self.react)", ["RH003"]),
        ("self.given.on('a', self.react)", ["RH003"]),
        ("bus.on('a', lambda: self.react)", ["RH003"]),
        ("bus.on('a', functools.partial(self.react, 1))", ["RH003"]),
        ("def inner(): print()\n        bus.on('a', inner)", ["RH003"]),
        ("bus.connect(self.react, weak=False)", ["RH003"]),
        ("self.log.addHandler(logging.FileHandler('x'))", ["RH003"]),
        ("gc.callbacks.append(self.react)", ["RH003"]),
        # The emitter ends with the object, or is nobody's that is known.
        ("self.mine.on('a', self.react)", []),
        ("made = make(); made.on('a', self.react)", []),
        ("unknown.on('a', self.react)", []),
        ("make().on('a', self.react)", []),
        # Nothing of ours is held.
        ("bus.on('a', print)", []),
        ("bus.on('a', cls.react)", []),
        ("bus.on('a')", []),
        ("bus.subscribe()", []),
        ("bus.on('a', functools.partial(print))", []),
        ("bus.connect(self.react)", []),
        ("bus.connect(self.react, weak=True)", []),
        ("self.log.addHandler()", []),
        ("log.addHandler(logging.FileHandler('x'))", []),
    ],
)
def test_a_listener_on_what_lives_longer(body: str, expected: list[str]) -> None:
    """The emitter was there before, and the listener holds the object."""
    assert codes(_CLASS.format(body=body, rest="")) == expected


@pytest.mark.parametrize(
    ("body", "close"),
    [
        ("bus.on('a', self.react)", "bus.off('a', self.react)"),
        ("bus.on('a', self.react)", "bus.clear()"),
        ("gc.callbacks.append(self.react)", "callbacks.remove(self.react)"),
    ],
)
def test_a_listener_that_is_taken_away_again(body: str, close: str) -> None:
    """By name, or with all others."""
    rest = f"\n    def close(self):\n        {close}\n"
    assert codes(_CLASS.format(body=body, rest=rest)) == []


def test_what_a_test_is_given_ends_with_it() -> None:
    """A parameter of a test is a fixture; of another function it may live for ever."""
    text = "def {}(bus):\n    def inner(): print()\n    bus.on('a', inner)\n"
    assert codes(text.format("test_page")) == []
    assert codes(text.format("page")) == ["RH003"]


def test_a_function_that_returns_the_logger_may_be_called_again() -> None:
    """One that only configures it runs once, by whoever starts the program."""
    text = """
    import logging

    def logger(name):
        log = logging.getLogger(name)
        {}log.addHandler(logging.StreamHandler())
        return {}
    """
    assert codes(text.format("", "log")) == ["RH003"]
    assert codes(text.format("", "None")) == []
    assert codes(text.format("if not log.handlers: ", "log")) == []


def said(text: str) -> str:
    """Return the one message about a source text."""
    (finding,) = check_text(text, "a.py", known_codes()).findings
    return finding.message


def test_messages_do_not_repeat_long_expressions() -> None:
    """What is longer than a line is called by what it is."""
    long = "functools.partial(" + ", ".join(["self.react"] * 10) + ")"
    assert "a listener is added to bus" in said(_CLASS.format(body=f"bus.on('a', {long})", rest=""))
    register = "import atexit\n\ndef go(self):\n    atexit.register(lambda: {})\n"
    assert "exit callback a function is" in said(register.format("a" * 60))
    assert "exit callback lambda: a is" in said(register.format("a"))


def test_a_handler_of_several_names_for_the_signal() -> None:
    """The place of the mending depends on whether a class could do it."""
    text = "import signal\n\ndef go(self):\n    def on(*_): pass\n    signal.signal(15, on)\n"
    assert "in a `finally`" in said(text)
    text = "import signal\n\nclass A:\n    def go(self):\n        signal.signal(15, self.go)\n"
    assert "in a method of A that ends it" in said(text)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("signal.signal(15)", []),
        ("signal.signal(15, handler)", []),
        ("signal.signal(15, signal.getsignal(2))", []),
        ("signal.signal(15, old_handler)", []),
        ("signal.signal(15, print); signal.signal(15, signal.SIG_DFL)", []),
        ("signal.signal(15, print); signal.signal(15, len)", ["RH001"]),
        ("was: object\n    signal.signal(15, was)", ["RH001"]),
        ("signal.signal(15, lambda *_: print())", ["RH001"]),
    ],
)
def test_what_sets_a_handler_and_what_puts_one_back(body: str, expected: list[str]) -> None:
    """A default, a parameter, and what was remembered are no handlers of one's own."""
    assert codes(f"import signal\n\ndef go(handler):\n    {body}\n") == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("atexit.register(print)", []),
        ("atexit.register(print, 1)", ["RH002"]),
        ("atexit.register(lambda: 1)", ["RH002"]),
        ("atexit.register(things.close)", ["RH002"]),
        ("atexit.register(other)", []),
    ],
)
def test_what_an_exit_callback_holds(call: str, expected: list[str]) -> None:
    """A plain function holds nothing that was not there before."""
    text = f"import atexit\n\ndef other(): pass\n\ndef go(things):\n    {call}\n"
    assert codes(text) == expected
