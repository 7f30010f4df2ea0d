"""The table of descriptors, told of events directly: what runs within a hook no tracer sees."""

from __future__ import annotations

import _socket
import importlib
import os
import select
import socket
import stat
import sys
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers import _descriptors, _opened_files
from pytest_resource_hygiene.trackers._descriptors import Descriptors
from pytest_resource_hygiene.trackers._numbered import NumberedObjects
from pytest_resource_hygiene.trackers.sockets import SocketTracker, _duplicate_of, _facts_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_resource_hygiene.recorder import Recorder

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture
def table(recorder: Recorder) -> Descriptors:
    """The table of that recorder."""
    made: Descriptors = recorder.service(Descriptors)
    return made


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """An open file's number."""
    with (tmp_path / "file").open("wb") as file:
        yield file.fileno()


# --- events ---


@linux_only
def test_a_mapping_is_an_opening_of_what_it_maps(
    recorder: Recorder, table: Descriptors, fd: int, tmp_path: Path
) -> None:
    """It keeps a duplicate of the descriptor; one of memory alone keeps none."""
    before = table.reading()[0]
    recorder.events["mmap.__new__"]((fd, 10, 0, 0))
    recorder.events["mmap.__new__"]((-1, 10, 0, 0))

    assert [record[4] for record in table.files.records] == [str(tmp_path / "file")]
    assert table.reading()[0] == before + 1


def test_a_socket_is_known_by_its_number_until_it_is_detached(
    recorder: Recorder, table: Descriptors
) -> None:
    """Then its record is one of those to which any descriptor may belong."""
    with closing(socket.socket()) as sock:
        recorder.events["socket.__new__"]((sock, 2, 1, 0))
        record, loose = table.socket_of(sock.fileno())

        assert record[4]() is sock
        assert loose == []
        assert len(table.reading()[2]) == 1
        number = sock.detach()
    os.close(number)
    table.scan(Moment())
    table.forget()
    recorder.events["socket.__new__"]((sock, 2, 1, 0))

    assert table.socket_of(number)[0] is None
    assert len(table.socket_of(number)[1]) == 1
    assert table.reading()[2] == []


def test_a_socket_made_since_the_last_listing_is_not_forgotten(
    recorder: Recorder, table: Descriptors
) -> None:
    """Another thread's may come between listing and forgetting; the next listing will have it."""
    with closing(socket.socket()) as early, closing(socket.socket()) as late:
        recorder.events["socket.__new__"]((early, 2, 1, 0))
        table.scan(Moment())
        recorder.events["socket.__new__"]((late, 2, 1, 0))
        table.forget()
        assert [record[4]() for record in table.sockets] == [late]

        table.forget()
        assert not table.sockets


def test_what_has_no_weak_references_or_no_number_is_recorded_all_the_same(
    recorder: Recorder, table: Descriptors
) -> None:
    """A bare ``_socket.socket`` counts as an event; a subclass may raise where it likes."""

    class Odd(socket.socket):
        def fileno(self) -> int:
            raise RuntimeError("no")

    before = table.reading()[0]
    with closing(_socket.socket()) as bare, closing(Odd()) as odd:
        recorder.events["socket.__new__"]((bare, 2, 1, 0))
        recorder.events["socket.__new__"]((odd, 2, 1, 0))
        record, loose = table.socket_of(bare.fileno())

        assert record is None
        assert len(loose) == 2
        assert table.reading()[0] == before + 1


def test_what_no_event_tells_of_is_known_by_number_and_inode(table: Descriptors, fd: int) -> None:
    """``os.dup`` and ``os.dup2``; the standard streams are the capture's, dozens of times a test."""
    copy = os.dup(fd)
    try:
        inode = os.fstat(fd).st_ino
        assert table.made_as(copy, inode) is not None
        assert table.made_as(copy, inode + 1) is None, "another thing has the number by now"
        assert table.made_as(fd, inode) is None, "opened by an event"

        table.forget()
        os.dup2(fd, copy)
        os.dup2(1, 1)
        assert table.made_as(copy, inode) is not None
        assert set(table.made) == {copy}
    finally:
        os.close(copy)


def test_one_that_is_closed_at_once_by_another_thread_is_left_out(
    recorder: Recorder, table: Descriptors, fd: int
) -> None:
    """Of a pair, the other end is kept."""
    gone = os.dup(fd)
    os.close(gone)
    table.forget()
    table._note_made((gone, fd), recorder.creation(None))

    assert set(table.made) == {fd}


