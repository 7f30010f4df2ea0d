"""Pools and workers of wider fixtures, beside those that a test leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


def test_a_pool_that_a_test_leaves_is_not_that_of_a_fixture(project: Project) -> None:
    """Both have the same context, which says how processes are started."""
    write_suite(project, """
        import multiprocessing
        @pytest.fixture(scope="session")
        def pool():
            with multiprocessing.Pool(1) as pool:
                yield pool
                pool.close()
                pool.join()
        def test_clean(pool): assert pool.map(abs, [-1]) == [1]
        def test_leaks(): KEEP.append(multiprocessing.Pool(1))
        def test_goes_on(pool): assert pool.map(abs, [-1]) == [1]
        """)  # fmt: skip
    run = project.run("-W", "ignore")

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    assert {one["owner"]["name"] for one in run.failing} == {"test_it.py::test_leaks"}


def test_what_a_worker_opens_that_a_first_call_has_begun_is_the_fixtures(project: Project) -> None:
    """As the worker itself; but not what a function of the test's opens as a job."""
    write_suite(project, """
        import queue
        from concurrent.futures import Future
        class Worker:
            def __init__(self): self.jobs, self.thread = queue.SimpleQueue(), None
            def submit(self, function):
                if self.thread is None:
                    self.thread = threading.Thread(target=self.run)
                    self.thread.start()
                future = Future()
                self.jobs.put((future, function))
                return future
            def run(self):
                loop, timer = asyncio.new_event_loop(), threading.Timer(600, int)
                timer.start()
                with socket.socket(), open(__file__):
                    while (job := self.jobs.get()) is not None: job[0].set_result(job[1]())
                timer.cancel()
                timer.join()
                loop.close()
            def close(self):
                self.jobs.put(None)
                self.thread.join()
        @pytest.fixture(scope="class")
        def worker():
            worker = Worker()
            yield worker
            worker.close()
        class TestClean:
            def test_begins(self, worker): assert worker.submit(int).result() == 0
            def test_goes_on(self, worker): assert worker.submit(int).result() == 0
        class TestLeaks:
            def test_job(self, worker):
                def leave(): KEEP.append(open(__file__))
                worker.submit(leave).result()
        """)  # fmt: skip
    run = project.run()

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    assert [(one["kind"], one["owner"]["type"]) for one in run.failing] == [("fds", "test")]
