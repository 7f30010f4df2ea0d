"""Who waits for any child does not meet the orphans of others; real children, hidden by hand."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.trackers._child_waits import ChildWaits
from pytest_resource_hygiene.trackers._children import children, start_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans come on Linux")

_ENDED = ["/bin/sh", "-c", "exit 3"]


class Waiting(ChildWaits):
    """Hides the children that this process has anyway, too: the helper of `multiprocessing`."""

    def __init__(self) -> None:
        super().__init__(children)
        self.others = [_key(pid) for pid in children()]
        self.hide(())

    def hide(self, orphans: Iterable[tuple[int, int]]) -> None:
        """Hide these and the others."""
        super().hide([*self.others, *orphans])


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Wrapped functions, and none of the tests' own children hidden."""
    recorder = Recorder()
    waiting = Waiting()
    waiting.start(recorder)
    yield waiting
    recorder.stop()


class Lasting:
    """Children that run until their input ends."""

    def __init__(self, number: int) -> None:
        reading, self.writing = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_CLOSE, self.writing)]
        self.pids = [
            os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=actions) for _ in range(number)
        ]
        os.close(reading)

    def end(self) -> None:
        """Let all end, and stay zombies."""
        os.close(self.writing)
        for pid in self.pids:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _key(pid: int) -> tuple[int, int]:
    return pid, start_of(pid)


def test_none_but_strangers_are_none(waiting: Waiting) -> None:
    """As if process 1 had them: whoever asks is told that there is no child."""
    running = Lasting(1)
    waiting.hide([_key(running.pids[0])])
    try:
        for options in (0, os.WNOHANG):
            with pytest.raises(ChildProcessError, match="No child"):
                os.waitpid(-1, options)
        with pytest.raises(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    finally:
        running.end()
        os.waitpid(running.pids[0], 0)


def test_one_that_runs_is_waited_for_and_a_stranger_that_ends_is_reaped(
    waiting: Waiting,
) -> None:
    """Each function answers as it does without strangers, and the stranger's end is nobody's."""
    stranger, own = Lasting(1), Lasting(1)
    waiting.hide([_key(stranger.pids[0])])

    assert os.waitpid(-1, os.WNOHANG) == (0, 0)
    assert os.wait3(os.WNOHANG)[:2] == (0, 0)
    assert os.wait4(-1, os.WNOHANG)[:2] == (0, 0)
    assert os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is None

    stranger.end()
    own.end()
    assert os.wait() == (own.pids[0], 0)
    assert set(children()) == {pid for pid, _ in waiting.others}


def test_a_stranger_is_known_by_its_start_as_well(waiting: Waiting) -> None:
    """Its number may be that of a child by now; and who asks for it by number gets it."""
    pid = os.posix_spawn("/bin/sh", _ENDED, {})
    waiting.hide([(pid, 1)])
    assert os.waitpid(-1, 0) == (pid, 3 << 8)

    pid = os.posix_spawn("/bin/sh", _ENDED, {})
    waiting.hide([_key(pid)])
    assert os.waitpid(pid, 0) == (pid, 3 << 8)


def test_what_is_asked_beyond_the_end_is_left_to_the_kernel(waiting: Waiting) -> None:
    """Stopped and continued children are asked for by hardly anybody; nothing is hidden there."""
    pid = os.posix_spawn("/bin/sh", _ENDED, {})
    waiting.hide([_key(pid)])
    assert os.waitpid(-1, os.WUNTRACED) == (pid, 3 << 8)
