"""Whose the things are that threads, tasks and the workers of pools make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


# The beginning of a suite, indented as the rest of it is.
LOOP_IN_THREAD = """
        @pytest.fixture(scope="session")
        def loop():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever); thread.start()
            yield loop
            loop.call_soon_threadsafe(loop.stop); thread.join(); loop.close()
"""


def test_what_a_fixtures_thread_makes_is_the_fixtures(project: Project) -> None:
    """A connection accepted by a session fixture's server is that fixture's leak, not the test's."""
    write_suite(project, """
        @pytest.fixture(scope="session")
        def server():
            accepted, listening = [], socket.create_server(("127.0.0.1", 0))
            def serve():
                while True:
                    try: accepted.append(listening.accept()[0])
                    except OSError: return
            thread = threading.Thread(target=serve); thread.start()
            yield listening.getsockname(), accepted
            listening.shutdown(socket.SHUT_RDWR); thread.join(); listening.close()
            KEEP.append(accepted)
        def test_client(server):
            with socket.create_connection(server[0]):
                while not server[1]: time.sleep(0.001)
        def test_other(): pass
        """)  # fmt: skip
    run = project.run()

    finding = run.one("test_other", kind="sockets")

    assert finding["owner"] == {"type": "fixture", "name": "server", "scope": "session"}
    assert finding["made_during"] == "test_it.py::test_client"
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_what_a_tests_thread_makes_is_the_tests(project: Project) -> None:
    """A thread carries its owner: what it makes is charged to the test that started it."""
    write_suite(
        project,
        """
        def test_it():
            def work(): KEEP.append(open(__file__))
            thread = threading.Thread(target=work); thread.start(); thread.join()
        """,
    )
    run = project.run()

    assert run.one()["kind"] == "fds"
    assert run.one()["owner"]["name"] == "test_it.py::test_it"
    assert run.one()["origin"]["function"] == "work"


@pytest.mark.parametrize("runs", ["loop.run_forever", "lambda: loop.run_forever()"])
def test_a_loop_of_a_fixture_excuses_nothing_that_runs_on_it(project: Project, runs: str) -> None:
    """Whatever refers to a loop reaches all of it; only its executor is its own."""
    write_suite(
        project,
        LOOP_IN_THREAD.replace("target=loop.run_forever", f"target={runs}")
        + """
        @pytest.fixture(scope="session")
        def server(loop):
            make = asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
            server = asyncio.run_coroutine_threadsafe(make, loop).result()
            yield server
            loop.call_soon_threadsafe(server.close)
        def test_worker(loop, server):
            asyncio.run_coroutine_threadsafe(asyncio.to_thread(int), loop).result()
        def test_leaks(loop, server):
            begun = threading.Event()
            async def work(): begun.set(); await asyncio.sleep(1000)
            KEEP.append(asyncio.run_coroutine_threadsafe(work(), loop))
            begun.wait()
        def test_last(): pass
        """,
    )
    run = project.run()

    assert run.one(kind="tasks")["nodeid"].endswith("test_leaks")
    assert run.one(kind="tasks")["origin"]["function"] == "test_leaks"
    assert run.one(kind="tasks")["origin"]["source"] == "inferred"


def test_a_task_that_is_only_asked_for_when_the_test_ends_is_its_own(project: Project) -> None:
    """The loop in another thread takes up the call when the test is over."""
    write_suite(
        project,
        LOOP_IN_THREAD
        + """
        @pytest.fixture
        def busy(loop):
            go_on = threading.Event()
            loop.call_soon_threadsafe(go_on.wait)
            yield
            threading.Timer(0.01, go_on.set).start()
        def test_leaks(loop, busy):
            KEEP.append(asyncio.run_coroutine_threadsafe(asyncio.sleep(1000), loop))
        def test_shows_who_has_posted(loop):
            loop.set_debug(True)
            assert loop.call_soon_threadsafe(int)._source_traceback[-1].filename == __file__
            loop.set_debug(False)
        def test_ends(loop, busy):
            KEEP.append(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop))
        def test_last(): pass
        """,
    )
    run = project.run()

    assert run.one()["nodeid"].endswith("test_leaks"), run.text
    assert run.one()["kind"] == "tasks"


