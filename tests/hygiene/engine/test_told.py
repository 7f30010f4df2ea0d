"""Which later warnings a reported leak covers, and that it covers one only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.engine.inventory.told import Told
from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.tracker import Captured, IdentityKey
from pytest_resource_hygiene.trackers import fds, loops, processes, sockets, threads

_RECORDER = Recorder()


class Loop:
    """Stands for one: only its weak reference matters."""


def _warning(text: str, creation: Any = None) -> Captured:
    return Captured(key=text, value=ResourceWarning(text), creation=creation)


@pytest.mark.parametrize("module", [fds, sockets])
def test_a_file_or_socket_is_known_by_its_opening(module: Any) -> None:
    """Another opening of the same path is another leak, and an unknown one is nobody's."""
    told = Told()
    creation, other = _RECORDER.creation("a"), _RECORDER.creation("a")
    told.add([Entry(module.make_tracker(), (3,), 3, creation=creation)])
    told.add([Entry(module.make_tracker(), (4,), 4)])

    assert not told.covers(_warning("unclosed", other))
    assert not told.covers(_warning("unclosed"))
    assert told.covers(_warning("unclosed", creation))
    assert not told.covers(_warning("unclosed", creation)), "each covers one"


def test_other_kinds_cover_no_warning_of_the_same_making() -> None:
    """A thread that was made where a file was opened says nothing of the file."""
    told = Told()
    creation = _RECORDER.creation("a")
    told.add([Entry(threads.make_tracker(), 1, 1, creation=creation)])

    assert not told.covers(_warning("unclosed file", creation))


def test_a_loop_is_known_by_its_end() -> None:
    """Its warning does not say which it is; while it lives, the warning is another's."""
    told = Told()
    loop, gone = Loop(), Loop()
    told.add([Entry(loops.make_tracker(), IdentityKey(loop), loop)])
    text = "unclosed event loop <loop>"
    assert not told.covers(_warning(text))

    told.add([Entry(loops.make_tracker(), IdentityKey(gone), gone)])
    del gone
    assert not told.covers(_warning("unclosed file"))
    assert told.covers(_warning(text))
    assert not told.covers(_warning(text))


def test_what_has_gone_before_it_was_reported_covers_nothing() -> None:
    """Its warning has come already."""
    told = Told()
    loop = Loop()
    entry = Entry(loops.make_tracker(), IdentityKey(loop), loop)
    del loop
    told.add([entry])

    assert not told.covers(_warning("unclosed event loop"))


def test_a_child_is_known_by_its_process_id() -> None:
    """Which its warning names."""
    told = Told()
    told.add([Entry(processes.make_tracker(), 7, SimpleNamespace(pid=7))])
    told.add([Entry(processes.make_tracker(), 8, "no pid")])

    assert not told.covers(_warning("subprocess 8 is still running"))
    assert not told.covers(_warning("unclosed file 7"))
    assert told.covers(_warning("subprocess 7 is still running"))
    assert told.covers(_warning("unclosed transport <_UnixSubprocessTransport pid=7 running>"))
    assert not told.covers(_warning("unclosed transport <_UnixSubprocessTransport pid=8 running>"))
