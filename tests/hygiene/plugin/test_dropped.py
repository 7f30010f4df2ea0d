"""What only the collector frees, and what is dropped without being closed."""

from __future__ import annotations

import os
import sys

import pytest
from hygiene.plugin.suites import write_suite
from support.inner import Project, brief

_CYCLE = """
    def test_it():
        class Holder: pass
        one = Holder(); one.self = one; one.sock = socket.socket()
    """


def test_what_only_the_collector_frees_is_a_note(project: Project) -> None:
    """A socket in a reference cycle is noted once, at its origin, and fails nothing."""
    write_suite(project, _CYCLE)
    run = project.run()
    run.assert_clean()

    assert len(run.notes) == 1, [brief(one) for one in run.notes]
    assert run.notes[0]["kind"] in {"sockets", "unclosed"}
    assert run.notes[0]["origin"]["function"] == "test_it"


def test_what_only_the_collector_frees_fails_with_strict(project: Project) -> None:
    """With --resource-hygiene-strict the same is a failure."""
    write_suite(project, _CYCLE)
    run = project.run("--resource-hygiene-strict")

    assert run.one()["kind"] in {"sockets", "unclosed"}
    assert run.code == 1


def test_a_listener_that_goes_with_its_emitter_was_no_resource(project: Project) -> None:
    """Nothing is to be closed about it, so that only the collector freed it is not worth a note."""
    write_suite(
        project,
        """
        import blinker
        def test_it():
            signal = blinker.Signal(); signal.myself = signal
            signal.connect(noop)
        """,
    )
    project.run().assert_clean(notes=False)


@pytest.mark.skipif(sys.platform != "linux", reason="an epoll is Linux's")
def test_what_a_raised_error_holds_until_the_end_of_the_teardown_is_no_leak(
    project: Project,
) -> None:
    """A finalizer that raises, in a collection or in a thread, leaves frames; pytest drops them.

    As it is with a loop that is dropped unclosed. A socket would be closed by its own finalizer.
    """
    write_suite(
        project,
        """
        import select
        class Holder:
            def __init__(self): self.me = self; self.epoll = select.epoll()
            def __del__(self): raise ValueError("cannot close")
        def fail(): epoll = select.epoll(); raise ValueError("in a thread")
        def test_finalizer(): Holder()
        def test_thread():
            thread = threading.Thread(target=fail); thread.start(); thread.join()
        def test_leaks():
            Holder(); KEEP.append(select.epoll())
        """,
    )
    run = project.run("-W", "ignore")

    assert run.one("test_leaks", kind="fds")["count"] == 1, run.text
    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text


def test_what_is_dropped_is_charged_to_its_maker(project: Project) -> None:
    """An unclosed file freed in a later test names the test that opened it, and the line."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def shelf():
            shelf = []; yield shelf
        def test_maker(shelf):
            shelf.append(open(__file__))  # here
        def test_frees(shelf): shelf.clear()
        def test_last(shelf): pass
        """,
    )
    run = project.run("-W", "ignore")

    (note,) = [one for one in run.findings if one["kind"] == "unclosed"]

    assert note["severity"] == "note"
    assert note["origin"]["line"] == project.line("test_it.py", "# here")
    assert "test_frees" not in str(note["owner"])
    assert run.code == 0, run.text


def test_what_a_fixture_hands_out_open_is_its_leak(project: Project) -> None:
    """That pytest drops the last reference closes it, and is no merit of the fixture's."""
    write_suite(
        project,
        """
        import asyncio, http.server
        from concurrent.futures import ThreadPoolExecutor
        @pytest.fixture
        def plain_file(): return open(__file__)
        @pytest.fixture
        def pair(): yield socket.socketpair()
        @pytest.fixture
        def loop(): yield asyncio.new_event_loop()
        @pytest.fixture
        def server():
            return http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        @pytest.fixture(scope="module")
        def wide(): yield socket.socket()
        @pytest.fixture
        def pool():
            pool = ThreadPoolExecutor(1)
            pool.submit(int).result()
            return pool
        @pytest.fixture
        def closed():
            with open(__file__) as file: yield file
        def test_file(plain_file): pass
        def test_pair(pair): pass
        def test_loop(loop): pass
        def test_server(server): pass
        def test_pool(pool): pass
        def test_closed(closed): pass
        def test_wide(wide): pass
        """,
    )
    run = project.run("-W", "ignore")

    assert run.outcomes == {"passed": 2, "leaked": 5}, run.text
    assert [(one["kind"], one["owner"]["name"], one["count"]) for one in run.failing] == [
        ("fds", "plain_file", 1),
        ("sockets", "pair", 2),
        ("loops", "loop", 1),
        ("sockets", "server", 1),
        ("sockets", "wide", 1),
    ]


