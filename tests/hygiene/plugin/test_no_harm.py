"""Looking harms no test: what is dropped to see what is left of one, no other needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


def test_a_worker_that_has_caught_a_failure_goes_on(project: Project) -> None:
    """A traceback has the frames of a generator and of a coroutine that wait for their next job."""
    write_suite(
        project,
        """
        def work():
            failure = None
            while True:
                job = yield failure
                failure = None
                try: job()
                except Exception as error: failure = error

        async def work_async(jobs, failures):
            while True:
                job = await jobs.get()
                try: failures.append(job())
                except Exception as error: failures.append(error)

        @pytest.fixture(scope="module")
        def run():
            worker = work(); next(worker)
            def run(job):
                failure = worker.send(job)
                if failure: raise failure
            yield run
            worker.close()

        @pytest.fixture(scope="module")
        def run_async():
            with asyncio.Runner() as runner:
                jobs, failures = asyncio.Queue(), []
                async def start(): return asyncio.create_task(work_async(jobs, failures))
                worker = runner.run(start())
                def run(job):
                    async def ask():
                        jobs.put_nowait(job)
                        while not failures: await asyncio.sleep(0)
                    runner.run(ask())
                    if failure := failures.pop(): raise failure
                yield run
                async def stop(): worker.cancel(); await asyncio.wait([worker])
                runner.run(stop())

        def leave_and_fail():
            KEEP.append(open(__file__))
            raise ValueError("by itself")

        def test_fails(run): run(leave_and_fail)
        def test_goes_on(run): run(lambda: None)
        def test_fails_async(run_async): run_async(leave_and_fail)
        def test_goes_on_async(run_async): run_async(lambda: None)
        """,
    )
    run = project.run()

    assert run.outcomes == {"failed": 2, "passed": 2, "leaked": 2}, run.text
    assert {one["nodeid"].rpartition("::")[2] for one in run.failing} == {
        "test_fails",
        "test_fails_async",
    }


def test_what_a_failed_coroutine_has_held_goes_with_it(project: Project) -> None:
    """Its frame is over, as that of a function is: its locals were never leaked."""
    write_suite(
        project,
        """
        async def open_and_fail():
            opened = open(__file__)
            raise ValueError("by itself")
        def test_fails(): asyncio.run(open_and_fail())
        def test_next(): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"failed": 1, "passed": 1}, run.text


def test_a_fixture_that_ends_in_the_next_setup_takes_no_arguments(project: Project) -> None:
    """With other params it is torn down while the next test is set up, whose arguments stay."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="session")
        def wide(): return 1
        @pytest.fixture(scope="module", params=[0, 1])
        def both(request):
            yield
            leave_thread()
        def test_uses(wide, both): assert wide == 1
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert [one["owner"]["name"] for one in run.failing] == ["both", "both"]


def test_what_a_wider_fixture_has_failed_by_keeps_its_words(project: Project) -> None:
    """Each test that asks for the fixture fails by the same exception, however it came to be asked."""
    write_suite(
        project,
        """
        class Refused(Exception):
            def __init__(self, answer): self.answer = answer
            def __str__(self): return f"status {self.answer.status}"
        class Answer: status = 503
        @pytest.fixture(scope="session")
        def api(): raise Refused(Answer())
        @pytest.fixture
        def leaves(request):
            KEEP.append(open(__file__))
            request.getfixturevalue("api")
        class TestFirst:
            def test_leaves(self, leaves): pass
        class TestSecond:
            def test_asks(self, api): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"errors": 2, "leaked": 1}, run.text
    assert run.text.count("Refused: status 503") >= 4, run.text
    assert "str() failed" not in run.text


