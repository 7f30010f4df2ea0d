"""What a finding says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hygiene.plugin.suites import write_suite

from pytest_resource_hygiene.pytest_plugin.viewpoint import Viewpoint

if TYPE_CHECKING:
    from support.inner import Project

_END_CHILDREN = """
    import os, signal, sys
    def pytest_unconfigure():
        for one in sys.modules["test_it"].KEEP:
            if getattr(one, "returncode", 0) is None:
                os.kill(one.pid, signal.SIGKILL)
    """


def test_a_finding_says_all_that_a_stranger_needs(project: Project) -> None:
    """What, where with its source line, by whom, who holds it, how long waited, and how to close."""
    write_suite(
        project,
        """
        class Pool: pass
        POOL = Pool()
        def test_it():
            POOL.server = socket.create_server(("127.0.0.1", 0))  # here
        """,
    )
    run = project.run()
    finding = run.one()
    line = project.line("test_it.py", "# here")

    assert "listening" in finding["summary"]
    assert "127.0.0.1" in finding["summary"]
    assert finding["held_by"][0] == "module test_it"
    assert any("POOL" in step for step in finding["held_by"])
    assert finding["waited_seconds"] == 0.1
    assert "test_it" in [frame["function"] for frame in finding["stack"]]
    for words in (
        f"test_it.py:{line} in test_it",
        'POOL.server = socket.create_server(("127.0.0.1", 0))  # here',
        "test test_it.py::test_it",
        "module test_it ->",
        finding["hint"],
    ):
        assert words in run.out


def test_the_origin_is_the_innermost_frame_of_the_user(project: Project) -> None:
    """A thread that the standard library starts is charged to the line that called into it."""
    write_suite(
        project,
        """
        import http.server
        def helper():
            KEEP.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), None))  # here
        def test_it(): helper()
        """,
    )
    finding = project.run().one()

    assert finding["origin"]["function"] == "helper"
    assert finding["origin"]["line"] == project.line("test_it.py", "# here")


def test_a_leaked_thread_shows_where_it_is_now(project: Project) -> None:
    """The present stack of a leaked thread is part of the finding."""
    write_suite(
        project,
        """
        def busy(event): event.wait()
        def test_it():
            threading.Thread(target=busy, args=[threading.Event()], daemon=True).start()
        """,
    )
    finding = project.run().one()

    assert any(line.endswith("in busy") for line in finding["details"]["present_stack"])


def test_closing_what_others_opened_is_a_note(project: Project) -> None:
    """A test that closes a descriptor of a wider fixture is told so, and does not fail."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def file(): return open(__file__)
        def test_closes(file): file.close()
        def test_last(file): pass
        """,
    )
    run = project.run()
    run.assert_clean()

    (note,) = run.notes

    assert note["change"] == "removed"
    assert note["nodeid"] == "test_it.py::test_closes"


def test_a_task_on_a_closed_loop_is_said_to_be_on_one(project: Project) -> None:
    """A pending task whose loop was closed by hand is found, and not called running."""
    write_suite(
        project,
        """
        async def forever(): await asyncio.sleep(1000)
        def test_it():
            loop = asyncio.new_event_loop()
            KEEP.append(loop.create_task(forever()))
            loop.run_until_complete(asyncio.sleep(0)); loop.close()
        """,
    )
    finding = project.run("-W", "ignore").one()

    assert finding["kind"] == "tasks"


@pytest.mark.parametrize(
    ("folder", "text", "shown"),
    [
        ("/app", "file fd 5 /app/data/x.log", "file fd 5 data/x.log"),
        ("/app", "file fd 5 /srv/app/x.log", "file fd 5 /srv/app/x.log"),
        (
            "/app",
            "running child process 7: sh -c '/app/run'",
            "running child process 7: sh -c 'run'",
        ),
        ("/", "running child process 7: psql postgres://db/x", ""),
    ],
)
def test_a_summary_is_shortened_by_the_folder_we_are_in_and_by_nothing_else(
    folder: str, text: str, shown: str
) -> None:
    """Neither where its name ends another path, nor in the root of a container."""
    config: Any = SimpleNamespace(
        rootpath=Path(folder), invocation_params=SimpleNamespace(dir=Path(folder))
    )

    assert Viewpoint(config)._shortened(text) == (shown or text)


def test_the_way_to_a_distant_holder_is_found_and_shown_in_short(project: Project) -> None:
    """A pooled connection is a dozen references away from the module that keeps its session."""
    write_suite(
        project,
        """
        def test_it():
            kept = open(__file__)
            for number in range(7):
                kept, outer = {"in": kept}, type(f"Layer{number}", (), {})()
                outer.inner, kept = kept, outer
            KEEP.append(kept)
        """,
    )
    run = project.run()

    path = run.one()["held_by"]
    assert path[:2] == ["module test_it", "test_it.KEEP"]
    assert path[-1] == "FileIO"
    assert len(path) > 8
    assert "held by  module test_it -> test_it.KEEP -> " in run.text
    assert " -> ... -> " in run.text


def test_what_the_standard_library_made_for_an_object_is_ended_by_that_object(
    project: Project,
) -> None:
    """A pool's pipes are not closed with ``os.close()``; what a user opens is."""
    project.write("conftest.py", _END_CHILDREN)
    write_suite(
        project,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        FORK = multiprocessing.get_context("fork")
        def keep(thing): KEEP.append(thing); return thing
        def test_executor(): keep(ProcessPoolExecutor(1, mp_context=FORK))
        def test_queue(): keep(FORK.Queue())
        def test_process(): keep(FORK.Process(target=time.sleep, args=(60,), daemon=True)).start()
        def test_handler(tmp_path): keep(logging.FileHandler(tmp_path / "log"))
        def test_child(): keep(subprocess.Popen(["sleep", "60"]))
        def test_file(): keep(open(__file__))
        """,
    )
    run = project.run()

    hints = {one["nodeid"].partition("::")[2]: one["hint"] for one in run.failing}
    assert "executor.shutdown()" in hints["test_executor"]
    assert "queue.join_thread()" in hints["test_queue"]
    assert "join() the process" in hints["test_process"]
    assert "close() the handler" in hints["test_handler"]
    assert "wait() for it" in hints["test_child"]
    assert hints["test_file"] == "close it, or open it in a `with` block"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
def test_a_fork_is_told_by_what_it_is_and_not_by_the_command_line_of_pytest(
    project: Project,
) -> None:
    """That is its parent's, and the same for each of them."""
    project.write(
        "conftest.py",
        """
        import os, signal, sys
        def pytest_unconfigure():
            for one in sys.modules["test_it"].KEEP:
                os.kill(getattr(one, "pid", one), signal.SIGKILL)
        """,
    )
    write_suite(
        project,
        """
        import multiprocessing
        context = multiprocessing.get_context("fork")
        class Worker(context.Process):
            def run(self): time.sleep(60)
        def keep(thing): KEEP.append(thing); return thing
        def test_fork():
            pid = os.fork()
            if not pid:
                time.sleep(60)
            keep(pid)
        def test_target(): keep(context.Process(target=time.sleep, args=(60,), name="mine")).start()
        def test_class(): keep(Worker(name="yours", daemon=True)).start()
        """,
    )
    found = {one["nodeid"].partition("::")[2]: one for one in project.run().failing}

    words = {
        name: one["summary"].partition(str(one["details"]["pid"]))[2] for name, one in found.items()
    }
    assert words == {
        "test_fork": ": a fork of this process",
        "test_target": " 'mine': a fork of this process",
        "test_class": " 'yours' running test_it.Worker.run: a fork of this process",
    }
    assert "os.waitpid()" in found["test_fork"]["hint"]
    assert found["test_target"]["held_by"] == [
        "module test_it",
        "test_it.KEEP",
        "list",
        "ForkProcess",
    ]
    assert found["test_class"]["held_by"][-1] == "Worker"
    assert "pytest" in " ".join(found["test_fork"]["details"]["command"])


def test_the_hint_is_for_what_the_user_has_in_his_hands(project: Project) -> None:
    """A descriptor has no `with`, a stream of asyncio no socket to close, a listener no Event."""
    project.write("conftest.py", _END_CHILDREN)
    write_suite(
        project,
        """
        import asyncio, queue, select, sqlite3
        import logging.handlers
        def keep(thing): KEEP.append(thing); return thing
        def test_device(): keep(open(os.devnull, "w"))
        def test_number(): keep(os.open(os.devnull, os.O_RDONLY))
        def test_database(tmp_path):
            with sqlite3.connect(tmp_path / "it") as connection:
                connection.execute("create table numbers (number)")
            keep(connection)
        class Poller:
            def __init__(self): self.epoll = select.epoll()
        def test_epoll(): keep(Poller())
        def test_half(): os.close(keep(os.pipe())[0])
        def test_listener(): keep(logging.handlers.QueueListener(queue.Queue())).start()
        def test_stdin(): keep(subprocess.Popen(["cat"], stdin=subprocess.PIPE)).kill(); KEEP[-1].wait()
        async def streams():
            server = keep(await asyncio.start_server(print, "127.0.0.1", 0))
            address = server.sockets[0].getsockname()
            keep(await asyncio.open_connection(*address))
        async def child(): keep(await asyncio.create_subprocess_exec("sleep", "60"))
        LOOP = asyncio.new_event_loop()
        def test_streams(): LOOP.run_until_complete(streams())
        def test_child(): LOOP.run_until_complete(child())
        """,
    )
    hints: dict[str, set[str]] = {}
    for one in project.run().failing:
        hints.setdefault(one["nodeid"].partition("::")[2], set()).add(one["hint"])

    assert hints["test_device"] == {"close it, or open it in a `with` block"}
    assert "os.close()" in " ".join(hints["test_number"])
    assert "connection.close()" in " ".join(hints["test_database"])
    assert "close() the epoll" in " ".join(hints["test_epoll"])
    assert "each end that is open" in hints["test_half"].pop()
    assert hints["test_listener"] == {"call listener.stop()"}
    assert "process.stdin.close()" in hints["test_stdin"].pop()
    assert "await process.wait()" in " ".join(hints["test_child"])
    streams = " ".join(hints["test_streams"])
    assert "`await server.wait_closed()`" in streams
    assert "`await writer.wait_closed()`" in streams


def test_what_an_exception_keeps_is_held_by_who_has_the_exception(project: Project) -> None:
    """The function whose local it is has ended: it runs no longer."""
    write_suite(
        project,
        """
        def read(path):
            file = open(path)
            return int(file.read())
        def test_it(tmp_path):
            tmp_path.joinpath("it").write_text("no number")
            try:
                read(tmp_path / "it")
            except ValueError as error:
                KEEP.append(error)
        """,
    )
    held_by = project.run().one()["held_by"]

    assert held_by[:4] == ["module test_it", "test_it.KEEP", "list", "ValueError"]
    assert "read()" in held_by


def test_a_task_is_held_by_the_users_object_and_not_by_the_runner_that_cancels_it(
    project: Project,
) -> None:
    """`asyncio.runners._cancel_all_tasks` lists all of them."""
    write_suite(
        project,
        """
        import asyncio
        class Cleaner:
            def __init__(self): self.task = asyncio.create_task(asyncio.sleep(60))
        async def test_it(): KEEP.append(Cleaner())
        """,
    )
    held_by = project.run("-p", "asyncio", "--asyncio-mode=auto").one()["held_by"]

    assert held_by[:3] == ["module test_it", "test_it.KEEP", "list"]


def test_a_stack_ends_with_the_function_of_the_test(project: Project) -> None:
    """Who runs the loop is left out; of a task that a library has begun, its beginning follows."""
    project.write(
        "lib/site-packages/client.py",
        """
        import asyncio
        async def connect(address): return await asyncio.open_connection(*address)
        async def get(address): return await asyncio.create_task(connect(address))
        """,
    )
    write_suite(
        project,
        """
        import client
        def helper(): KEEP.append(socket.socket())
        async def test_helper(): helper()
        @pytest.fixture(scope="module")
        def address():
            with socket.create_server(("127.0.0.1", 0)) as server:
                yield server.getsockname()
        async def test_library(address): KEEP.append(await client.get(address))
        """,
    )
    run = project.run(
        "-p", "asyncio", "--asyncio-mode=auto",
        env={"PYTHONPATH": str(project.path / "lib/site-packages")},
    )  # fmt: skip
    stacks = {
        one["nodeid"].rpartition("::")[2]: [frame["function"] for frame in one["stack"]]
        for one in run.failing
    }

    assert stacks["test_helper"][-2:] == ["helper", "test_helper"]
    assert stacks["test_library"][-2:] == ["get", "test_library"]
    assert "connect" in stacks["test_library"]
    assert "_run_once" not in stacks["test_library"]


def test_a_librarys_timer_ends_with_the_librarys_object(project: Project) -> None:
    """The user has called no `call_later()`, and has nothing to cancel."""
    project.write(
        "lib/site-packages/client/__init__.py",
        """
        import asyncio
        class Session:
            def __init__(self): asyncio.get_running_loop().call_later(60, self.look)
            def look(self): pass
        """,
    )
    write_suite(
        project,
        """
        import client
        async def test_it(): KEEP.append(client.Session())
        """,
    )
    run = project.run(
        "-p", "asyncio", "--asyncio-mode=auto",
        env={"PYTHONPATH": str(project.path / "lib/site-packages")},
    )  # fmt: skip

    assert run.one()["hint"] == "close the object of client that has set it"