def test_a_dropped_file_is_told_once(project: Project) -> None:
    """One warning is one finding, whatever filters a test begins with."""
    write_suite(
        project,
        """
        def test_first(): open(__file__)
        @pytest.mark.filterwarnings("ignore::DeprecationWarning")
        def test_second(): open(__file__)
        def test_third(): open(__file__)
        """,
    )
    run = project.run("-W", "ignore")

    assert [(one["kind"], one["count"]) for one in run.findings] == [("unclosed", 1)] * 3


def test_what_goes_with_the_locals_of_a_test_is_shown_at_the_test(project: Project) -> None:
    """They are dropped when only unittest is on the stack: its line would say nothing."""
    write_suite(
        project,
        """
        import tempfile, unittest
        class TestIt(unittest.TestCase):
            def test_it(self): file = tempfile.TemporaryFile()
        """,
    )
    note = project.run().notes[0]

    assert (note["origin"]["file"], note["origin"]["function"]) == ("test_it.py", "test_it")


def test_a_dropped_file_fails_its_maker_with_strict(project: Project) -> None:
    """With strict, a file dropped without being closed fails the test that dropped it."""
    write_suite(project, "def test_it(): open(__file__)\n")
    run = project.run("--resource-hygiene-strict", "-W", "ignore")

    assert run.one()["kind"] == "unclosed"
    assert run.outcomes == {"leaked": 1}


def test_what_the_failure_of_a_test_holds_goes_with_it(project: Project) -> None:
    """By an argument, an attribute, or the object whose attribute was missing; a cause, a group.

    pytest keeps the exception until the next test is called. An expected failure stays one.
    """
    write_suite(
        project,
        """
        class Refused(Exception):
            def __init__(self, *args):
                super().__init__("no"); self.args_of_its_own = args
        def fail_with_argument(path): raise ValueError(open(path, "w"), 3)
        def fail_with_attribute(path): raise Refused(open(path, "w"))
        def fail_with_object(path): open(path, "w").nothing_of_this_name
        def fail_with_cause(path): raise KeyError("more") from Refused(open(path, "w"))
        def fail_in_group(path): raise ExceptionGroup("some", [Refused(open(path, "w"))])
        FAILURES = [value for name, value in list(globals().items()) if name.startswith("fail_")]
        FAILURES = pytest.mark.parametrize("fail", FAILURES)
        @pytest.fixture
        def failing(fail, tmp_path): fail(tmp_path / "x")
        @FAILURES
        @pytest.mark.xfail(strict=True)
        def test_body(fail, tmp_path): fail(tmp_path / "x")
        @FAILURES
        @pytest.mark.xfail(strict=True)
        def test_setup(failing): pass
        def test_fails(tmp_path): fail_with_argument(tmp_path / "x")
        """,
    )
    run = project.run()

    assert not run.failing, run.text
    assert run.outcomes == {"xfailed": 10, "failed": 1}, run.text
    assert "ValueError: (<_io.TextIOWrapper name=" in run.out


_RAISING = """
    import os
    class Raises:
        def __init__(self): self.me, self.fd = self, os.open(os.devnull, 0)
        def __del__(self): os.close(self.fd); raise ValueError("in __del__")
    def test_drops(): Raises()
    def test_next(): pass
    """


def test_what_a_finalizer_raises_in_our_collection_is_an_error_of_no_test(
    project: Project,
) -> None:
    """Pytest would have it fail the next test where warnings are errors; without us it comes last."""
    project.write("test_it.py", _RAISING)
    alone, run = project.run("-W", "error", on=False), project.run("-W", "error")

    assert run.outcomes == {"passed": 2}, run.text
    assert (run.code, "in __del__" in run.text) == (alone.code, "in __del__" in alone.text)


