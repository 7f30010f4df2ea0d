"""The engine for scripts and servers: ``no_leaks``, ``snapshot``, ``leaks_since``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene import (
    LeaksFoundError,
    SettingsError,
    leaks_since,
    no_leaks,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def test_a_clean_block_passes() -> None:
    """What is closed inside the block is no leak."""
    with no_leaks() as checked:
        socket.socket().close()

    assert checked.leaks == ()


def test_a_leak_raises_with_its_words_and_records() -> None:
    """The error says what, where it was made and how to close it, and carries the leaks."""
    kept = []
    with pytest.raises(LeaksFoundError, match=r"socket fd .* AF_INET") as caught:  # noqa: SIM117
        with no_leaks(grace=0.05):
            kept.append(socket.socket())
    kept.pop().close()

    (leak,) = caught.value.leaks
    assert leak.kind == "sockets"
    assert leak.origin is not None
    assert leak.origin.function == "test_a_leak_raises_with_its_words_and_records"
    assert "close() the socket" in str(caught.value)


def _leave_and_fail(kept: list[socket.socket]) -> None:
    kept.append(socket.socket())
    _ = 1 / 0


def test_the_exception_of_the_block_comes_first() -> None:
    """A block that fails by itself keeps its own exception, leak or not."""
    kept: list[socket.socket] = []
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with no_leaks(grace=0.0):
            _leave_and_fail(kept)
    kept.pop().close()


def test_warn_and_return() -> None:
    """``warn`` issues a ResourceWarning, ``return`` only fills ``leaks``."""
    kept = []
    with pytest.warns(ResourceWarning, match="pipe fd"):  # noqa: SIM117
        with no_leaks(["fds"], "warn", grace=0.0):
            kept += os.pipe()
    with no_leaks(["fds"], "return", grace=0.0) as checked:
        kept += os.pipe()
    for fd in kept:
        os.close(fd)

    assert [leak.kind for leak in checked.leaks] == ["fds"]
    assert checked.leaks[0].count == 2


async def _in_a_block(kept: list[int]) -> None:
    async with no_leaks(["fds"], "warn", grace=0.0):
        kept += os.pipe()


@no_leaks(["fds"], "warn", grace=0.0)
def _in_a_call(kept: list[int]) -> None:
    kept += os.pipe()


@no_leaks(["fds"], "warn", grace=0.0)
async def _in_an_async_call(kept: list[int]) -> None:
    kept += os.pipe()


async def _awaits(kept: list[int]) -> None:
    await _in_an_async_call(kept)


@pytest.mark.parametrize(
    "leave",
    [
        _in_a_call,
        lambda kept: asyncio.run(_in_a_block(kept)),
        lambda kept: asyncio.run(_awaits(kept)),
    ],
    ids=["call", "async block", "async call"],
)
def test_a_warning_names_the_users_line(leave: Callable[[list[int]], None]) -> None:
    """So that a filter for his own module holds for it, and he sees which line it is."""
    kept: list[int] = []
    with pytest.warns(ResourceWarning) as caught:
        leave(kept)
    for fd in kept:
        os.close(fd)

    assert [warning.filename for warning in caught] == [__file__]


def test_only_the_kinds_asked_for_are_watched() -> None:
    """A kind that was not named is not reported."""
    kept = []
    with no_leaks(kinds=["threads"], grace=0.0):
        kept.append(socket.socket())
    kept.pop().close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param({"kinds": ["thread"]}, "unknown kind 'thread'", id="kind"),
        pytest.param({"kinds": "thread"}, "unknown kind 'thread'", id="kind-without-a-list"),
        pytest.param({"kinds": []}, "no kinds to watch", id="no-kind"),
        pytest.param({"kinds": ["memory"]}, "by repetition only", id="memory"),
        pytest.param({"kinds": print}, r"write @no_leaks\(\)", id="without-parentheses"),
        pytest.param({"action": "shout"}, "raise, warn, return", id="action"),
        pytest.param({"grace": -1}, "seconds from 0", id="grace"),
        pytest.param({"grace": "long"}, "seconds from 0", id="grace-in-words"),
    ],
)
def test_mistakes_are_told_at_once(arguments: dict[str, object], words: str) -> None:
    """An argument that cannot be used is refused before the block begins."""
    with pytest.raises(SettingsError, match=words):
        no_leaks(**arguments)  # type: ignore[arg-type]


def _generate() -> Iterator[int]:
    yield 1


async def _generate_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("target", "words"),
    [
        pytest.param(_generate, "generator function", id="generator"),
        pytest.param(_generate_async, "generator function", id="async-generator"),
        pytest.param(int, "not a function", id="class"),
        pytest.param(staticmethod(print), "not a function", id="above-staticmethod"),
    ],
)
def test_what_would_pass_unchecked_is_refused(target: Any, words: str) -> None:
    """A decorator that can never find anything must not look as if it did."""
    decorate = no_leaks()
    with pytest.raises(SettingsError, match=words):
        decorate(target)


class _Service:
    """Is called like a function, and is a coroutine function all the same."""

    def __init__(self) -> None:
        self.kept: list[socket.socket] = []

    async def __call__(self) -> None:
        self.kept.append(socket.socket())


def test_an_object_with_an_async_call_is_awaited_within_the_check() -> None:
    """Its body runs when it is awaited, so that is what is checked."""
    service = _Service()
    with pytest.raises(LeaksFoundError, match="socket fd"):
        asyncio.run(no_leaks(grace=0.05)(service)())
    service.kept.pop().close()


def test_one_object_checks_a_block_within_its_own_block() -> None:
    """The inner block does not take the outer one's beginning away."""
    kept: list[socket.socket] = []
    check = no_leaks(grace=0.0)
    with pytest.raises(LeaksFoundError) as caught:  # noqa: PT012, SIM117 - a block in a block
        with check:
            kept.append(socket.socket())
            with check:
                pass
    kept.pop().close()
    assert [leak.kind for leak in caught.value.leaks] == ["sockets"]