def test_a_worker_belongs_to_the_owner_of_the_pool_that_it_joins(project: Project) -> None:
    """A pool of the module, begun and ended by a fixture that hands out nothing, may grow in a test."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        POOL, OTHER = ThreadPoolExecutor(4), ThreadPoolExecutor(4)
        @pytest.fixture(scope="module", autouse=True)
        def pool():
            POOL.submit(int).result()
            yield
            POOL.shutdown()
        def busy(pool):
            gate = threading.Barrier(3)
            for one in [pool.submit(gate.wait) for _ in range(2)]: one
            gate.wait()
        def test_grows(): busy(POOL)
        def test_other(): busy(OTHER)
        """,
    )
    run = project.run(grace=0.1)

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_other"}, run.text


def test_the_executor_of_a_loop_within_a_fixtures_value_is_the_fixtures(project: Project) -> None:
    """A fixture that made a loop answers for its workers, wherever in its value the loop is."""
    write_suite(
        project,
        """
        class Service:
            def __init__(self): self.loop = asyncio.new_event_loop()
            def work(self):
                self.loop.run_until_complete(self.loop.run_in_executor(None, int))
            def stop(self):
                self.loop.run_until_complete(self.loop.shutdown_default_executor())
                self.loop.close()
        @pytest.fixture(scope="module")
        def service():
            service = Service()
            yield service
            service.stop()
        def test_works(service): service.work()
        def test_works_again(service): service.work()
        """,
    )
    run = project.run()

    assert run.failing == []
    assert run.code == 0, run.text


def test_a_worker_that_joins_a_leaked_pool_is_a_leak_of_its_own(project: Project) -> None:
    """Whoever began the pool has been judged: nobody but this test answers for the second worker."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        POOL = ThreadPoolExecutor(2)
        GO = threading.Event()
        @pytest.fixture(scope="session", autouse=True)
        def ends_at_last():
            yield
            GO.set()
        def test_first(): POOL.submit(GO.wait)
        def test_second(): POOL.submit(GO.wait)
        def test_third(): pass
        """,
    )
    run = project.run(grace=0.05)

    assert [one["nodeid"].partition("::")[2] for one in run.failing] == [
        "test_first",
        "test_second",
    ]


def test_what_a_worker_of_an_earlier_test_makes_is_the_tests_or_the_pools(project: Project) -> None:
    """A test's own function is the test's, in whichever thread; else a worker goes with its pool."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        @pytest.fixture(scope="module")
        def pool():
            with ThreadPoolExecutor(1) as pool: yield pool
        def of_the_module(): KEEP.append(open(__file__))
        def test_begins_the_worker(pool): pool.submit(int).result()
        def test_own_function(pool):
            def own(): KEEP.append(open(os.devnull))
            pool.submit(own).result()
        def test_other_function(pool): pool.submit(of_the_module).result()
        def test_clean(pool):
            def own(): open(os.devnull).close()
            pool.submit(own).result()
        """,
    )
    run = project.run()

    own = run.one("test_own_function")
    other = run.one("test_clean")
    assert (own["owner"]["type"], own["origin"]["function"]) == ("test", "own")
    assert other["owner"] == {"type": "fixture", "name": "pool", "scope": "module"}
    assert other["made_during"] == "test_it.py::test_other_function"
    assert run.outcomes == {"passed": 2, "leaked": 2}


def test_what_a_fixtures_thread_does_in_a_function_of_a_test_is_the_tests(
    project: Project,
) -> None:
    """The test has handed it over; with a function of the module it is the fixture's."""
    write_suite(
        project,
        """
        from queue import Queue
        @pytest.fixture(scope="module")
        def jobs():
            jobs = Queue()
            def work():
                while (job := jobs.get()) is not None: job(); jobs.task_done()
            thread = threading.Thread(target=work); thread.start()
            yield jobs
            jobs.put(None); thread.join()
        def of_the_module(): KEEP.append(open(__file__))
        def test_own(jobs):
            def own(): KEEP.append(open(os.devnull))
            jobs.put(own); jobs.join()
        def test_other(jobs): jobs.put(of_the_module); jobs.join()
        def test_last(jobs): jobs.put(noop); jobs.join()
        """,
    )
    run = project.run()

    assert run.one("test_own")["owner"]["type"] == "test"
    assert run.one("test_last")["owner"] == {"type": "fixture", "name": "jobs", "scope": "module"}
    assert run.outcomes == {"passed": 1, "leaked": 2}