@pytest.mark.skipif(pytest.version_tuple < (8, 4), reason="the interpreter writes it out at once")
def test_what_a_finalizer_raises_in_our_collection_is_a_warning_of_the_test_that_is_judged(
    project: Project,
) -> None:
    project.write("test_it.py", _RAISING)
    run = project.run()

    assert run.outcomes == {"passed": 2, "warning": 1}
    assert "test_it.py::test_drops" in run.text.splitlines(), run.text


def test_each_test_fails_whose_fixture_hands_the_same_file_out_open(project: Project) -> None:
    """Pytest drops each after its test, and the next one gets its number: the very same key."""
    project.write(
        "test_it.py",
        """
        import os, pytest, sqlite3
        @pytest.fixture
        def file(): return open(__file__)
        @pytest.mark.parametrize("number", range(3))
        def test_file(file, number): pass
        def test_clean(): open(__file__).close()
        @pytest.fixture
        def database():
            connection = sqlite3.connect("some.db")
            connection.execute("create table if not exists some (a)")
            return connection
        def test_database(database): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 4}, run.text
    assert {one["owner"]["name"] for one in run.failing} == {"file", "database"}


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes are handles there")
def test_what_an_ended_pool_keeps_until_it_goes_is_no_leak(project: Project) -> None:
    """A test class keeps what its instance has as long as the run; nothing can end it any more."""
    project.write(
        "test_it.py",
        """
        import multiprocessing
        from multiprocessing.pool import ThreadPool
        FORK = multiprocessing.get_context("fork")
        class TestThreads:
            def setup_method(self): self.pool = ThreadPool(1)
            def teardown_method(self): self.pool.close(); self.pool.join()
            def test_it(self): pass
        class TestManager:
            def setup_method(self): self.manager = FORK.Manager()
            def teardown_method(self): self.manager.shutdown()
            def test_it(self): pass
        class TestProcess:
            def setup_method(self): self.process = FORK.Process(target=int); self.process.start()
            def teardown_method(self): self.process.join()
            def test_it(self): pass
        class TestPipe:
            def setup_method(self):
                self.process = FORK.Process(target=int); self.process.start()
                self.ends = FORK.Pipe()
            def teardown_method(self): self.process.join()
            def test_leaks(self): pass
        """,
    )
    run = project.run("-W", "ignore")

    assert run.outcomes == {"passed": 3, "leaked": 1}, run.text
    assert "Pipe()" in run.one("test_leaks")["details"]["source_line"]


@pytest.mark.skipif(sys.platform == "win32", reason="there a child has other objects")
def test_a_child_whose_objects_are_dropped_is_one_finding_with_strict(project: Project) -> None:
    """The transport of asyncio and the `Popen` in it warn as well: of the same child."""
    project.write(
        "conftest.py",
        """
        import os, signal, sys
        def pytest_unconfigure():
            for pid in sys.modules["test_it"].KEEP:
                os.kill(pid, signal.SIGKILL)
        """,
    )
    write_suite(
        project,
        """
        import asyncio
        async def child(): KEEP.append((await asyncio.create_subprocess_exec("sleep", "60")).pid)
        def test_it():
            with asyncio.Runner() as runner:
                runner.run(child())
        """,
    )
    run = project.run("--resource-hygiene-strict")

    # The collector may have the transport end the child; its pidfd is left then.
    assert run.one()["kind"] in {"processes", "fds"}
    assert not [one for one in run.findings if one["kind"] == "unclosed"]


def test_a_dropped_loop_is_one_finding_with_strict(project: Project) -> None:
    write_suite(
        project,
        """
        import asyncio
        def test_it(): asyncio.new_event_loop()
        """,
    )
    assert project.run("--resource-hygiene-strict").one()["kind"] == "loops"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has a thread in its place there")
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")
def test_what_asyncio_knows_a_child_by_outlives_the_child(project: Project) -> None:
    """Nobody has waited for it on the loop, which would have closed its pidfd."""
    write_suite(
        project,
        """
        import asyncio, signal
        async def child(): return (await asyncio.create_subprocess_exec("sleep", "60")).pid
        def test_it():
            with asyncio.Runner() as runner:
                pid = runner.run(child())
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        """,
    )
    assert "pidfd" in project.run().one()["summary"]
