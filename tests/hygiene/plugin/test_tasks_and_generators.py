"""Tasks and async generators that are left: each told once, at its test, on any loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_generator_that_is_never_closed_is_its_tests_that_began_it(
    project: Project, scope: str
) -> None:
    """Also on a loop of the session; once, without those within, and not beside a task in it."""
    project.write(
        "test_it.py",
        f"""
        import asyncio, contextlib, pytest
        pytestmark = pytest.mark.asyncio(loop_scope={scope!r})
        KEEP = []
        async def inner():
            while True: yield 1
        async def outer():
            async for each in inner(): yield each
        async def consume():
            async for each in outer(): await asyncio.sleep(60)
        @pytest.fixture(scope="module")
        async def shared(): yield inner()
        async def test_leaks_a_generator():
            KEEP.append(outer()); await anext(KEEP[-1])
        async def test_leaks_a_task():
            KEEP.append(asyncio.create_task(consume())); await asyncio.sleep(0)
        async def test_closes():
            async with contextlib.aclosing(outer()) as each: await anext(each)
            async for each in outer(): break
        def test_closes_a_loop_by_hand():
            loop = asyncio.new_event_loop()
            KEEP.append(inner()); loop.run_until_complete(anext(KEEP[-1])); loop.close()
        """
        + ("    async def test_asks(shared): await anext(shared)\n" * (scope == "session")),
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert {one["nodeid"].partition("::")[2]: one["summary"][:22] for one in run.failing} == {
        "test_leaks_a_generator": "async generator outer ",
        "test_leaks_a_task": "task consume, awaits a",
    }, run.text
    assert len(run.failing) == 2


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_task_that_starts_itself_anew_fails_its_test_alone(project: Project, scope: str) -> None:
    """However quick it is; one that comes to an end is no leak."""
    project.write(
        "test_it.py",
        f"""
        import asyncio, pytest
        pytestmark = pytest.mark.asyncio(loop_scope={scope!r})
        KEEP = set()
        async def ping(pause, times):
            await asyncio.sleep(pause)
            if times:
                KEEP.clear()
                KEEP.add(asyncio.create_task(ping(pause, times - 1)))
        async def test_leaks(): KEEP.add(asyncio.create_task(ping(0.01, -1)))
        async def test_after(): await asyncio.sleep(0)
        async def test_leaks_without_a_pause(): KEEP.add(asyncio.create_task(ping(0, -1)))
        async def test_ends(): KEEP.add(asyncio.create_task(ping(0.01, 3)))
        async def test_last(): await asyncio.sleep(0)
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert [(one["nodeid"].partition("::")[2], one["kind"]) for one in run.failing] == [
        ("test_leaks", "tasks"), ("test_leaks_without_a_pause", "tasks"),
    ], run.text  # fmt: skip