def test_what_a_left_thread_of_a_parameter_makes_is_not_the_next_ones(project: Project) -> None:
    """Both run the same code; the thread is that of the first, whose leak has been told."""
    write_suite(
        project,
        """
        GO, DONE = threading.Event(), threading.Event()
        @pytest.mark.parametrize("number", [1, 2])
        def test_it(number):
            def later():
                GO.wait(); KEEP.append(open(__file__)); DONE.set(); threading.Event().wait()
            if number == 1:
                threading.Thread(target=later, daemon=True).start()
            else:
                GO.set(); DONE.wait()
        """,
    )
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_it[1]"
    assert run.one()["kind"] == "threads"


@pytest.mark.parametrize("scope", ["function", "module"])
def test_a_tests_own_job_is_the_tests_in_whichever_fixtures_thread_it_runs(
    project: Project, scope: str
) -> None:
    write_suite(
        project,
        f"""
        import queue
        class Pool:
            def __init__(self):
                self.jobs = queue.Queue()
                self.thread = threading.Thread(target=self.run)
                self.thread.start()
            def run(self):
                while job := self.jobs.get():
                    job()
        @pytest.fixture(scope="{scope}")
        def pool():
            pool = Pool()
            yield pool
            pool.jobs.put(None)
            pool.thread.join()
        def test_it(pool):
            done = threading.Event()
            def job():
                KEEP.append(open(__file__))
                done.set()
            pool.jobs.put(job)
            assert done.wait(10)
        """,
    )
    assert project.run().one()["owner"]["type"] == "test"


def test_an_idle_worker_that_is_left_works_for_whoever_asks_it_next(project: Project) -> None:
    """An executor in a global, allowed where it was begun: what a later job leaves is not allowed."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        POOL = ThreadPoolExecutor(1)
        STOP = threading.Event()
        def keep_open(): KEEP.append(open(__file__))
        def keep_opening():
            while not STOP.wait(0.01):
                KEEP.append(open(__file__))
        @pytest.mark.allow_leak("threads", reason="one for the process")
        def test_begins(): POOL.submit(int).result()
        def test_clean(): POOL.submit(lambda: open(__file__).close()).result()
        def test_leaks(): POOL.submit(keep_open).result()
        @pytest.mark.allow_leak(reason="goes on")
        def test_goes_on():
            begun = len(KEEP)
            POOL.submit(keep_opening)
            while len(KEEP) == begun: time.sleep(0.001)
        @pytest.mark.allow_leak(reason="another pool, at work when its test ends")
        def test_has_its_own():
            begun = len(KEEP)
            KEEP.append(ThreadPoolExecutor(1)); KEEP[-1].submit(keep_opening)
            while len(KEEP) < begun + 2: time.sleep(0.001)
        def test_beside():
            begun = len(KEEP)
            while len(KEEP) == begun: time.sleep(0.001)
        def test_ends(): STOP.set()
        """,
    )
    run = project.run()

    assert [one["nodeid"].partition("::")[2] for one in run.failing] == ["test_leaks"]


def test_a_pool_that_goes_on_runs_the_job_of_each_test_of_one_function(project: Project) -> None:
    """Its worker was begun in the first of them; what the others have it do is theirs."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        @pytest.fixture(scope="session")
        def pool():
            with ThreadPoolExecutor(1) as executor: yield executor
        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_job(pool, number):
            def job(): KEEP.append(os.dup(0))
            pool.submit(job).result()
        """,
    )
    run = project.run()

    owners = [one["owner"]["name"] for one in run.failing]
    assert owners == [f"test_it.py::test_job[{number}]" for number in (1, 2, 3)], run.text
