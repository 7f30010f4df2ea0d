"""Counts and folding: what belongs together is one finding; and how long is waited for its end."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

# --- counts and folding ---


def test_ten_leaks_of_one_site_are_one_finding(project: Project) -> None:
    """Ten files opened at one line are one finding with the count 10."""
    write_suite(
        project,
        """
        def test_it():
            for _ in range(10): KEEP.append(open(__file__))
        """,
    )
    finding = project.run().one()

    assert finding["count"] == 10


def test_a_handler_has_only_the_file_that_it_writes_to(project: Project) -> None:
    """A descriptor without an object is nobody's part, least of all of a handler without a file."""
    write_suite(
        project,
        """
        @pytest.fixture
        def raw(): KEEP.append(os.dup(0))
        def test_pipe():
            logging.getLogger("shop").addHandler(logging.NullHandler())
            KEEP.append(os.pipe())
        def test_fixture(raw): logging.getLogger("shop").addHandler(logging.NullHandler())
        """,
    )
    run = project.run()

    found = [(one["owner"]["type"], one["kind"], one["count"]) for one in run.failing]
    assert sorted(found) == [
        ("fixture", "fds", 1),
        ("test", "fds", 2),
        ("test", "listeners", 1),
        ("test", "listeners", 1),
    ], run.text


def test_two_sites_are_two_findings(project: Project) -> None:
    """Leaks of different lines are told apart."""
    write_suite(
        project,
        """
        def test_it():
            KEEP.append(open(__file__))
            KEEP.append(open(os.devnull))
        """,
    )
    run = project.run()

    assert [one["count"] for one in run.failing] == [1, 1]
    assert len({one["origin"]["line"] for one in run.failing}) == 2
    assert len({one["fingerprint"] for one in run.failing}) == 2


