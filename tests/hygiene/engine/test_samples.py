"""Samples: one a test, from the ledger, put together in the order in which the tests began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.inventory.samples import LEVELS, make_timeline
from pytest_resource_hygiene.trackers._rss import ResidentMemory

if TYPE_CHECKING:
    from support.inner import Project, Run

TESTS = """
    import asyncio, os, socket, subprocess, sys, threading
    import pytest

    kept = []

    def test_first(): pass
    def test_pipe(): kept.extend(os.pipe())
    def test_socket(): kept.append(socket.socket())
    def test_thread():
        stop = threading.Event()
        kept.append((threading.Thread(target=stop.wait), stop))
        kept[-1][0].start()
    def test_child():
        command = [sys.executable, "-c", "input()"]
        kept.append(subprocess.Popen(command, stdin=subprocess.PIPE))
    def test_closes():
        for fd in kept[:2]: os.close(fd)
        kept[2].close()
        kept[3][1].set()
        kept[3][0].join()
        kept[4].stdin.close()
        kept[4].wait()

    @pytest.fixture(scope="module")
    def loop():
        loop = asyncio.new_event_loop()
        task = loop.create_task(asyncio.sleep(0.05))
        yield loop, task
        loop.close()

    def test_task(loop): pass
    def test_task_ends(loop): loop[0].run_until_complete(loop[1])
    def test_last(loop): pass
