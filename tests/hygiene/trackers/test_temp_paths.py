"""The kind `temp_paths`, driven without an engine."""

from __future__ import annotations

import functools
import mmap
import os
import shutil
import sys
import tempfile
import uuid
import weakref
from contextlib import closing
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers import temp_paths
from pytest_resource_hygiene.trackers.temp_paths import TempPathTracker, make_tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

SHM = Path("/dev/shm")
needs_shm = pytest.mark.skipif(not SHM.is_dir(), reason="no folder of shared memory here")


class Probe:
    """A started tracker, and what it listed first."""

    def __init__(self, tracker: TempPathTracker) -> None:
        self.tracker = tracker
        self.recorder = Recorder()
        tracker.start(self.recorder)
        self.recorder.start()
        self.first = self.list()
        self.reading = tracker.reading()

    def list(self) -> dict[Hashable, Any]:
        return dict(self.tracker.list_resources(Moment()))

    def added(self) -> dict[Hashable, Any]:
        return {key: value for key, value in self.list().items() if key not in self.first}

    def has_new_reading(self) -> bool:
        return bool(self.tracker.reading() != self.reading)


@pytest.fixture
def folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder for temporary files outside of pytest's own, which would not count."""
    tmp_path_factory.getbasetemp()  # made at its first use, where `tempfile` points then
    path = Path(tempfile.gettempdir()) / f"hygiene-{uuid.uuid4().hex}"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def probe(folder: Path) -> Iterator[Probe]:
    probe = Probe(TempPathTracker())
    yield probe
    probe.recorder.stop()
    probe.tracker.stop()


def functions_of(creation: Creation | None) -> list[str]:
    assert creation is not None, "nothing was recorded"
    return [code.co_name for code in creation.stack[::2]]


def make_by_mkstemp() -> str:
    fd, path = tempfile.mkstemp(suffix=".txt")
    os.close(fd)
    return path


def make_kept_file() -> str:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        return file.name


def make_by_name() -> str:
    path = tempfile.mktemp()
    Path(path).touch()
    return path


@pytest.mark.parametrize(
    ("make", "remove", "form"),
    [
        (make_by_mkstemp, os.unlink, "file"),
        (make_kept_file, os.unlink, "file"),
        (make_by_name, os.unlink, "file"),
        (tempfile.mkdtemp, os.rmdir, "folder"),
    ],
)
def test_path_left_behind_is_listed_until_removed(
    probe: Probe, make: Callable[[], str], remove: Callable[[str], None], form: str
) -> None:
    """Every way by which tempfile leaves a path is seen, with its origin."""
    path = make()
    [(key, value)] = probe.added().items()
    text = probe.tracker.describe(key, value)

    assert probe.has_new_reading()
    assert text.summary == f"{form} {path} left on disk"
    assert "*" in text.target
    assert Path(text.target).name.startswith("tmp*")
    assert text.hint
    assert "test_path_left_behind_is_listed_until_removed" in functions_of(
        probe.tracker.creation(key, value)
    )
    assert probe.tracker.anchor(key, value) is None

    remove(path)

    assert not probe.added()
    probe.tracker.forget()
    assert not probe.tracker._made


@pytest.mark.parametrize(
    "make",
    [
        tempfile.NamedTemporaryFile,
        tempfile.TemporaryFile,
        tempfile.TemporaryDirectory,
        functools.partial(tempfile.SpooledTemporaryFile, max_size=1),
    ],
)
def test_paths_that_remove_themselves_are_harmless(probe: Probe, make: Callable[[], Any]) -> None:
    """Used in a `with` block, none of tempfile's objects leaves anything."""
    with make() as made:
        if isinstance(made, tempfile.SpooledTemporaryFile):
            made.write(b"more than fits")

    assert not probe.added()


def test_object_that_owns_the_path_is_found(probe: Probe) -> None:
    """A folder that its object would remove leads to that object."""
    owner = tempfile.TemporaryDirectory()
    try:
        [(key, value)] = probe.added().items()

        assert probe.tracker.anchor(key, value) is owner
    finally:
        owner.cleanup()


def test_object_that_owns_the_path_is_free_to_die(probe: Probe) -> None:
    """We keep no object of tempfile alive."""
    owner = tempfile.TemporaryDirectory()
    listed = probe.added()
    ref = weakref.ref(owner)
    owner.cleanup()

    del owner

    assert ref() is None
    assert listed


