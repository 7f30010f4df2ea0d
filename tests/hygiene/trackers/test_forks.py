"""Who is told of forks, and that nobody is kept for it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import pytest

from pytest_resource_hygiene import forks
from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.trackers import built_in_trackers, kind_names

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


class _Listener:
    """Counts."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self) -> None:
        self.heard += 1


def _fork(answer: _Listener) -> int:
    """Fork; return what the child says that it has heard."""
    pid = os.fork()
    if pid == 0:
        os._exit(answer.heard)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it is multi-threaded
def test_parent_and_child_are_told() -> None:
    """Each of what is its own."""
    here, there = _Listener(), _Listener()
    forks.after_in_parent(here.hear)
    forks.after_in_child(there.hear)

    assert _fork(there) == 1
    assert (here.heard, there.heard) == (1, 0)


def test_who_listens_is_not_kept() -> None:
    """Nor is the place that it had."""
    before = len(forks._in_child._methods)
    listener = _Listener()
    forks.after_in_child(listener.hear)
    reference = weakref.ref(listener)
    assert len(forks._in_child._methods) == before + 1
    del listener

    assert reference() is None
    assert len(forks._in_child._methods) == before


def test_checks_leave_nothing_that_listens() -> None:
    """A server may check itself every minute for months."""

    def check() -> None:
        checker = LeakChecker(built_in_trackers(frozenset(kind_names())), EngineSettings())
        checker.start()
        checker.stop()

    check()
    gc.collect()
    before = len(forks._in_child._methods), len(forks._in_parent._methods)
    for _ in range(3):
        check()
    gc.collect()

    assert (len(forks._in_child._methods), len(forks._in_parent._methods)) == before


def test_the_end_of_the_interpreter_is_silent() -> None:
    """Whatever of a check is still held then, and in whatever order things go."""
    code = (
        "from pytest_resource_hygiene import snapshot\n"
        "before = snapshot(['processes']); trackers = before._checker.trackers; before.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == done.stderr == ""
