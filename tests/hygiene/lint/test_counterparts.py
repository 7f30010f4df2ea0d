"""RH005: what is started for the process, patched, or started by a function that forgets it."""

from __future__ import annotations

import pytest
from hygiene.lint.checked import codes

_FUNCTION = """
import gc, faulthandler, signal, sys, threading
from unittest import mock

def work({parameters}):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "counterpart"),
    [
        ("gc.disable()", "gc.enable()"),
        ("faulthandler.dump_traceback_later(5)", "faulthandler.cancel_dump_traceback_later()"),
        ("signal.alarm(5)", "signal.alarm(0)"),
        ("signal.setitimer(signal.ITIMER_REAL, 5)", "signal.setitimer(signal.ITIMER_REAL, 0)"),
        ("sys.settrace(print)", "sys.settrace(None)"),
        ("sys.setprofile(print)", "sys.setprofile(None)"),
        ("threading.settrace(print)", "threading.settrace(None)"),
        (
            "patcher = mock.patch('a.b'); patcher.new = 1; mock.patch('a.b').start()",
            "patcher.stop()",
        ),
    ],
)
def test_a_start_needs_its_counterpart(body: str, counterpart: str) -> None:
    """Alone it is a finding, with its counterpart it is none."""
    assert codes(_FUNCTION.format(parameters="", body=body)) == ["RH005"]
    assert codes(_FUNCTION.format(parameters="", body=f"{body}; {counterpart}")) == []


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ("", "signal.alarm(0)"),
        ("", "sys.settrace(None)"),
        ("", "sys.settrace()"),
        ("trace", "sys.settrace(trace)"),
        ("", "was = sys.gettrace(); sys.settrace(print); sys.settrace(was)"),
        ("stack", "stack.callback(signal.alarm, 0); signal.alarm(5)"),
    ],
    ids=["nothing", "none", "incomplete", "wrapper", "what-was-there", "handed-to-a-stack"],
)
def test_what_arms_nothing_or_is_put_back_is_no_start(parameters: str, body: str) -> None:
    """Disarming, a wrapper whose caller decides, and what puts back what was there."""
    assert codes(_FUNCTION.format(parameters=parameters, body=body)) == []


def test_the_same_start_twice_is_no_counterpart() -> None:
    """A second call with the same arguments arms it again."""
    assert "RH005" in codes(
        _FUNCTION.format(parameters="", body="signal.alarm(5); signal.alarm(5)")
    )


def test_what_another_function_disarms_is_ended() -> None:
    """Setting it in one function and putting it off in another is a pair."""
    text = """
    import signal

    def begin():
        signal.alarm(5)

    def over():
        signal.alarm(0)
    """
    assert codes(text) == []


_LOCAL = """
import threading

class Pump:
    def start(self):
        print()

    def stop(self):
        print()

def work(owners):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("timer = threading.Timer(5, print); timer.start()", ["RH005"]),
        ("pump = Pump(); pump.start()", ["RH005"]),
        ("pump = Pump(); pump.start(); print(pump.name)", ["RH005"]),
        ("timer = threading.Timer(5, print); timer.start(); timer.cancel()", []),
        ("pump = Pump(); pump.start(); pump.stop()", []),
        ("pump = Pump(); pump.start(); return pump", []),
        ("pump = Pump(); pump.start(); owners.append(pump)", []),
        ("pump = Pump(); pump.start(); return lambda: pump.stop()", []),
        ("global pump; pump = Pump(); pump.start()", []),
        # Whether these can be stopped is not known from this file, or they end by themselves.
        ("other = owners.make(); other.start()", []),
        ("thread = threading.Thread(target=print); thread.start()", []),
        ("owners.start()", []),
    ],
)
def test_what_a_function_starts_and_forgets(body: str, expected: list[str]) -> None:
    """An object that can be stopped is stopped, kept, returned or handed on."""
    assert codes(_LOCAL.format(body=body)) == expected