def test_relative_and_bytes_names_are_understood(
    probe: Probe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is listed by its absolute name, however it was asked for."""
    monkeypatch.chdir(folder)

    tempfile.mkdtemp(dir="")
    tempfile.mkdtemp(dir=os.fsencode(folder))

    assert {Path(path).parent for path in probe.added().values()} == {folder}


def test_file_in_a_listed_folder_is_part_of_it(probe: Probe) -> None:
    """What lies in a temporary folder that is left is one finding with it."""
    outer = tempfile.mkdtemp()
    tempfile.mkdtemp(dir=outer)

    assert list(probe.added().values()) == [outer]


def test_taken_name_is_somebody_elses(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name is tried where one exists already; that one is not ours."""
    taken = tempfile.mkdtemp()
    probe.tracker.forget()
    probe.tracker._made.clear()
    names = iter([Path(taken).name.removeprefix("tmp"), "free"])
    monkeypatch.setattr(tempfile, "_get_candidate_names", lambda: names)

    made = tempfile.mkdtemp()

    assert list(probe.added().values()) == [made]


def test_path_made_anew_is_another_one(probe: Probe) -> None:
    """The same name with another inode is another resource."""
    path = Path(tempfile.mkdtemp())
    first = probe.added()

    path.rename(path.with_name("away"))
    path.mkdir()

    assert not first.keys() & probe.added().keys()


def test_the_runners_folder_does_not_count(probe: Probe, tmp_path: Path) -> None:
    """The runner prunes its own temporary folder."""
    tempfile.mkdtemp(dir=tmp_path)

    assert not probe.added()


@pytest.mark.parametrize("when", ["at-construction", "later"])
def test_ignored_folder_does_not_count(folder: Path, when: str) -> None:
    """A folder that --basetemp names is pruned by pytest, too; one with a longer name is not."""
    kept, ignored = folder / "base-other", folder / "base"
    kept.mkdir()
    ignored.mkdir()
    tracker = TempPathTracker([str(ignored)] if when == "at-construction" else ())
    probe = Probe(tracker)
    try:
        if when == "later":
            tracker.ignore_below(str(ignored))
        tempfile.mkdtemp(dir=ignored)
        made = tempfile.mkdtemp(dir=kept)

        assert list(probe.added().values()) == [made]
    finally:
        probe.recorder.stop()


@pytest.fixture
def segment_name() -> Iterator[str]:
    name = f"hygiene_{uuid.uuid4().hex}"
    yield name
    (SHM / name).unlink(missing_ok=True)


@needs_shm
class TestSegments:
    def test_segment_not_unlinked_is_listed(self, probe: Probe, segment_name: str) -> None:
        """A closed segment that nobody unlinked is seen with its origin."""
        with closing(SharedMemory(segment_name, create=True, size=16)) as memory:
            pass
        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        assert probe.tracker.describe(key, value).summary == (
            f"shared memory segment /dev/shm/{segment_name} left on disk"
        )
        assert "test_segment_not_unlinked_is_listed" in functions_of(
            probe.tracker.creation(key, value)
        )

        memory.unlink()

        assert not probe.added()

    def test_segment_attached_to_is_not_ours(self, segment_name: str) -> None:
        """Who only opens what another process made does not answer for it."""
        (SHM / segment_name).write_bytes(b"x" * 16)
        probe = Probe(TempPathTracker())
        try:
            memory = SharedMemory(segment_name)
            memory.close()
            # On Python 3.11 and 3.12 even attaching registers a segment for removal at exit.
            if sys.version_info < (3, 13):
                resource_tracker.unregister(memory._name, "shared_memory")  # type: ignore[attr-defined]

            assert not probe.added()
        finally:
            probe.recorder.stop()

    def test_segment_made_by_c_code_is_listed_while_mapped(
        self, probe: Probe, segment_name: str
    ) -> None:
        """A new segment that is mapped into this process is ours, though nobody saw it made."""
        path = SHM / segment_name
        path.write_bytes(b"x" * mmap.PAGESIZE)
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0):
            [(key, value)] = probe.added().items()

            assert value == str(path)
            assert probe.tracker.creation(key, value) is None

    def test_segment_of_another_process_is_not_ours(self, probe: Probe, segment_name: str) -> None:
        """A new file in the folder may be anybody's, such as another xdist worker's."""
        (SHM / segment_name).touch()

        assert not probe.added()


def test_machine_without_segments_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the folder of segments files are still seen, and the blind spot is named."""
    monkeypatch.setattr(temp_paths, "_SHM", str(folder / "missing"))
    probe = Probe(TempPathTracker())
    try:
        tempfile.mkdtemp()

        assert len(probe.added()) == 1
        assert probe.has_new_reading()
        assert "segments are not seen" in (probe.tracker.blind_spot() or "")
    finally:
        probe.recorder.stop()


@needs_shm
def test_linux_sees_everything(probe: Probe) -> None:
    """Where the folder of segments is, there is no blind spot."""
    assert probe.tracker.blind_spot() is None


def test_vanished_path_is_still_described(probe: Probe, folder: Path) -> None:
    """A path that goes while it is being reported is no error."""
    assert probe.tracker.describe("key", str(folder / "gone")).summary.startswith("file ")


def test_specimen_is_seen_and_leaves_nothing(probe: Probe) -> None:
    """The canary's folder is listed while it is there."""
    context = make_tracker().specimen()
    assert context is not None
    with context:
        assert len(probe.added()) == 1

    assert not probe.added()


def test_kind_is_off_unless_asked_for() -> None:
    """Files on disk are a matter of taste: the kind is one flag away."""
    assert TempPathTracker.severity == "off"


@needs_shm
def test_segments_of_others_and_from_before_are_not_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a test maps them into this process: somebody had made them before."""
    monkeypatch.setattr(temp_paths, "_SHM", str(folder))
    before, since = folder / "before", folder / "since"
    before.touch()
    mapped: set[str] = set()
    monkeypatch.setattr(temp_paths, "_mapped", lambda: mapped)
    probe = Probe(TempPathTracker())
    try:
        since.touch()
        mapped |= {str(before), str(since)}
        assert list(probe.added().values()) == [str(since)]
        monkeypatch.setattr(os, "getuid", lambda: since.stat().st_uid + 1)
        assert not probe.added()
    finally:
        probe.recorder.stop()
