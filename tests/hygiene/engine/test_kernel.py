"""What is asked once a test changes when it has to, in C and in Python; and what C makes and stands for."""

from __future__ import annotations

import _signal
import functools
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.twins import in_python

from pytest_resource_hygiene import kernel
from pytest_resource_hygiene.compiled import speedups

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="in C for Linux only")
compiled_only = pytest.mark.skipif(speedups is None, reason="the parts in C are not compiled here")


@pytest.fixture(params=["python", "as-installed"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the two versions, or twice the same where there is no other."""
    return in_python(kernel, monkeypatch) if request.param == "python" else kernel


def _signals(twin: ModuleType, put_back: Callable[[int], object] = print) -> Callable[[], object]:
    ident = threading.main_thread().ident
    probe: Callable[[], object] = twin.signals_probe(
        _signal.getsignal, (signal.SIGUSR1, signal.SIGUSR2), signal.set_wakeup_fd, put_back, ident
    )
    return probe


def test_the_mask_of_this_thread_is_seen(twin: ModuleType) -> None:
    probe = _signals(twin)
    before = probe()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        assert probe() != before
        assert probe() == probe()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)

    assert probe() == before


def test_handlers_are_seen_and_never_compared(twin: ModuleType) -> None:
    class Refusing:
        """Answers no comparison."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        def __call__(self, *_: object) -> None:
            """Be a handler."""

    probe = _signals(twin)
    before, handler = probe(), Refusing()
    former = _signal.signal(signal.SIGUSR2, handler)  # the public one compares
    try:
        assert probe() == probe() != before
    finally:
        _signal.signal(signal.SIGUSR2, former)

    assert probe() == before


def test_the_wakeup_descriptor_is_seen_and_put_back(twin: ModuleType) -> None:
    """In the main thread: no other may ask for it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    put_back: list[int] = []

    def put(fd: int) -> None:
        put_back.append(fd)
        signal.set_wakeup_fd(fd)

    probe, there = _signals(twin, put), []
    before = probe()
    try:
        signal.set_wakeup_fd(writing)
        assert probe() != before
        assert put_back == [writing]
        thread = threading.Thread(target=lambda: there.append(probe()))
        thread.start()
        thread.join()
        assert put_back == [writing]
        assert len(there) == 1
    finally:
        assert signal.set_wakeup_fd(-1) == writing
        os.close(reading)
        os.close(writing)
    assert probe() == before


def test_an_armed_timer_is_seen_and_is_one_answer_while_it_runs(twin: ModuleType) -> None:
    probe, other = twin.clock_probe(signal.ITIMER_VIRTUAL), twin.clock_probe(signal.ITIMER_REAL)
    before, of_other = probe(), other()
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    try:
        assert probe() == probe() != before
        assert other() == of_other
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert probe() == before


def test_a_descriptor_is_asked_for_its_state(twin: ModuleType, tmp_path: Path) -> None:
    with (tmp_path / "one").open("wb", buffering=0) as file:
        probe = twin.descriptor_probe(file.fileno())
        before = probe()
        assert probe() == before
        file.write(b"x")
        assert probe() != before
    with pytest.raises(OSError, match="Bad file descriptor"):
        probe()


def test_the_state_of_a_descriptor_is_what_it_points_to(twin: ModuleType, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with one.open("wb", buffering=0) as file, other.open("wb") as stranger:
        before = twin.state_of(file.fileno())
        assert before == (one.stat().st_ino, 0, 1)
        assert twin.state_of(file.fileno()) == before
        assert twin.state_of(stranger.fileno()) != before, "another file of the same size"
        file.write(b"x")
        other.unlink()
        assert twin.state_of(file.fileno()) == (before[0], 1, 1)
        assert twin.state_of(stranger.fileno())[2] == 0
        number = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        twin.state_of(number)


@compiled_only
@pytest.mark.parametrize("name", ["state_of", "clock_probe", "descriptor_probe"])
def test_what_is_no_number_is_told(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(speedups, name)("one")


@compiled_only
def test_a_timer_that_does_not_exist_is_told() -> None:
    assert speedups is not None
    with pytest.raises(OSError, match="Invalid argument"):
        speedups.clock_probe(99)()


@compiled_only
def test_a_zombie_is_a_child_that_ends_at_once() -> None:
    assert speedups is not None
    pid = speedups.make_zombie()
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        assert ended.si_pid == pid
    finally:
        assert os.waitpid(pid, 0) == (pid, 0)


# --- os.dup2 ---


def _dup2(note: Callable[[int], None]) -> Any:
    assert speedups is not None
    return functools.wraps(os.dup2)(speedups.Dup2(os.dup2, note))


@compiled_only
def test_dup2_tells_of_all_but_the_standard_streams() -> None:
    """By position or by name, inheritable or not, as the original has it."""
    noted: list[int] = []
    dup2 = _dup2(noted.append)
    reading, writing = os.pipe()
    free = os.dup(writing)
    try:
        assert dup2(1, 1) == 1
        assert noted == []
        assert dup2(reading, free) == free
        assert noted == [free]
        assert dup2(fd=writing, fd2=free, inheritable=False) == free
        assert noted == [free, free]
        assert not os.get_inheritable(free)
    finally:
        for number in (reading, writing, free):
            os.close(number)


@compiled_only
def test_dup2_fails_as_the_original_does() -> None:
    noted: list[int] = []
    dup2 = _dup2(noted.append)
    with pytest.raises(OSError, match="Bad file descriptor"):
        dup2(-1, 900)
    with pytest.raises(TypeError, match="fd2"):
        dup2(1)
    assert noted == []


@compiled_only
def test_dup2_looks_like_the_original() -> None:
    dup2 = _dup2(print)
    assert dup2.__name__ == "dup2"
    assert dup2.__doc__ == os.dup2.__doc__
    assert dup2.__wrapped__ is os.dup2


@compiled_only
def test_what_the_note_raises_is_raised() -> None:
    """As from any wrapper; what the original has done stays done."""

    def note(fd: int) -> None:
        raise ValueError(str(fd))

    reading, writing = os.pipe()
    try:
        with pytest.raises(ValueError, match=str(writing)):
            _dup2(note)(reading, writing)
        assert os.fstat(reading).st_ino == os.fstat(writing).st_ino
    finally:
        os.close(reading)
        os.close(writing)