"""


def part(worker: str, *rows: tuple[str, float], **levels: Any) -> dict[str, Any]:
    columns = {name: levels.get(name, [0] * len(rows)) for name in LEVELS}
    return {
        "worker": worker,
        "nodeid": [nodeid for nodeid, _ in rows],
        "start": [start for _, start in rows],
        "duration": [0.001] * len(rows),
        **columns,
    }


def levels(run: Run, name: str) -> dict[str, int]:
    assert run.document is not None, run.text
    timeline = run.document["timeline"]
    return dict(zip(timeline["tests"]["name"], timeline["levels"][name], strict=True))


def test_processes_are_put_together_by_start() -> None:
    """Workers overlap; each test keeps its own worker, and modules are named once."""
    timeline = make_timeline(
        [
            part("gw1", ("a.py::x", 10.5), ("b.py::C::y[1::2]", 11.0), fds=[3, 4]),
            part("gw0", ("a.py::z", 10.75), fds=[7]),
        ],
        {"b.py::C::y[1::2]"},
    )

    assert timeline["started_at"] == 10.5
    assert timeline["workers"] == ["gw0", "gw1"]
    assert timeline["modules"] == ["a.py", "b.py"]
    assert timeline["tests"] == {
        "name": ["x", "z", "C::y[1::2]"],
        "module": [0, 0, 1],
        "worker": [1, 0, 1],
        "start_ms": [0, 250, 500],
        "duration_us": [1000, 1000, 1000],
    }
    assert timeline["levels"]["fds"] == [3, 7, 4]
    assert timeline["leaked"] == [2]


def test_what_no_process_sees_has_no_column() -> None:
    """A kind that is off everywhere is null; where one worker is blind, only its tests are."""
    timeline = make_timeline(
        [
            part("gw0", ("a.py::x", 1.0), tasks=None, sockets=None, rss_kib=[None]),
            part("gw1", ("a.py::y", 2.0), tasks=None, sockets=[5], rss_kib=[None]),
        ],
        set(),
    )

    assert timeline["levels"]["tasks"] is None
    assert timeline["levels"]["rss_kib"] is None
    assert timeline["levels"]["sockets"] == [None, 5]


def test_no_test_makes_an_empty_timeline() -> None:
    """Everything was deselected."""
    timeline = make_timeline([], set())

    assert timeline["tests"]["name"] == timeline["workers"] == timeline["modules"] == []
    assert set(timeline["levels"].values()) == {None}


@pytest.fixture(scope="module")
def run(module_project: Project) -> Run:
    module_project.write("test_it.py", TESTS)
    return module_project.run()


@pytest.mark.parametrize(
    ("level", "leaks", "grown"),
    [
        ("fds", "pipe", 2),
        ("sockets", "socket", 1),
        ("threads", "thread", 1),
        ("children", "child", 1),
    ],
)
def test_levels_rise_with_a_leak_and_fall_when_it_is_closed(
    run: Run, level: str, leaks: str, grown: int
) -> None:
    """What one test leaves is counted from that test on, until another closes it."""
    at = levels(run, level)

    assert at[f"test_{leaks}"] - at["test_first"] == grown
    assert at["test_closes"] == at["test_first"]


def test_a_task_counts_while_it_is_pending(run: Run) -> None:
    """It is not counted any more when it has ended, though nobody has looked at tasks since."""
    at = levels(run, "tasks")

    assert (at["test_first"], at["test_task"], at["test_task_ends"], at["test_last"]) == (
        0,
        1,
        0,
        0,
    )


def test_samples_say_when_and_how_long(run: Run) -> None:
    """Tests come in the order in which they ran, with growing start times and some memory."""
    assert run.document is not None
    timeline = run.document["timeline"]
    starts = timeline["tests"]["start_ms"]

    assert timeline["tests"]["name"][0] == "test_first"
    assert starts == sorted(starts)
    assert all(took > 0 for took in timeline["tests"]["duration_us"])
    assert all(kib > 1000 for kib in timeline["levels"]["rss_kib"])
    assert [timeline["tests"]["name"][at] for at in timeline["leaked"]] == list(
        dict.fromkeys(one["nodeid"].partition("::")[2] for one in run.failing)
    )


def test_workers_send_their_samples(project: Project) -> None:
    """Under xdist, each test has one sample with the name of its worker."""
    project.write("test_it.py", """
        import pytest
        @pytest.mark.parametrize("number", range(20))
        def test_it(number): pass
    """)  # fmt: skip
    run = project.run("-n2", plugins=["xdist"])
    assert run.document is not None, run.text
    timeline = run.document["timeline"]

    assert timeline["workers"] == ["gw0", "gw1"]
    assert sorted(timeline["tests"]["name"]) == sorted(f"test_it[{n}]" for n in range(20))
    assert set(timeline["tests"]["worker"]) == {0, 1}


def test_nothing_is_sampled_without_a_report(project: Project) -> None:
    """Who asks for no report pays nothing: the hooks are not even there."""
    project.write("test_it.py", """
        def test_it(request):
            manager = request.config.pluginmanager
            assert manager.has_plugin("resource_hygiene_watcher")
            assert not manager.has_plugin("resource_hygiene_timeline")
    """)  # fmt: skip
    run = project.run(on=False, grace=None, plugins=["resource_hygiene"])

    assert run.code == 0, run.text


def test_a_kind_that_is_off_has_no_column(project: Project) -> None:
    """Null says 'not looked', which is not the same as zero."""
    project.write("test_it.py", "def test_it(): pass")
    run = project.run("--resource-hygiene-kinds=threads")
    assert run.document is not None, run.text

    assert run.document["timeline"]["levels"]["fds"] is None
    assert run.document["timeline"]["levels"]["threads"] is not None


def test_a_test_that_closes_every_descriptor_does_not_stop_the_samples(project: Project) -> None:
    """The file that memory is read from is opened again, and is never taken for a leak."""
    project.write("test_it.py", """
        import os
        def test_closes_all(): os.closerange(3, 5000)
        def test_next(): pass
    """)  # fmt: skip
    run = project.run("-s")
    assert run.document is not None, run.text

    assert run.failing == []
    assert all(kib > 1000 for kib in run.document["timeline"]["levels"]["rss_kib"])


def test_memory_is_about_what_the_kernel_says() -> None:
    """It is in KiB, and grows with what the process touches."""
    memory = ResidentMemory()
    try:
        kib = memory.measure()
        assert kib is not None
        assert 1_000 < kib < 10_000_000
        held = bytearray(32 << 20)
        held[::4096] = b"x" * len(held[::4096])
        grown = memory.measure()
        assert grown is not None
        assert grown - kib > 20_000
    finally:
        memory.close()