def test_an_exception_that_somebody_keeps_stays_as_it_is(project: Project) -> None:
    """One that nobody keeps has what hangs on it dropped with it: that was never leaked."""
    write_suite(
        project,
        """
        class Refused(Exception): pass
        REFUSED = Refused(KEEP)
        REFUSED.parts = [KEEP]
        @pytest.fixture
        def raises_constant():
            KEEP.append(open(__file__))
            raise REFUSED
        @pytest.fixture
        def raises_new():
            raise Refused(open(__file__))
        class TestFirst:
            def test_constant(self, raises_constant): pass
        class TestSecond:
            def test_new(self, raises_new): pass
        class TestThird:
            def test_constant_is_whole(self):
                assert REFUSED.args[0] is KEEP and REFUSED.parts[0] is KEEP
        """,
    )
    run = project.run()

    assert run.outcomes == {"errors": 2, "passed": 1, "leaked": 1}, run.text
    assert run.one()["nodeid"].endswith("::test_constant")


def test_the_frames_of_an_exception_that_somebody_keeps_stay_as_they_are(project: Project) -> None:
    """A reporter of errors looks at the variables later; of one that nobody keeps they are dropped."""
    write_suite(
        project,
        """
        class Reporter:
            def __init__(self): self.errors = []
        REPORTER = Reporter()
        def load(number):
            config = {"number": number, "file": open(__file__)}
            raise ValueError(config)
        def test_reports():
            KEEP.append(open(__file__))
            try: load(3)
            except ValueError as error:
                REPORTER.errors.append(error)
                raise
        def test_drops(): load(4)
        def test_looks():
            traceback = REPORTER.errors[0].__traceback__
            while traceback.tb_next: traceback = traceback.tb_next
            names = traceback.tb_frame.f_locals
            assert sorted(names) == ["config", "number"]
            names["config"]["file"].close()
        """,
    )
    run = project.run()

    assert run.outcomes == {"failed": 2, "passed": 1, "leaked": 1}, run.text
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_reports"}


def test_hooks_of_others_find_the_arguments_when_the_teardown_is_reported(project: Project) -> None:
    """Those that live on are given back, and those that keep no suspect are not taken."""
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.when == "teardown":
                names = "+".join(sorted(item.funcargs))
                print(f"<{item.name} has {names}>", file=item.config.stash[FILE])
            return report

        FILE = pytest.StashKey()
        def pytest_configure(config): config.stash[FILE] = open("names", "w")
        def pytest_unconfigure(config): config.stash[FILE].close()
        """,
    )
    write_suite(
        project,
        """
        class Page:
            def close_slowly(self):
                self.thread = threading.Thread(target=time.sleep, args=(0.05,))
                self.thread.start()
        PAGES = []
        @pytest.fixture
        def kept(): PAGES.append(Page()); return PAGES[-1]
        @pytest.fixture
        def dropped(): return Page()
        @pytest.fixture
        def words(): return ["words"]
        @pytest.fixture
        def opens(): return Page()
        def test_kept(kept, words, dropped): kept.close_slowly()
        def test_dropped(dropped, words): dropped.close_slowly()
        def test_number(opens, words):
            opens.number = os.dup(0)
            KEEP.append(opens)
        """,
    )
    run = project.run("-s", grace=0.5)

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    assert project.path.joinpath("names").read_text().split("\n") == [
        "<test_kept has dropped+kept+words>",
        "<test_dropped has words>",
        "<test_number has opens>",
        "",
    ]


def test_the_log_of_a_test_can_be_read_after_its_teardown(project: Project) -> None:
    """What a record leads to is dropped with the test, and was never leaked; what it says stays."""
    project.write(
        "conftest.py",
        """
        import pytest
        from _pytest.logging import caplog_records_key

        @pytest.hookimpl(wrapper=True, trylast=True)
        def pytest_runtest_teardown(item):
            yield
            for record in item.stash[caplog_records_key]["call"]:
                item.config.stash[FILE].write(record.getMessage() + "\\n")

        FILE = pytest.StashKey()
        def pytest_configure(config): config.stash[FILE] = open("words", "w")
        def pytest_unconfigure(config): config.stash[FILE].close()
        """,
    )
    write_suite(
        project,
        """
        class Page:
            file = None
            def __repr__(self): return "a page"
        class TestLogs:
            def test_logs(self, caplog):
                page = Page()
                page.file = open(__file__)
                logging.warning("opened %r", page)
                logging.warning("and %s", "closed", extra={"page": page})
        class TestLeaks:
            def test_leaks(self, caplog):
                KEEP.append(open(__file__))
                logging.warning("left %s", KEEP[-1].name)
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    words = project.path.joinpath("words").read_text().split("\n")
    assert words[:2] == ["opened a page", "and closed"]
    assert words[2].startswith("left ")


