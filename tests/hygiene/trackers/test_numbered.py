"""Which object owns a descriptor: found once for all, and asked again before it is believed."""

from __future__ import annotations

import io
import os
import select
import selectors
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.trackers import _numbered
from pytest_resource_hygiene.trackers._numbered import NumberedObjects

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the walks over everything."""
    counted: list[int] = []
    look = _numbered._look

    def counting() -> Any:
        counted.append(1)
        return look()

    monkeypatch.setattr(_numbered, "_look", counting)
    return counted


def test_one_walk_answers_for_every_descriptor(tmp_path: Path, walks: list[int]) -> None:
    """Twenty files and a socket are found by one walk; an absent number costs no second one."""
    objects = NumberedObjects(Recorder())
    files = [(tmp_path / str(number)).open("wb", buffering=0) for number in range(20)]
    sock = socket.socket()
    try:
        assert [objects.file(file.fileno()) for file in files] == files
        assert objects.socket(sock.fileno()) is sock
        assert objects.file(sock.fileno()) is None
        assert objects.file(99_999) is None
        assert walks == [1]
    finally:
        sock.close()
        for file in files:
            file.close()


def test_a_number_that_another_object_has_by_now_is_looked_up_again(
    tmp_path: Path, walks: list[int]
) -> None:
    """What was seen is asked for its number, and a new opening makes everything seen stale."""
    recorder = Recorder()
    objects = NumberedObjects(recorder)
    with (tmp_path / "a").open("wb", buffering=0) as first:
        number = first.fileno()
        assert objects.file(number) is first
    assert objects.file(number) is None
    with (tmp_path / "b").open("wb", buffering=0) as second:
        assert second.fileno() == number
        recorder.stir()  # as the audit event does when the recorder runs
        assert objects.file(number) is second
    assert walks == [1, 1]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="an epoll is Linux's")
def test_an_epoll_is_found_by_its_selector_or_by_whoever_refers_to_it() -> None:
    """The collector does not track an epoll, so it is found through what does refer to it."""
    objects = NumberedObjects(Recorder())
    holder = [select.epoll()]
    with closing(selectors.EpollSelector()) as selector, closing(holder[0]):
        assert objects.poller(selector.fileno()) is selector._selector  # type: ignore[attr-defined]
        assert objects.poller(holder[0].fileno()) is holder[0]
    read, write = os.pipe()
    try:
        assert objects.poller(read) is None
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="an epoll is Linux's")
def test_a_number_without_a_poller_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that anything refers to is looked at; until something new was made, or forgotten."""
    recorder = Recorder()
    objects = NumberedObjects(recorder)
    looked: list[int] = []
    everything = _numbered.all_of_type

    def counting(cls: type) -> list[Any]:
        looked.append(1)
        return everything(cls)

    monkeypatch.setattr(_numbered, "all_of_type", counting)
    assert objects.poller(99_999) is None
    assert objects.poller(99_999) is None
    assert looked == [1]

    recorder.stir()
    assert objects.poller(99_999) is None
    objects.forget()
    assert objects.poller(99_999) is None
    assert looked == [1, 1, 1]


def test_what_raises_when_asked_for_its_number_has_none(tmp_path: Path) -> None:
    """Also one with slots of its own; the walk goes on to those that answer."""

    class Odd(io.FileIO):
        __slots__ = ("answer",)
        answer: int

        def fileno(self) -> int:
            return self.answer

    objects = NumberedObjects(Recorder())
    with closing(Odd(tmp_path / "a", "wb")) as odd, (tmp_path / "b").open("wb") as file:
        assert objects.file(file.fileno()) is file.raw
        odd.answer = 77_777
        objects.forget()
        assert objects.file(77_777) is odd
        odd.answer = 88_888
        assert objects.file(77_777) is None, "asked again before it is believed"
