"""What a finding says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hygiene.plugin.suites import write_suite

from pytest_resource_hygiene.pytest_plugin.viewpoint import Viewpoint

if TYPE_CHECKING:
    from support.inner import Project


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
    project.write(
        "conftest.py",
        """
        import subprocess, sys
        def pytest_unconfigure():
            for one in sys.modules["test_it"].KEEP:
                if isinstance(one, subprocess.Popen):
                    one.kill()
        """,
    )
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