def test_wrapped_functions_are_more_than_called_as_before(project: Project) -> None:
    """They are pickled for another process, attributes of classes, and replaced by mocks."""
    write_suite(
        project,
        """
        import inspect, multiprocessing, pickle
        from concurrent.futures import ProcessPoolExecutor
        from unittest import mock
        def test_pool():
            context = multiprocessing.get_context("spawn")
            arguments = signal.signal, (signal.SIGINT, signal.SIG_IGN)
            with ProcessPoolExecutor(1, context, *arguments) as pool:
                assert pool.submit(len, "abc").result() == 3
        @pytest.mark.parametrize("wrapped", [signal.signal, os.dup2, os.kill, atexit.register,
                                             signal.alarm, logging.Logger.addHandler])
        def test_pickles(wrapped): assert pickle.loads(pickle.dumps(wrapped)) is wrapped
        class Backend:
            kill, dup, dup2, alarm = os.kill, os.dup, os.dup2, signal.alarm
            register = atexit.register
        def test_attributes():
            backend = Backend()
            backend.kill(os.getpid(), 0)
            number = backend.dup(0)
            assert backend.dup2(0, number) == number
            os.close(number)
            backend.register(print)
            atexit.unregister(print)
            backend.alarm(0)
            assert pickle.loads(pickle.dumps(backend.kill)) is os.kill
        def test_functions():
            assert inspect.isfunction(signal.signal)
            assert inspect.isfunction(logging.Logger.addHandler)
            assert list(inspect.signature(signal.signal).parameters) == ["signalnum", "handler"]
            assert list(inspect.signature(os.kill).parameters) == ["pid", "signal"]
        def test_mocks():
            with mock.patch.object(logging.Logger, "addHandler", autospec=True) as replaced:
                logging.getLogger("shop").addHandler("handler")
            replaced.assert_called_once_with(logging.getLogger("shop"), "handler")
        def test_words():
            with pytest.raises(TypeError, match=r"^Logger.addHandler\\(\\) missing 1 required"):
                logging.getLogger("shop").addHandler()
        def test_leaks():
            signal.signal(signal.SIGUSR1, noop)
            logging.getLogger("shop").addHandler(logging.NullHandler())
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 11, "leaked": 1}, run.text
    assert {one["origin"]["function"] for one in run.failing} == {"test_leaks"}
    assert [len(one["stack"]) for one in run.failing] == [1, 1]


def test_the_place_of_a_failure_is_the_users(project: Project) -> None:
    """Though a function of ours has called the one that failed."""
    project.write(
        "test_it.py",
        """
        import atexit, os, signal
        def test_kill(): os.kill(99999999, 0)  # here
        def test_dup(): os.dup(-1)  # here
        def test_alarm(): signal.setitimer(99, 1)  # here
        def test_exit(): atexit.register(1)  # here
        def test_wait(): os.waitpid(99999999, 0)  # here
        """,
    )
    for style in ("line", "short", "long", "native"):
        run = project.run(f"--tb={style}")

        assert run.outcomes == {"failed": 5}
        if style != "native":  # that of the interpreter itself
            assert "pytest_resource_hygiene" not in run.text, run.text
            assert all(f"test_it.py:{line}: " in run.text for line in range(2, 7)), run.text


def test_what_a_fixture_drops_when_it_goes_on_is_dropped(project: Project) -> None:
    """Looking at its variables leaves no copy of them, be anything suspicious or not."""
    write_suite(
        project,
        """
        import weakref
        class Thing: pass
        def waits():
            thing = Thing(); reference = weakref.ref(thing)
            shared = Thing(); look = lambda: shared
            yield
            del thing
            assert reference() is None
        wide = pytest.fixture(scope="module")(waits)
        wider = pytest.fixture(scope="session")(waits)
        def test_clean(wide, wider): pass
        def test_leaks(wide, wider): KEEP.append(open(__file__))
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
