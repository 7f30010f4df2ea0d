"""What belongs together is one finding, and what does not is never lost in another's."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.inventory.caught import told_once
from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.engine.inventory.ledger import Ledger
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.engine.origins.stacks import StackReader
from pytest_resource_hygiene.engine.suspects.groups import Group, Grouper, gather_loose
from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.tracker import Description, Tracker

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


class Kind(Tracker):
    """A kind of that name; what it has in words is the same for all."""

    def __init__(self, kind: str, *, slots: bool = False) -> None:
        """Know no object behind any resource."""
        vars(self).update(kind=kind, slots=slots)
        self.objects: dict[Hashable, Any] = {}

    def list_resources(self, moment: object) -> Mapping[Hashable, Any]:
        return {}

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        return Description(f"{self.kind} {key}", "the same target")

    def anchor(self, key: Hashable, value: Any) -> Any:
        return self.objects.get(key)


def _group(*entries: Entry) -> list[Group]:
    ledger = Ledger({entry.tracker: None for entry in entries}, Recorder())
    return Grouper(ledger, StackReader(Places())).group(entries)


def _keys(groups: list[Group]) -> list[list[Hashable]]:
    return [[entry.key for entry in group.entries] for group in groups]


def _made_by_a_library() -> Creation:
    """Return a record of something that code of an installed package made for a line of this file."""
    code = compile("def make(record): return record(None, 1)", "/venv/site-packages/lib.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)  # there is no other way to be in another file
    made: Creation = names["make"](Recorder().creation)
    return made


# --- one call, one thing ---


def test_two_signals_that_one_line_sets_are_two() -> None:
    signals = Kind("signals", slots=True)

    assert _keys(_group(Entry(signals, 10, "handler"), Entry(signals, 12, "handler"))) == [
        [10],
        [12],
    ]


def test_of_what_a_loop_sets_for_one_signal_its_own_handler_names_the_rest() -> None:
    signals = Kind("signals", slots=True)
    slot, own = Entry(signals, 15, "noop"), Entry(signals, ("loop", 1, 15), "handler")

    assert _keys(_group(slot, own)) == [[own.key, slot.key]]


def test_a_connection_names_what_was_made_with_it_and_not_its_timer() -> None:
    """To close the connection ends its idle timer; nobody has the timer to cancel it."""
    loop = asyncio.new_event_loop()
    made = _made_by_a_library()
    timers, sockets = Kind("timers"), Kind("sockets")
    vars(timers).update(rank=30)
    vars(sockets).update(rank=20)
    timer = Entry(timers, 1, loop.call_later(1, print), creation=made)
    timer.value.cancel()
    loop.close()

    assert _keys(_group(timer, Entry(sockets, 5, 5, creation=made))) == [[5, 1]]


def test_what_ones_own_hand_has_made_of_two_kinds_is_two() -> None:
    """``[make() for make in (os.pipe, _socket.socket)]``: one place, and nothing that joins them."""
    files, sockets = Kind("fds"), Kind("sockets")
    mine, theirs = Recorder().creation(None, 1), _made_by_a_library()

    assert len(_group(Entry(files, 1, 4, creation=mine), Entry(files, 2, 5, creation=mine))) == 1
    assert len(_group(Entry(files, 1, 4, creation=mine), Entry(sockets, 2, 5, creation=mine))) == 2
    one_call = _group(Entry(files, 1, 4, creation=theirs), Entry(sockets, 2, 5, creation=theirs))
    assert len(one_call) == 1


def test_what_the_collector_freed_is_no_part_of_what_one_call_has_left() -> None:
    """The one is a note and the other a failure, whichever names the finding."""
    files = Kind("fds")
    how = _made_by_a_library()
    freed, left = Entry(files, "freed", 4, creation=how), Entry(files, "left", 5, creation=how)
    freed.by_collector = True

    assert sorted(_keys(_group(freed, left))) == [["freed"], ["left"]]


def test_what_nobody_saw_being_made_goes_to_the_object_that_holds_it() -> None:
    """A selector's descriptor belongs to the selector, and to nothing that has no line itself."""
    files, loops = Kind("fds"), Kind("loops")
    loop = Entry(loops, "loop", "a handle", creation=_made_by_a_library())
    loops.objects["loop"] = SimpleNamespace(_epoll_fd=7)
    files.objects["itself"] = SimpleNamespace(_fd=8)

    groups = _group(loop, Entry(files, "its epoll", 7), Entry(Kind("sockets"), "other", 9))
    assert _keys(groups) == [["loop", "its epoll"], ["other"]]
    assert _keys(_group(Entry(files, "itself", 8))) == [["itself"]], "it does not swallow itself"


# --- what C code made in one window ---


def _loose(kind: str) -> Group:
    return Group([Entry(Kind(kind), kind, None)])


def test_descriptors_alone_are_not_taken_for_one_engine() -> None:
    groups = [_loose("fds"), _loose("sockets")]

    assert gather_loose(list(groups)) == groups


def test_descriptors_and_native_threads_are_one_engine() -> None:
    (engine,) = gather_loose([_loose("fds"), _loose("native_threads"), _loose("sockets")])

    assert sorted(entry.tracker.kind for entry in engine.entries) == [
        "fds",
        "native_threads",
        "sockets",
    ]


@pytest.mark.parametrize("kept", [False, True])
def test_an_engine_is_part_of_the_python_thread_that_came_with_it(kept: bool) -> None:
    """Unless a library keeps it, whose note it then is."""
    how = _made_by_a_library()
    thread = Group([Entry(Kind("threads"), "worker", None, creation=how)])
    note = Group([Entry(Kind("loops"), "kept", None, creation=how)], severity="note")
    note.holder = SimpleNamespace() if kept else None  # type: ignore[assignment]
    groups = gather_loose([thread, note, _loose("fds"), _loose("native_threads")])

    assert groups == [thread, note]
    home = note if kept else thread
    assert [entry.tracker.kind for entry in home.entries[1:]] == ["fds", "native_threads"]


@pytest.mark.parametrize("in_c", [False, True])
def test_a_loop_written_in_c_has_what_c_code_made_beside_it(in_c: bool) -> None:
    """One of asyncio's makes all in Python, so that nothing of it is unseen."""
    with contextlib.closing(asyncio.new_event_loop()) as made:
        kept = object() if in_c else made
        loop = Group([Entry(Kind("loops"), kept, kept, creation=_made_by_a_library())])
        groups = gather_loose([loop, _loose("fds")])

    assert groups[0] is loop
    assert [len(group.entries) for group in groups] == ([2] if in_c else [1, 1])


# --- told once ---


def test_what_was_caught_and_then_freed_by_the_collector_is_told_as_caught() -> None:
    handles = Kind("handles")
    caught, freed = Entry(handles, "one", None), Entry(handles, "one", None)
    other = Entry(handles, "other", None)

    assert told_once([caught], [], [freed, other]) == ([caught], [other])


def test_the_warning_about_what_the_collector_freed_is_not_told_beside_it() -> None:
    """Of the same line, that is; a warning about another is news."""
    how, elsewhere = _made_by_a_library(), Recorder().creation(None, 1)
    unclosed = Kind("unclosed")
    freed = Entry(Kind("fds"), "file", 4, creation=how)
    warning = Entry(unclosed, "its warning", None, creation=how)
    other = Entry(unclosed, "another", None, creation=elsewhere)

    assert told_once([warning, other], [], [freed]) == ([other], [freed])
