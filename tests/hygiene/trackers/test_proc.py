"""Folders and files of ``/proc`` that are held open: whoever closes or takes their numbers, they go on."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_resource_hygiene.kernel import descriptor_probe
from pytest_resource_hygiene.trackers import _proc, _rss
from pytest_resource_hygiene.trackers._proc import LINKS, SIZE, ProcFolder, start_time
from pytest_resource_hygiene.trackers._rss import ResidentMemory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture
def folder() -> Iterator[ProcFolder]:
    """The folder of this process's threads, of which each is a link, in any kernel."""
    folder = ProcFolder("/proc/self/task", LINKS)
    yield folder
    folder.close()


@pytest.fixture
def size() -> Iterator[ResidentMemory]:
    """The file that says how much memory is in use."""
    size = ResidentMemory()
    yield size
    size.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[int]:
    """A file of somebody else."""
    with (tmp_path / "file").open("wb") as file:
        yield file.fileno()


def test_a_folder_is_measured_and_closed(folder: ProcFolder) -> None:
    """It is never taken for a leak, and after its end nothing is asked any more."""
    number = folder._fd
    probe = folder.probe()

    assert folder.measure() == os.stat("/proc/self/task").st_nlink  # noqa: PTH116
    assert probe is not None
    assert probe() == descriptor_probe(number)()
    assert number in ProcFolder.own_numbers
    folder.close()
    assert number not in ProcFolder.own_numbers
    assert folder.measure() is None
    assert folder.probe() is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_folder_that_is_not_there_is_none() -> None:
    """Another system, or a sandbox."""
    folder = ProcFolder("/proc/self/nothing", LINKS)

    assert folder.measure() is None
    assert folder.probe() is None


def test_a_folder_of_which_the_kernel_tells_nothing_is_none() -> None:
    """A size of 0 is no number: this process has at least one of everything that is counted."""
    folder = ProcFolder("/proc/self/task", SIZE)  # of no kernel, as that of /proc/self/fd of older
    try:
        assert folder.measure() is None
    finally:
        folder.close()


def test_a_folder_that_somebody_closed_is_opened_again(folder: ProcFolder) -> None:
    """As ``os.closerange`` does."""
    before = folder.measure()
    os.close(folder._fd)

    assert folder.measure() == before
    assert folder._fd in ProcFolder.own_numbers


def test_a_number_that_is_a_strangers_by_now_is_left_to_him(
    folder: ProcFolder, stranger: int
) -> None:
    """Neither measured nor closed."""
    before, number = folder.measure(), folder._fd
    os.dup2(stranger, number)
    try:
        assert folder.measure() == before
        assert folder._fd != number
        os.dup2(stranger, folder._fd)
        taken = folder._fd
        folder.close()
        assert os.fstat(taken).st_ino == os.fstat(stranger).st_ino
        os.close(taken)
    finally:
        os.close(number)


def test_a_child_looks_at_itself(folder: ProcFolder) -> None:
    """What it inherited shows its parent: the handler of forks opens it anew."""
    before = folder.measure()
    folder._reopen()

    assert folder.measure() == before
    assert [number for number in (folder._fd,) if number in ProcFolder.own_numbers]


def test_below_a_low_limit_any_number_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual one is high, where no test counts."""
    monkeypatch.setattr(_proc, "FLOOR", 1 << 30)
    folder, size = ProcFolder("/proc/self/task", LINKS), ResidentMemory()
    try:
        assert folder.measure()
        assert size.measure()
        assert 3 <= folder._fd < 1 << 30
    finally:
        folder.close()
        size.close()


def test_the_name_of_a_task_may_hold_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields are counted behind its last parenthesis; the 22nd is the start."""
    fields = " ".join(map(str, range(4, 30)))
    text = f"7 (a) b) 1 2 3) S {fields}".encode()
    monkeypatch.setattr(_proc, "System", SimpleNamespace(read=lambda _path: text))

    assert start_time("/proc/7/stat") == 22


# --- memory ---


def test_the_size_is_that_which_psutil_tells(size: ResidentMemory) -> None:
    """Nearly: asking takes memory itself."""
    told = psutil.Process().memory_info().rss // 1024

    assert size.measure() == pytest.approx(told, rel=0.2)


def test_the_file_of_sizes_is_opened_again_when_it_was_closed(
    size: ResidentMemory, stranger: int
) -> None:
    """Or when its number is a stranger's, who keeps it."""
    assert size.measure()
    os.close(size._fd)
    assert size.measure()
    number = size._fd
    os.dup2(stranger, number)
    try:
        assert size.measure()
        assert size._fd != number
    finally:
        os.close(number)


def test_where_there_is_no_file_of_sizes_psutil_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nobody can tell, the answer is None."""
    monkeypatch.setattr(_rss, "_STATM", "/proc/self/nothing")
    size = ResidentMemory()
    assert size.measure() == pytest.approx(psutil.Process().memory_info().rss // 1024, rel=0.2)

    def refuse() -> Any:
        raise PermissionError

    monkeypatch.setattr(size, "_ask", refuse)
    assert size.measure() is None
    size.close()