def test_one_pool_begun_by_several_lines_is_one_finding(project: Project) -> None:
    """What a pool or queue opens at its first use goes with what it opened when it was made."""
    write_suite(
        project,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        FORK = multiprocessing.get_context("fork")
        def test_processes():
            pool = ProcessPoolExecutor(1, mp_context=FORK)
            KEEP.append(pool)
            assert pool.submit(int, "1").result() == 1
        def test_queue():
            queue = FORK.Queue()
            KEEP.append(queue)
            queue.put(1)
        def test_threads():
            gate, pool = threading.Barrier(3), ThreadPoolExecutor(2)
            pool.submit(gate.wait)
            pool.submit(gate.wait)
            gate.wait()
            KEEP.append(pool)
        def test_two_queues():
            KEEP.append(FORK.Queue())
            KEEP.append(FORK.Queue())
            KEEP[-1].put(1)
        def test_two_pools():
            for _ in range(2): KEEP.append(ThreadPoolExecutor(1))
            KEEP[-1].submit(int)
            KEEP[-2].submit(int)
        """,
    )
    run = project.run(grace=0.1)

    assert run.one("test_processes")["kind"] == "processes"
    assert any("pipe" in part for part in run.one("test_processes")["details"]["parts"])
    assert run.one("test_queue")["kind"] == "threads"
    assert run.one("test_threads")["count"] == 2
    apart = {
        name: sorted(one["kind"] for one in run.failing if one["nodeid"].endswith(name))
        for name in ("two_queues", "two_pools")
    }
    assert apart == {"two_queues": ["fds", "threads"], "two_pools": ["threads", "threads"]}


def test_what_an_import_makes_is_no_part_of_what_the_importing_call_leaves(
    project: Project,
) -> None:
    """It is the module's, a note of its own."""
    write_suite(
        project,
        """
        import multiprocessing
        def test_it():  # the first start imports multiprocessing.util, which registers a callback
            process = multiprocessing.get_context("fork").Process(target=int)
            KEEP.append(process); process.start()
        """,
    )
    run = project.run()

    parts = run.one()["details"]["parts"]
    assert not [part for part in parts if "callback" in part]
    assert [one["kind"] for one in run.notes] == ["atexit"]


_FOLDED = [
    pytest.param("KEEP.append(asyncio.new_event_loop())", "loops", id="loop with selector and pipe"),
    pytest.param("KEEP.append(subprocess.Popen(['cat'], stdin=subprocess.PIPE, "
                 "stdout=subprocess.PIPE))", "processes", id="child with pipes"),
    pytest.param("KEEP.append(multiprocessing.get_context('fork').Pool(2))", "processes",
                 id="pool with processes, threads and pipes"),
    pytest.param("KEEP.append(ThreadPoolExecutor(2)); list(KEEP[-1].map(int, '12'))", "threads",
                 id="executor with workers"),
    pytest.param("KEEP.append(multiprocessing.Pipe())", "sockets", id="pipe of multiprocessing"),
]  # fmt: skip


@pytest.mark.parametrize(("leak", "kind"), _FOLDED)
def test_what_belongs_together_is_one_finding(project: Project, leak: str, kind: str) -> None:
    """A loop, child or pool is one finding together with all that it is made of."""
    write_suite(
        project,
        f"""
        import multiprocessing
        from concurrent.futures import ThreadPoolExecutor
        def test_it():
            {leak}
        """,
    )
    run = project.run("-W", "ignore")

    assert run.one()["kind"] == kind


def test_what_a_leaked_thread_of_a_library_makes_is_part_of_its_finding(project: Project) -> None:
    """A server that runs on has a thread and a socket for each connection: one line to mend."""
    write_suite(
        project,
        """
        import socketserver
        class Echo(socketserver.BaseRequestHandler):
            def handle(self):
                while self.request.sendall(self.request.recv(1)) is None: pass
        def test_it():
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo); KEEP.append(server)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()  # start
            for _ in range(2):
                KEEP.append(socket.create_connection(server.server_address))
                KEEP[-1].sendall(b"x"); KEEP[-1].recv(1)
        """,
    )
    run = project.run()

    assert sorted(one["kind"] for one in run.failing) == ["sockets", "sockets", "threads"], run.text
    server = run.one(kind="threads")
    assert server["count"] == 3
    assert server["origin"]["line"] == project.line("test_it.py", "# start")


def test_a_sleeping_task_is_one_finding_with_its_timer(project: Project) -> None:
    """The timer that will wake a leaked task is part of it."""
    write_suite(
        project,
        """
        @pytest.mark.asyncio
        async def test_it():
            KEEP.append(asyncio.create_task(asyncio.sleep(1000))); await asyncio.sleep(0)
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one()["kind"] == "tasks"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has pidfds")
def test_a_child_is_one_finding_with_the_descriptor_by_which_a_library_waits_for_it(
    project: Project,
) -> None:
    """Trio opens one for each child; one that the user has opened is the user's to close."""
    pytest.importorskip("trio")
    project.write("conftest.py", "import trio\n")  # it takes the function before that records
    write_suite(
        project,
        """
        import trio
        SLEEP = ["sleep", "60"]
        @pytest.fixture(scope="session", autouse=True)
        def ending():
            yield
            for one in KEEP: one.kill(); one.wait()
        def test_by_trio():
            async def main(): return await trio.lowlevel.open_process(SLEEP)
            process = trio.run(main)
            KEEP.append(process._proc); NUMBERS.append(process)
        def test_by_hand():
            KEEP.append(subprocess.Popen(SLEEP))
            NUMBERS.append(os.pidfd_open(KEEP[-1].pid))
        NUMBERS = []
        """,
    )
    run = project.run("-W", "ignore")

    assert run.one("test_by_trio")["kind"] == "processes", run.text
    assert sorted(one["kind"] for one in run.of("test_by_hand")) == ["fds", "processes"]


def test_a_log_handler_is_one_finding_with_the_file_that_it_writes_to(project: Project) -> None:
    """Two lines have made them, and closing the handler ends both; another file is another leak."""
    write_suite(
        project,
        """
        def test_handler(tmp_path):
            handler = logging.FileHandler(tmp_path / "log")
            logging.getLogger("some").addHandler(handler)
        def test_handler_and_file(tmp_path):
            KEEP.append(open(tmp_path / "other", "w"))
            handler = logging.FileHandler(tmp_path / "log")
            logging.getLogger("some").addHandler(handler)
        def test_only_taken_off(tmp_path):
            KEEP.append(logging.FileHandler(tmp_path / "log"))
            logging.getLogger("some").addHandler(KEEP[-1])
            logging.getLogger("some").removeHandler(KEEP[-1])
        """,
    )
    run = project.run()

    assert run.one("test_handler")["kind"] == "listeners", run.text
    assert sorted(one["kind"] for one in run.of("test_handler_and_file")) == ["fds", "listeners"]
    assert run.one("test_only_taken_off")["kind"] == "fds"


def test_one_site_in_ten_tests_fails_ten_and_is_shown_once(project: Project) -> None:
    """The closing section groups by site, while each of the tests fails."""
    write_suite(
        project,
        """
        def leak(): KEEP.append(open(__file__))
        @pytest.mark.parametrize("n", range(10))
        def test_it(n): leak()
        """,
    )
    run = project.run("-q", "--tb=no", "-r", "N")

    assert run.outcomes == {"leaked": 10}
    assert len(re.findall("^fds: ", run.out, re.MULTILINE)) == 1, run.out
    assert "10 tests" in run.out


def test_a_fingerprint_survives_a_shift_of_lines(project: Project) -> None:
    """Lines added above a leak leave its fingerprint as it was."""
    write_suite(project, "def test_it(): KEEP.append(open(__file__))\n")
    first = project.run().one()["fingerprint"]
    write_suite(project, "\n\n# more\n\ndef test_it(): KEEP.append(open(__file__))\n")
    second = project.run().one()["fingerprint"]

    assert first == second


# --- grace ---


def test_a_thread_that_ends_within_the_grace_is_no_leak_and_ends_the_waiting(
    project: Project,
) -> None:
    """Waiting stops at once when the suspect is gone: far before the grace is over."""
    write_suite(
        project,
        """
        def test_it(): threading.Thread(target=time.sleep, args=(0.1,)).start()
        """,
    )
    run = project.run(grace=20)
    run.assert_clean(notes=False)

    assert run.summary["overhead_seconds"] < 5


def test_a_site_that_cost_the_full_grace_once_costs_less_later(project: Project) -> None:
    """Five leaks of one site cost one full grace and four short ones."""
    write_suite(
        project,
        """
        @pytest.mark.parametrize("n", range(5))
        def test_it(n): KEEP.append(leave_thread())
        """,
    )
    run = project.run(grace=1)

    assert run.outcomes == {"leaked": 5}
    assert [one["waited_seconds"] for one in run.failing] == [1.0, 0.15, 0.15, 0.15, 0.15]


def test_what_nobody_saw_being_made_costs_the_full_grace_once_a_kind(project: Project) -> None:
    """No event tells of an epoll; and a selector knows better how it ends than C code does."""
    write_suite(
        project,
        """
        import selectors
        def test_one(): KEEP.append(selectors.DefaultSelector())
        def test_two(): KEEP.append(selectors.DefaultSelector())
        """,
    )
    run = project.run(grace=1.0)

    assert [one["waited_seconds"] for one in run.failing] == [1.0, 0.15]
    assert {one["hint"] for one in run.failing} == {"close() the epoll, selector or event loop"}


def test_a_task_that_a_runner_cancels_costs_the_full_grace_once(project: Project) -> None:
    """So it is before a runner closes its loop; and what that costs is told as our time."""
    write_suite(
        project,
        """
        async def tick():
            while True: await asyncio.sleep(0.01)
        @pytest.mark.asyncio
        @pytest.mark.parametrize("n", range(5))
        async def test_it(n): KEEP.append(asyncio.create_task(tick()))
        """,
    )
    run = project.run("-p", "asyncio", grace=1)

    assert run.outcomes == {"leaked": 5}
    waits = [one["waited_seconds"] for one in run.failing]
    assert waits == pytest.approx([1.0, 0.15, 0.15, 0.15, 0.15])
    assert run.summary["overhead_seconds"] >= sum(waits)


def test_nobody_waits_for_a_task_that_time_cannot_end(project: Project) -> None:
    """It sleeps longer than the grace, or waits for nobody; one that a thread ends is waited for."""
    write_suite(
        project,
        """
        @pytest.mark.asyncio
        async def test_sleeps(): KEEP.append(asyncio.create_task(asyncio.sleep(30)))
        @pytest.mark.asyncio
        async def test_waits(): KEEP.append(asyncio.create_task(asyncio.Event().wait()))
        @pytest.mark.asyncio
        async def test_naps(): KEEP.append(asyncio.create_task(asyncio.sleep(0.2)))
        @pytest.mark.asyncio
        async def test_thread():
            end = asyncio.Event()
            loop = asyncio.get_running_loop()
            def wake():
                time.sleep(0.2)
                loop.call_soon_threadsafe(end.set)
            threading.Thread(target=wake).start()
            KEEP.append(asyncio.create_task(end.wait()))
        """,
    )
    run = project.run("-p", "asyncio", grace=20)

    assert [one["nodeid"] for one in run.failing] == [
        "test_it.py::test_sleeps", "test_it.py::test_waits",
    ]  # fmt: skip
    assert [one["waited_seconds"] for one in run.failing] == [0, 0]


def test_a_line_that_has_cost_the_full_grace_for_three_tests_costs_less_for_others(
    project: Project,
) -> None:
    """A helper that leaks for every test: each comes to it by a chain of calls of its own."""
    tests = "\n".join(f"        def test_{n}(): leak()" for n in range(5))
    write_suite(project, f"\n        def leak(): KEEP.append(socket.socket())\n{tests}\n")
    run = project.run(grace=0.5)

    waited = [one["waited_seconds"] for one in run.failing]
    assert [one >= 0.5 for one in waited] == [True, True, True, False, False], waited


def test_a_slow_closer_at_a_known_slow_site_is_still_forgiven(project: Project) -> None:
    """After a site has cost the full grace, one of its threads that needs 100 ms is no leak."""
    write_suite(
        project,
        """
        def start(seconds):
            threading.Thread(target=time.sleep, args=(seconds,), daemon=True).start()
        def test_leaks(): start(30)
        def test_closes(): start(0.1)
        """,
    )
    run = project.run(grace=0.5)

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_leaks"]