# --- openings ---


def _open(recorder: Recorder, table: Descriptors, *paths: Any) -> None:
    for path in paths:
        table.files.records.append(recorder.site(path, 0))


def _same(recorded: Any, target: str) -> bool:
    return bool(recorded == target)


def test_the_latest_of_one_place_is_certain(recorder: Recorder, table: Descriptors) -> None:
    """What is no path fits nothing and harms nothing."""
    _open(recorder, table, "/a/one", object(), "/a/two", "/a/two")
    found = table.files.opening_of_name("/a/two", _same)

    assert found is not None
    assert found.what == "/a/two"
    assert found.certain
    assert table.files.opening_of_name("/a/three", _same) is None
    _open(recorder, table, "/a/three")
    assert table.files.opening_of_name("/a/three", _same) is not None, "new records are looked at"


def test_two_places_make_it_uncertain(recorder: Recorder, table: Descriptors) -> None:
    """Unless all but one are the test runner's, which closes what it opens."""
    _open(recorder, table, "/a/one")
    table.files.records.append(recorder.site("/a/one", 0))
    theirs = table.files.records[-1][0]
    uncertain = table.files.opening_of_name("/a/one", _same)
    assert uncertain is not None
    assert not uncertain.certain

    table.files._drop_index()
    recorder.is_foreign = lambda creation: creation is not None and creation.stack == theirs
    ours = table.files.opening_of_name("/a/one", _same)
    assert ours is not None
    assert ours.certain
    assert ours.stack != theirs


def test_deleted_files_and_journals_are_found_by_the_name_they_had(
    recorder: Recorder, table: Descriptors
) -> None:
    """The kernel marks what is deleted; SQLite keeps its journal beside the file it was given."""
    _open(recorder, table, b"/a/base.db")

    def anything(_recorded: Any, _target: str) -> bool:
        return True

    for target in ("/a/base.db", "/a/base.db (deleted)", "/a/base.db-journal"):
        assert table.files.opening_of_name(target, anything) is not None, target
    assert table.files.opening_of_name("/a/other.db-journal", anything) is None


# --- listings ---


_LISTINGS = [
    pytest.param("/proc/self/fd", "/dev/fd", id="proc"),
    pytest.param("/nowhere", "/dev/fd", id="dev"),
    pytest.param("/nowhere", "/nowhere", id="neither"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="no folder of descriptors there")
@pytest.mark.parametrize(("proc", "dev"), _LISTINGS)
def test_every_listing_finds_the_same(
    monkeypatch: pytest.MonkeyPatch, fd: int, proc: str, dev: str
) -> None:
    """In C or in Python, from whichever folder there is, or by trying the numbers."""
    usual = _descriptors._open_now()
    monkeypatch.setattr(_descriptors, "speedups", None)
    monkeypatch.setattr(_descriptors, "_PROC", proc)
    monkeypatch.setattr(_descriptors, "_DEV", dev)
    found = _descriptors._open_now()

    status = os.fstat(fd)
    assert (fd, status.st_dev, status.st_ino, stat.S_IFREG, "") in found
    assert found == [
        one for one in usual if one[0] < 2048 or proc != "/nowhere" or dev != "/nowhere"
    ]


def test_a_folder_that_does_not_tell_its_size_is_listed(
    monkeypatch: pytest.MonkeyPatch, table: Descriptors, fd: int
) -> None:
    """As with a kernel before 6.2: one more is one more."""
    monkeypatch.setattr(table._directory, "measure", lambda: None)
    before = table.reading()[1]
    copy = os.dup(fd)
    after = table.reading()[1]
    os.close(copy)

    assert after == before + 1
    assert table.reading()[1] == before


def test_a_closed_number_points_to_nothing(fd: int) -> None:
    """It may be closed between the listing and the look."""
    copy = os.dup(fd)
    os.close(copy)

    assert _descriptors.target_of(copy) == ""


# --- imports ---


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="an epoll is Linux's")
def test_the_epoll_of_a_copy_of_select_is_found_by_its_number(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As eventlet imports it once more for its hubs: that makes another class of the same name."""
    monkeypatch.delitem(sys.modules, "select")
    copy = importlib.import_module("select")
    if copy.epoll is select.epoll:
        pytest.skip("this interpreter makes no second one")
    with closing(copy.epoll()) as poller:
        assert NumberedObjects(recorder).poller(poller.fileno()) is poller


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="an epoll is Linux's")
def test_what_an_import_opens_unseen_is_made_by_its_body(table: Descriptors) -> None:
    """With the owner and the window of the moment at which the import began."""
    before = table._before_import()
    with closing(select.epoll()) as poller:
        table._after_import(before, ("code", 0), "owner", "window")
        creation = table.made_as(poller.fileno(), os.fstat(poller.fileno()).st_ino)

        assert creation is not None
        assert (creation.stack, creation.owner, creation.window) == (("code", 0), "owner", "window")


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="an epoll is Linux's")
def test_what_had_the_number_before_is_no_maker_of_what_an_import_opens(table: Descriptors) -> None:
    """All epolls have one inode, so that a record of one that is closed fits the next."""
    for body in ("first", "second"):
        before = table._before_import()
        with closing(select.epoll()) as poller:
            table._after_import(before, (body, 0), None, None)
            creation = table.made_as(poller.fileno(), os.fstat(poller.fileno()).st_ino)

        assert creation is not None
        assert creation.stack == (body, 0)


@linux_only
def test_nothing_is_listed_for_an_import_that_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, table: Descriptors
) -> None:
    """The count tells; and what was listed for the last import serves for the next."""
    if table._directory.measure() is None:
        pytest.skip("this kernel does not tell how many are open")
    listed: list[int] = []
    scan = table._scan
    monkeypatch.setattr(table, "_scan", lambda: (listed.append(1), scan())[1])
    before = table._before_import()
    table._after_import(before, (), None, None)
    table._after_import(table._before_import(), (), None, None)

    assert listed == [1]
    assert table.made == {}


def test_what_uvloop_keeps_for_the_process_is_made_before_a_test_has_to(
    monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    """Its first loop makes a pipe that stays; it is nobody's leak."""
    kept: list[int] = []

    def new_event_loop() -> Any:
        kept.extend(os.pipe())
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=new_event_loop))  # type: ignore[arg-type]
    table = recorder.service(Descriptors)
    try:
        assert sorted(key[0] for key in table.made_by_imports) == sorted(kept)
        assert len(kept) == 2
    finally:
        for number in kept:
            os.close(number)


