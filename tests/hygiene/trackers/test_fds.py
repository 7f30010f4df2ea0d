"""Descriptors in words, and which record of an opening is theirs."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.trackers import fds
from pytest_resource_hygiene.trackers.fds import FdTracker
from pytest_resource_hygiene.trackers.sockets import SocketTracker

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_resource_hygiene.recorder import Recorder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are POSIX's")


@pytest.mark.parametrize(
    ("recorded", "target", "same"),
    [
        ("/a/x", "/a/x", True),
        (b"/a/x", "/a/x", True),
        ("/a/x", "/a/x (deleted)", True),
        ("x", "/anywhere/x", True),  # the folder may have been another then
        ("/a/x", "/b/x", False),
        ("/a/x", "/a/y", False),
        ("/a/db", "/a/db-journal", True),
        ("/a/db", "/a/dbx", False),
        ("", f"{os.getcwd()}-x", False),  # noqa: PTH109
        (":memory:", f"{os.path.abspath(':memory:')}-journal", False),  # noqa: PTH100
        (7, "/a/x", False),
    ],
)
def test_an_opening_is_of_the_file_that_it_names(recorded: object, target: str, same: bool) -> None:
    assert fds._same_path(recorded, target) is same


def test_an_opening_through_a_linked_folder_is_of_the_file_behind_it(tmp_path: Path) -> None:
    """The kernel names a file by its real path."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    target = os.path.realpath(tmp_path / "real" / "x")

    assert fds._same_path(str(tmp_path / "link" / "x"), target)


@pytest.mark.parametrize(
    ("target", "form"),
    [
        ("anon_inode:[eventpoll]", "eventpoll"),
        ("/memfd:x (deleted)", "memfd"),
        ("/dev/pts/3", "terminal"),
    ],
)
def test_the_form_is_what_the_kernel_calls_it(target: str, form: str) -> None:
    """And what it is on disk, if that is no name of the kernel's."""
    assert fds._form(-1, target) == form
    assert fds._form(-1, "/gone") == "descriptor"


def test_only_a_regular_file_may_take_the_seat_of_another() -> None:
    """Pipes and the like are never the same again."""
    tracker = FdTracker()

    assert tracker.seat((3, 1, 2, stat.S_IFREG, "")) == (1, 2, stat.S_IFREG)
    assert tracker.seat((3, 1, 2, stat.S_IFIFO, "")) is None


def test_of_a_socket_that_nobody_saw_being_made_nothing_is_said(recorder: Recorder) -> None:
    tracker = SocketTracker()
    tracker.start(recorder)

    assert tracker.creation((99, 123_456), 99) is None
