"""The kind `processes`, driven without an engine and told of forks directly."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers import _children, _process_words, _subreaper, processes
from pytest_resource_hygiene.trackers._children import start_of
from pytest_resource_hygiene.trackers._process_words import command_of, describe_child
from pytest_resource_hygiene.trackers._subreaper import set_subreaper
from pytest_resource_hygiene.trackers.processes import Child, ProcessTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.recorder import Creation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and orphans are Linux's")

_CAT = ["/bin/cat"]


@pytest.fixture
def tracker() -> Iterator[ProcessTracker]:
    """A started one; its recorder is not, so that the test tells of the events."""
    tracker = ProcessTracker()
    recorder = Recorder()
    recorder.start_tracker(tracker)
    yield tracker
    recorder.stop()


def _tell(tracker: ProcessTracker, event: str) -> None:
    assert tracker._recorder is not None
    tracker._recorder.events[event](())


@contextmanager
def _unseen_child(*command: str) -> Iterator[int]:
    """Start a child past the tracker, as a bare fork does; end it, whoever waits for it."""
    reading, writing = os.pipe()
    spawn: Any = getattr(os.posix_spawn, "__wrapped__", os.posix_spawn)
    pid: int = spawn(
        (command or _CAT)[0],
        list(command or _CAT),
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_CLOSE, writing)],
    )
    os.close(reading)
    try:
        yield pid
    finally:
        os.close(writing)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            assert command, "only one that ends by itself is ever reaped"


def _wait_for_command(pid: int) -> None:
    while not command_of(pid):  # a moment after exec the kernel has none yet
        os.sched_yield()


def _wait_for_zombie(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _listed(tracker: ProcessTracker) -> dict[int, Any]:
    return {child.pid: (key, child) for key, child in tracker.list_resources(Moment()).items()}


def _names(creation: Creation | None) -> list[str]:
    assert creation is not None
    return [code.co_name for code in creation.stack[::2]]


# --- forks ---


def test_the_child_of_a_fork_is_found_by_comparing(tracker: ProcessTracker) -> None:
    """No event tells its number; who forked it is who made it."""
    tracker.list_resources(Moment())
    before: Any = tracker.reading()
    _tell(tracker, "os.fork")
    with _unseen_child() as pid:
        tracker.after_fork()
        key, child = _listed(tracker)[pid]
        creation = tracker.creation(key, child)
        after: Any = tracker.reading()

    assert (child.pid, child.orphan) == (pid, False)
    assert "test_the_child_of_a_fork_is_found_by_comparing" in _names(creation)
    assert after[0] > before[0]
    tracker.after_fork()  # a fork that made no event is nobody's


def test_the_child_of_a_fork_is_known_though_its_own_child_has_come_to_us_with_it(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child may have forked and ended before its parent runs again: then there are two."""
    tracker.list_resources(Moment())
    _tell(tracker, "os.fork")
    us, (reading, writing) = os.getpid(), os.pipe()
    before = {*_children.children()}

    def once_the_orphan_is_here() -> list[int]:
        caller = sys._getframe(1)  # the tracker of the plugin that watches us may ask as well
        if caller.f_code.co_name == "after_fork" and caller.f_locals["self"] is tracker:
            os.read(reading, 1)
        return _children.children_of_thread()

    monkeypatch.setattr(processes, "children_of_thread", once_the_orphan_is_here)
    pid = os.fork()
    if not pid:
        monkeypatch.undo()
        if not os.fork():
            while os.getppid() != us:
                os.sched_yield()
            os.write(writing, b"!")
        os._exit(0)
    (orphan,) = {*_children.children()} - before - {pid}
    for one in (pid, orphan):
        _wait_for_zombie(one)
    listed = _listed(tracker)
    os.close(reading)
    os.close(writing)
    os.waitpid(pid, 0)

    assert not listed[pid][1].orphan
    assert orphan not in listed, "it was reaped, as process 1 would have done"


@pytest.mark.parametrize("places", [1, 2])
def test_of_two_that_come_at_once_either_may_be_the_child(
    tracker: ProcessTracker, places: int
) -> None:
    """Both count as our own; whose they are is certain if there was one place only."""
    tracker.list_resources(Moment())
    for _ in range(2 if places == 1 else 1):
        _tell(tracker, "os.fork")
    if places == 2:
        _tell(tracker, "os.fork")
    with _unseen_child() as one, _unseen_child() as other:
        tracker.after_fork()
        listed = _listed(tracker)
        creations = [tracker.creation(*listed[pid]) for pid in (one, other)]

    assert not listed[one][1].orphan
    assert not listed[other][1].orphan
    assert creations[0] is not None
    assert creations[0] == creations[1]
    assert creations[0].certain == (places == 1)