def test_each_call_of_a_decorated_function_is_checked() -> None:
    """The decorator checks every call anew and passes arguments and result on."""
    kept = []

    @no_leaks(grace=0.0)
    def work(leak: bool) -> str:
        if leak:
            kept.append(socket.socket())
        return "done"

    assert work(False) == "done"
    with pytest.raises(LeaksFoundError):
        work(True)
    kept.pop().close()
    assert work(False) == "done"


def test_tasks_of_the_running_loop_get_their_time() -> None:
    """In ``async`` use a task that ends within the grace period is no leak, one that stays is."""
    kept = []

    @no_leaks(grace=0.3)
    async def ends() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(0.01)))

    @no_leaks(grace=0.05)
    async def stays() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(60)))

    asyncio.run(ends())
    with pytest.raises(LeaksFoundError, match=r"awaits asyncio\.sleep") as caught:
        asyncio.run(stays())
    (leak,) = caught.value.leaks
    assert leak.waited_seconds >= 0.05


async def _arm() -> None:
    asyncio.get_running_loop().call_later(3600, print)


async def _handle_a_signal() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)


async def _count() -> AsyncIterator[int]:
    while True:
        yield 1


@pytest.mark.parametrize("kind", ["timers", "signals", "tasks"])
def test_what_is_left_on_a_loop_that_was_there_before_is_found(kind: str) -> None:
    """A timer, a signal handler, a generator; what was there before is taken as given."""
    kept: list[Any] = []

    async def begin() -> None:
        kept.append(_count())
        await anext(kept[-1])

    leave: Callable[[], Any] = {"timers": _arm, "signals": _handle_a_signal, "tasks": begin}[kind]

    async def main() -> tuple[list[str], list[str]]:
        asyncio.get_running_loop().call_later(3600, print)
        await begin()
        async with no_leaks(action="return", grace=0.05) as clean:
            await asyncio.sleep(0)
        async with no_leaks(action="return", grace=0.05) as checked:
            await leave()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
        return [leak.kind for leak in clean.leaks], [leak.kind for leak in checked.leaks]

    clean, found = asyncio.run(main())
    assert (clean, found) == ([], [kind])