def test_an_open_socket_is_never_called_closed() -> None:
    """Linux calls the state in which a socket begins CLOSE; whoever is to close it is told better."""
    tracker = SocketTracker()
    with socket.socket() as fresh, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        words = [tracker.describe(None, sock.fileno()).summary for sock in (fresh, bound)]
        fd, port = fresh.fileno(), bound.getsockname()[1]

    assert words[0] == f"socket fd {fd} AF_INET SOCK_STREAM, not connected"
    assert words[1].endswith(f" 127.0.0.1:{port}, not connected")


def test_what_another_thread_opens_meanwhile_makes_no_fault_of_ours(
    recorder: Recorder, table: Descriptors, monkeypatch: pytest.MonkeyPatch, fd: int
) -> None:
    """A server's thread goes on while the main thread looks for where a descriptor was opened."""

    def target_of(number: int) -> str:
        _open(recorder, table, "/a/other")  # as the thread would, just now
        return "/a/one"

    monkeypatch.setattr(_opened_files, "target_of", target_of)
    _open(recorder, table, "/a/one")
    found = table.files.opening(fd, (1, 2, 3), _same, lambda _: None)
    assert found is not None
    assert found.what == "/a/one"


def test_a_socket_whose_making_was_seen_is_not_looked_for_among_all_objects(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To go through a million objects takes a twentieth of a second, for each leak."""
    tracker = SocketTracker()
    tracker.start(recorder)
    recorder.start()
    with socket.socket() as sock:
        (key,) = (
            key
            for key, number in tracker.list_resources(Moment()).items()
            if number == sock.fileno()
        )
        assert tracker.creation(key, sock.fileno()) is not None
        monkeypatch.setattr(NumberedObjects, "socket", lambda _self, _fd: "looked for")
        assert tracker.anchor(key, sock.fileno()) is sock
    assert tracker.anchor(key, 1_000_000) == "looked for"


def test_what_has_the_number_of_a_socket_by_now_is_left_alone() -> None:
    """A thread has closed the socket, and another opened a file: the duplicate must go again."""
    read, write = os.pipe()
    free = os.dup(read)  # the next number, as long as nothing else takes it
    os.close(free)
    try:
        with pytest.raises(OSError, match="ocket"), _duplicate_of(read):
            pass
        assert _facts_or_none(read) is None
        with pytest.raises(OSError, match="escriptor"):
            os.fstat(free)
    finally:
        os.close(read)
        os.close(write)