def test_forgetting_drops_what_was_recorded(
    monkeypatch: pytest.MonkeyPatch, tracker: ProcessTracker
) -> None:
    """And without any child nothing is asked any more, until one is started."""
    with subprocess.Popen(_CAT, stdin=subprocess.PIPE) as child:
        key, value = _listed(tracker)[child.pid]
        assert "test_forgetting_drops_what_was_recorded" in _names(tracker.creation(key, value))
        tracker.forget()
        assert tracker.creation(key, value) is None
        assert tracker.probes()
    monkeypatch.setattr(processes, "any_child", lambda: None)
    tracker.forget()
    assert tracker.probes() == ()

    _tell(tracker, "os.system")
    assert tracker.probes()


def test_of_thousands_of_starts_the_latest_are_kept(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot in a server may not be looked at for months."""
    monkeypatch.setattr(processes, "_MAX_STARTS", 50)
    creation = Recorder().creation(None)
    for pid in (1, *range(2, 50), 1, *range(50, 99)):
        tracker._note_pid(pid, creation)

    assert len(tracker._made) == 50
    assert {1, 98} <= tracker._made.keys()


def test_a_child_that_the_kernel_leaves_out_of_its_list_is_not_lost(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is not reliable while children end; one left out came back as somebody's orphan."""
    whole = processes.children
    with subprocess.Popen(_CAT, stdin=subprocess.PIPE) as child:
        before = _listed(tracker)[child.pid][0]
        tracker.forget()
        monkeypatch.setattr(processes, "children", list)
        assert _listed(tracker)[child.pid][0] == before
        monkeypatch.setattr(processes, "children", whole)
        assert _listed(tracker)[child.pid][0] == before
        assert not _listed(tracker)[child.pid][1].orphan
    assert child.pid not in _listed(tracker)


def test_a_process_that_was_ours_and_is_anothers_by_now_is_not_listed(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked of what the kernel left out whether this is still its parent."""
    stranger = os.getppid()
    tracker._listed = {(stranger, start_of(stranger))}
    monkeypatch.setattr(processes, "children", list)

    assert stranger not in _listed(tracker)


def test_children_from_before_are_ours_and_are_forgotten_with_their_end(
    tracker: ProcessTracker,
) -> None:
    """What is there at the first look was handed to us by nobody that we know of."""
    with _unseen_child() as pid:
        assert not _listed(tracker)[pid][1].orphan
        assert pid in {own for own, _ in tracker._own}
    _listed(tracker)
    assert pid not in {own for own, _ in tracker._own}


# --- orphans ---


def test_only_who_adopts_orphans_hides_them(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody made this process a subreaper before, he waits for them himself."""
    hidden: list[Any] = []
    monkeypatch.setattr(tracker._waits, "hide", hidden.extend)
    tracker.list_resources(Moment())
    with _unseen_child() as pid:
        for was_subreaper, seen in ((1, []), (0, [pid])):
            monkeypatch.setattr(tracker, "_was_subreaper", was_subreaper)
            tracker.list_resources(Moment())
            assert [number for number, _ in hidden] == seen


def test_the_end_puts_back_whether_orphans_come_here() -> None:
    former = set_subreaper(0)
    assert former is not None
    try:
        recorder = Recorder()
        recorder.start_tracker(ProcessTracker())
        assert set_subreaper(1) == 1
        recorder.stop()
        assert set_subreaper(0) == 0
    finally:
        set_subreaper(former)


@pytest.mark.parametrize("was_subreaper", [0, 1])
def test_an_orphan_that_has_ended_is_reaped_for_nobody_else(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch, was_subreaper: int
) -> None:
    """Where somebody made this process a subreaper before, they are his; none is listed."""
    tracker.list_resources(Moment())
    monkeypatch.setattr(tracker, "_was_subreaper", was_subreaper)
    with _unseen_child("/bin/sh", "-c", "exit 0") as pid:
        _wait_for_zombie(pid)
        assert pid not in _listed(tracker)
        assert (pid in _children.children()) == bool(was_subreaper)


def test_a_running_orphan_is_listed_as_one(tracker: ProcessTracker) -> None:
    """Who made it is not known, and the hint is for a whole group."""
    tracker.list_resources(Moment())
    with _unseen_child() as pid:
        _wait_for_command(pid)
        key, child = _listed(tracker)[pid]
        said = tracker.describe(key, child)

        assert child.orphan
        assert tracker.creation(key, child) is None
        _tell(tracker, "os.fork")
        assert tracker.creation(key, child) is None, "it was here before that fork"
        assert said.summary == f"running child process {pid}: /bin/cat, orphaned by its parent"
        assert "killpg" in str(said.hint)


# --- words ---


def test_a_child_is_described_running_ended_and_gone(tracker: ProcessTracker) -> None:
    """By its command line, as long as the kernel has it; a long one is cut."""
    child = subprocess.Popen(["/bin/sh", "-c", "read x; exit 0 # " + "x" * 200], stdin=-1)
    with child:
        value = Child(child.pid, orphan=False)
        _wait_for_command(child.pid)
        running = tracker.describe(0, value)
        assert tracker.anchor(0, value) is child
        assert tracker.anchor(0, Child(-5, orphan=False)) is None
        assert child.stdin is not None
        child.stdin.close()
        _wait_for_zombie(child.pid)
        zombie = tracker.describe(0, value)
    gone = tracker.describe(0, value)

    assert running.summary.startswith(f"running child process {child.pid}: /bin/sh -c read x;")
    assert running.summary.endswith("xxx...")
    assert running.target == "sh"
    assert zombie.summary.startswith(f"zombie child process {child.pid}: sh has ended, and nobody")
    assert zombie.hint == "wait() for it"
    assert gone.details["command"] == []


def test_a_finding_about_a_child_does_not_tell_its_password(tracker: ProcessTracker) -> None:
    """Neither in words nor in the details of the document."""
    line = [sys.executable, "-c", "input()", "--password", "hunter2", "ftp://me:hunter3@host"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        _wait_for_command(child.pid)
        text = tracker.describe(0, Child(child.pid, orphan=False))

    assert "--password (hidden)" in text.summary
    assert "hunter" not in repr(text)


def test_the_specimen_is_a_child(tracker: ProcessTracker) -> None:
    """What proves that the kind sees, and ends."""
    specimen = tracker.specimen()
    assert specimen is not None
    with specimen as pid:
        assert pid in _listed(tracker)
    assert pid not in _listed(tracker)


# --- platforms ---


def _refuse(*_args: object) -> Any:
    raise PermissionError


def test_without_proc_the_children_are_asked_of_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may hide it; a fork's child is then found by nobody, and nothing is raised."""
    with _unseen_child() as pid:
        usual = set(_children.children())
        assert pid in usual
        for module in (_children, _process_words):
            monkeypatch.setattr(module, "System", SimpleNamespace(listdir=_refuse, read=_refuse))
        assert set(_children.children()) == usual
        assert _children.children_of_thread() == []
        assert not _children.is_zombie(pid)
        assert command_of(pid) == []


def test_elsewhere_a_child_is_put_in_words_by_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no /proc on macOS and Windows; one that is gone has no command line there either."""
    for module in (_children, _process_words):
        monkeypatch.setattr(module, "System", SimpleNamespace(listdir=_refuse, read=_refuse))
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin", modules={}))
    with _unseen_child() as pid:
        while not (running := describe_child(Child(pid, orphan=False))).details["command"]:
            os.sched_yield()
    with _unseen_child("/bin/sh", "-c", "exit 0") as ended:
        _wait_for_zombie(ended)
        zombie = describe_child(Child(ended, orphan=False))
    gone = describe_child(Child(pid, orphan=False))

    assert running.summary == f"running child process {pid}: /bin/cat"
    assert zombie.summary.startswith(f"zombie child process {ended}: it has ended, and nobody")
    assert gone.details["command"] == []


def test_orphans_are_adopted_without_the_part_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """The former setting is told, so that it can be put back."""
    former = set_subreaper(1)
    try:
        monkeypatch.setattr(_subreaper, "speedups", None)
        assert set_subreaper(0) == 1
        assert set_subreaper(1) == 0
    finally:
        assert former is not None
        set_subreaper(former)


@pytest.mark.parametrize(
    "library", [_refuse, lambda *_args, **_more: SimpleNamespace(prctl=lambda *_: -1)]
)
def test_where_orphans_cannot_be_adopted_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    """A sandbox refuses the call, or the library."""
    monkeypatch.setattr(_subreaper, "speedups", None)
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **_more: library(*args))

    assert set_subreaper(1) is None


def test_elsewhere_orphans_are_a_blind_spot(
    tracker: ProcessTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go to process 1, and the summary says so."""
    assert tracker.blind_spot() is None
    for module in (processes, _subreaper):
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin"))

    assert "orphaned" in str(tracker.blind_spot())
    assert set_subreaper(1) is None