@pytest.mark.parametrize("kinds", [None, ["threads"]])
def test_the_workers_that_the_running_loop_keeps_are_its_own(kinds: list[str] | None) -> None:
    """`asyncio.to_thread` begins one that whoever runs the loop will end; a thread is another's."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)

    async def main() -> tuple[list[str], list[str]]:
        async with no_leaks(kinds, action="return", grace=0.05) as clean:
            await asyncio.to_thread(int)
        async with no_leaks(kinds, action="return", grace=0.05) as checked:
            await asyncio.to_thread(thread.start)
        return [leak.kind for leak in clean.leaks], [leak.kind for leak in checked.leaks]

    clean, found = asyncio.run(main())
    done.set()
    thread.join()
    assert (clean, found) == ([], ["threads"])


def test_what_keepers_keep_is_no_leak() -> None:
    """A pool that lives on has begun a worker; one that is made within is told."""
    with ThreadPoolExecutor(1) as pool:
        with no_leaks(keepers=lambda: [pool]):
            pool.submit(int).result()
        with no_leaks(action="return", grace=0.0, keepers=lambda: [pool]) as checked:
            other = ThreadPoolExecutor(1)
            other.submit(int).result()
        other.shutdown()
    assert [leak.kind for leak in checked.leaks] == ["threads"]


def test_a_check_leaves_nothing_in_the_context() -> None:
    """Which lives as long as its thread, and would keep a variable and an owner for each check."""

    async def main() -> tuple[int, int]:
        before = len(copy_context())
        async with no_leaks(kinds=["threads"], grace=0):
            pass
        return before, len(copy_context())

    before = len(copy_context())
    for _ in range(2):
        with no_leaks(kinds=["threads"], grace=0):
            pass
    assert len(copy_context()) == before
    assert len(set(asyncio.run(main()))) == 1


def test_a_check_may_end_in_another_context_than_it_began_in() -> None:
    """As a fixture's may that is torn down by another task."""
    before = snapshot(["threads"])
    copy_context().run(before.close)
    assert before.failures == ()


def test_a_snapshot_compares_two_moments() -> None:
    """What appeared since, and is still there, is returned once; the snapshot also lists itself."""
    done = threading.Event()
    with snapshot(["threads", "signals"]) as before:
        thread = threading.Thread(target=done.wait, name="worker")
        thread.start()
        first = leaks_since(before, grace=0.0)
        second = leaks_since(before, grace=0.0)
        held = before.to_dict()
        done.set()
        thread.join()

    assert [leak.summary for leak in first] == ["thread 'worker' running threading.Event.wait"]
    assert second == ()
    assert any("worker" in row["summary"] for row in held["threads"])


def test_a_check_within_a_check_leaves_the_outer_one_hearing() -> None:
    """Recorders live side by side: the outer one still knows where things are made afterwards."""
    kept = []
    with no_leaks(["sockets"], "return", grace=0.0) as outer:
        with no_leaks(["sockets"], "return", grace=0.0) as inner:
            kept.append(socket.socket())
        kept.append(socket.socket())
    for sock in kept:
        sock.close()

    assert [leak.count for leak in inner.leaks] == [1]
    assert len(outer.leaks) == 2
    assert all(leak.origin and leak.origin.source == "recorded" for leak in outer.leaks)


def test_closing_a_snapshot_takes_every_wrap_back() -> None:
    """After the watch the wrapped functions are the originals again, also when it is closed twice."""
    originals = signal.signal, os.pipe, asyncio.BaseEventLoop.close
    watch = snapshot()
    during = signal.signal, os.pipe, asyncio.BaseEventLoop.close
    watch.close()
    watch.close()

    assert all(one is not other for one, other in zip(originals, during, strict=True))
    assert (signal.signal, os.pipe, asyncio.BaseEventLoop.close) == originals


def _set_a_variable() -> None:
    os.environ["RESOURCE_HYGIENE_TEST"] = "left"


def _drop_a_file() -> None:
    Path(__file__).open(encoding="utf-8")  # noqa: SIM115 - dropping it is the point


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("kind", "leave"),
    [
        ("environment", _set_a_variable),
        ("temp_paths", tempfile.mkstemp),
        ("unclosed", _drop_a_file),
    ],
)
def test_a_kind_that_is_named_is_watched_though_it_is_off_or_a_note(
    kind: str,
    leave: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A check that finds nothing by its default severity would have become a no-op."""
    monkeypatch.delenv("RESOURCE_HYGIENE_TEST", raising=False)
    made: list[object] = []
    with no_leaks(kinds=[kind], action="return", grace=0.0) as check:
        made.append(leave())
    monkeypatch.delenv("RESOURCE_HYGIENE_TEST", raising=False)
    for one in made:
        if isinstance(one, tuple):
            os.close(one[0])
            Path(one[1]).unlink()

    assert [leak.kind for leak in check.leaks] == [kind]


def test_a_block_that_fails_keeps_its_failure_and_what_it_has_left_is_added() -> None:
    """Neither hides the other."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)

    @no_leaks(kinds=["threads"], grace=0.0)
    def fail() -> None:
        thread.start()
        raise ValueError("own")

    with pytest.raises(ValueError, match="own") as caught:
        fail()
    done.set()
    thread.join()

    assert "left behind as well" in caught.value.__notes__[0]
    assert "threads: thread" in caught.value.__notes__[0]