def test_what_a_bare_thread_asks_the_loop_of_a_test_for_is_the_tests(project: Project) -> None:
    """A thread has no context that says whose it is; a fixture's thread asks for the fixture."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, threading
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        KEEP = []
        async def sleeps(): await asyncio.sleep(60)
        async def in_thread(function):
            thread = threading.Thread(target=function); thread.start(); thread.join()
            await asyncio.sleep(0.01)
        @pytest.fixture(scope="module")
        async def beating():
            loop, made = asyncio.get_running_loop(), asyncio.Queue()
            def ask(): made.put_nowait(asyncio.ensure_future(sleeps()))
            begin = threading.Event()
            def wait(): begin.wait(); loop.call_soon_threadsafe(ask)
            thread = threading.Thread(target=wait); thread.start()
            yield begin, made
            thread.join()
            KEEP[-1].cancel()
        async def test_leaks_a_task():
            loop = asyncio.get_running_loop()
            await in_thread(lambda: asyncio.run_coroutine_threadsafe(sleeps(), loop))
        async def test_leaks_a_timer():
            loop = asyncio.get_running_loop()
            await in_thread(lambda: loop.call_soon_threadsafe(loop.call_later, 60, print))
        async def test_uses_a_fixture(beating):
            begin, made = beating
            begin.set()
            KEEP.append(await made.get())
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert [(one["nodeid"].partition("::")[2], one["kind"]) for one in run.failing] == [
        ("test_leaks_a_task", "tasks"), ("test_leaks_a_timer", "timers"),
    ], run.text  # fmt: skip


_WAITING = {
    "wait_for": "await asyncio.wait_for(asyncio.Event().wait(), 60)",
    "timeout": "\n                async with asyncio.timeout(60): await asyncio.Event().wait()",
    "gather": "await asyncio.gather(sleeps(), sleeps())",
    "task_group": "\n                async with asyncio.TaskGroup() as group:\n"
    "                    group.create_task(sleeps())",
    "anyio": "\n                async with anyio.create_task_group() as group:\n"
    "                    group.start_soon(sleeps)",
    "fail_after": "\n                with anyio.fail_after(60): await asyncio.Event().wait()",
}


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("waits", _WAITING.values(), ids=_WAITING)
def test_a_task_is_told_with_what_it_waits_for(project: Project, waits: str, scope: str) -> None:
    """Whoever cancels it ends the tasks within, and the timer that limits it: one finding."""
    project.write(
        "test_it.py",
        f"""
        import anyio, asyncio, pytest
        pytestmark = pytest.mark.asyncio(loop_scope={scope!r})
        KEEP = []
        async def sleeps(): await asyncio.Event().wait()
        async def test_leaks():
            async def waits(): {waits}
            KEEP.append(asyncio.create_task(waits()))
            await asyncio.sleep(0.01)
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    finding = run.one("test_leaks")
    assert (finding["kind"], finding["count"]) == ("tasks", 1), run.text
    assert "test_leaks.<locals>.waits" in finding["summary"]


@pytest.mark.parametrize(
    "goes_on", ["await asyncio.Event().wait()", "await asyncio.wait(KEEP)"], ids=["event", "wait"]
)
def test_a_task_that_would_go_on_is_told_beside_the_one_that_made_it(
    project: Project, goes_on: str
) -> None:
    """Nothing waits for it, or only by ``asyncio.wait``, which ends nothing."""
    project.write(
        "test_it.py",
        f"""
        import asyncio, pytest
        KEEP = []
        async def sleeps(): await asyncio.Event().wait()
        async def begins():
            made = asyncio.create_task(sleeps())
            KEEP.append(made)
            {goes_on}
        @pytest.mark.asyncio
        async def test_leaks():
            asyncio.create_task(begins())
            await asyncio.sleep(0.01)
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    told = sorted(one["summary"].split(",")[0] for one in run.failing)
    assert told == ["task begins", "task sleeps"], run.text


def test_a_handler_is_told_with_the_client_that_keeps_it_waiting(project: Project) -> None:
    """Of a server in a function fixture, whose own end the runner sees to."""
    project.write(
        "test_it.py",
        """
        import asyncio, contextlib, pytest, pytest_asyncio
        KEEP = []
        @pytest_asyncio.fixture
        async def address():
            async def echo(reader, writer):
                with contextlib.closing(writer):
                    while line := await reader.readline(): writer.write(line)
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            yield server.sockets[0].getsockname()
            server.close()  # from Python 3.12 on, to wait for it is to wait for the client
        @pytest.mark.asyncio
        async def test_leaks(address):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"once\\n"); await reader.readline()
            KEEP.append(writer)
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert run.one("test_leaks")["kind"] == "sockets", run.text


def test_a_timer_that_sets_itself_while_we_wait_has_the_line_that_sets_it(project: Project) -> None:
    """Its loop runs on during the grace: the handle that is left then is one of these turns."""
    write_suite(
        project,
        """
        import asyncio
        class Poller:
            def __init__(self):
                self.loop = asyncio.get_running_loop()
                self.again()
            def again(self):
                self.handle = self.loop.call_later(0.01, self.again)  # here
        async def test_it():
            KEEP.append(Poller())
        """,
    )
    finding = project.run("-p", "asyncio", "--asyncio-mode=auto").one()

    assert finding["origin"]["function"] == "again"
    assert finding["origin"]["source"] == "recorded"
    assert finding["details"]["source_line"].endswith("# here")
    assert finding["owner"]["type"] == "test"
