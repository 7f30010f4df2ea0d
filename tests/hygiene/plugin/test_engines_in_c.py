"""What C code opens when an object of a fixture is used: no reference leads to it."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import IN_C, write_suite

if TYPE_CHECKING:
    from support.inner import Project


def _write_engines(project: Project) -> None:
    """Make a package whose class says that it is written in C, and keeps no number that can be seen."""
    project.write(
        "lib/site-packages/fakeq/__init__.py",
        textwrap.dedent(IN_C)
        + textwrap.dedent("""
        class Engine:
            __module__ = "fakeq._native"
            def __init__(self): self._state = ctypes.c_int(-1)
            def use(self):
                if self._state.value < 0: self._state.value = libc.eventfd(0, 0)
            def close(self): libc.close(self._state.value)
        """),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="an eventfd is Linux's")
def test_what_c_code_opens_at_the_first_use_is_of_the_fixture_that_has_the_engine(
    project: Project,
) -> None:
    """As a ``zmq.Context`` does; an engine of the test's own is the test's, and so is what it opens."""
    _write_engines(project)
    write_suite(
        project,
        """
        import fakeq
        @pytest.fixture(scope="class")
        def engine():
            engine = fakeq.Engine()
            yield engine
            engine.close()
        @pytest.fixture(scope="class")
        def user(engine):  # is torn down before the engine
            engine.use()
            yield object()
        @pytest.fixture(scope="module")
        def forgotten(): yield fakeq.Engine()
        class TestOfEngine:
            def test_uses(self, engine): engine.use()
            def test_has_its_own(self, engine):
                own = fakeq.Engine(); own.use(); own.close()
            def test_leaks_its_own(self, engine):
                KEEP.append(fakeq.Engine()); KEEP[-1].use()
        def test_ends_it(): KEEP[-1].closed = True
        class TestOfAnotherFixture:
            def test_uses(self, user): pass
        def test_last(forgotten):
            forgotten.use()
        """,
    )
    run = project.run("-W", "ignore", env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert [(one["nodeid"].partition("::")[2], one["owner"]["name"]) for one in run.failing] == [
        ("TestOfEngine::test_leaks_its_own", "test_it.py::TestOfEngine::test_leaks_its_own"),
        ("test_last", "forgotten"),
    ], run.text


@pytest.mark.skipif(sys.platform != "linux", reason="eventfds")
def test_what_c_code_opens_is_of_the_fixture_that_the_test_asks_for(project: Project) -> None:
    """As a duckdb connection of the session's, which opens its log when it is first written to."""
    _write_engines(project)
    write_suite(project, """
        import fakeq
        def opened():
            engine = fakeq.Engine()
            yield engine
            engine.close()
        wide = pytest.fixture(scope="session", name="wide")(opened)
        narrow = pytest.fixture(scope="module", name="narrow")(opened)
        def test_narrow(narrow): narrow.use()
        def test_wide(wide): wide.use()
        def test_both(narrow, wide): pass
        """)  # fmt: skip
    run = project.run("-W", "ignore", env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.outcomes == {"passed": 3}, run.text


@pytest.mark.skipif(sys.platform != "linux", reason="eventfds")
def test_what_the_manager_of_a_with_block_holds_is_the_fixtures(project: Project) -> None:
    """No variable of the fixture's leads to it. Garbage of an earlier test is no engine that works."""
    _write_engines(project)
    write_suite(project, """
        import contextlib, fakeq
        DOERS = []
        @pytest.fixture(scope="module")
        def use():
            engine = fakeq.Engine()
            with contextlib.closing(engine):
                DOERS.append(engine.use)
                del engine
                yield
            DOERS.clear()
        def test_garbage():
            cycle = [fakeq.Engine()]
            cycle.append(cycle)
        def test_uses(use): DOERS[-1]()
        """)  # fmt: skip
    run = project.run("-W", "ignore", env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.outcomes == {"passed": 2}, run.text


@pytest.mark.skipif(sys.platform != "linux", reason="an eventfd is Linux's")
def test_what_all_objects_of_grpc_share_is_not_told_of_the_fixture_that_had_the_first(
    project: Project,
) -> None:
    """It is closed with the last, here one that a test keeps; so the server's fixture cannot help it."""
    project.write(
        "lib/site-packages/grpc/__init__.py",
        textwrap.dedent(IN_C)
        + textwrap.dedent("""
        SHARED = [ctypes.c_int(-1), 0]
        class Engine:  # says that it is written in C
            __module__ = "grpc._native"
            def __init__(self):
                if not SHARED[1]: SHARED[0].value = libc.eventfd(0, 0)
                SHARED[1] += 1
            def close(self):
                SHARED[1] -= 1
                if not SHARED[1]: libc.close(SHARED[0].value)
        """),
    )
    write_suite(
        project,
        """
        import grpc
        @pytest.fixture(scope="class")
        def server():
            server = grpc.Engine()
            yield server
            server.close()
        @pytest.fixture(scope="class")
        def with_file(server): yield grpc.libc.open(__file__.encode(), 0)
        class TestFirst:
            def test_uses(self, server): KEEP.append(grpc.Engine())
        class TestSecond:
            def test_uses(self, server): pass
        class TestFile:
            def test_opens(self, with_file): pass
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    assert run.one()["details"]["form"] == "file", "which no object of grpc waits with"


@pytest.mark.skipif(sys.platform != "linux", reason="an eventfd is Linux's")
def test_a_thread_that_serves_all_objects_of_grpc_is_not_told_of_the_fixture_that_had_the_first(
    project: Project,
) -> None:
    """As the poller of ``grpc.aio``, which ends with the last object."""
    project.write(
        "lib/site-packages/grpc/__init__.py",
        textwrap.dedent(IN_C)
        + textwrap.dedent("""
        import socket, threading, weakref
        class Poller:
            __module__ = "grpc._native"
            def __init__(self):
                self.ends, self.users = socket.socketpair(), 0
                self.thread = threading.Thread(target=self.poll, daemon=True)
                self.thread.start()
            def poll(self):
                with self.ends[0]: self.ends[0].recv(1)
        poller = weakref.ref(Poller)  # only its thread keeps it, as far as Python can see
        class Engine:
            __module__ = "grpc._native"
            def __init__(self):
                global poller
                if not isinstance(poller(), Poller): poller = weakref.ref(Poller())
                poller().users += 1
            def close(self):
                it = poller()  # its thread may end, and drop it, at any moment from here on
                it.users -= 1
                if not it.users:
                    it.ends[1].close()
                    it.thread.join()
        """),
    )
    write_suite(
        project,
        """
        import grpc
        def opened():
            engine = grpc.Engine()
            yield engine
            engine.close()
        wide = pytest.fixture(scope="session", name="wide")(opened)
        narrow = pytest.fixture(scope="module", name="narrow")(opened)
        def test_first(narrow): pass
        def test_both(narrow, wide): pass
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.outcomes == {"passed": 2}, run.text


@pytest.mark.skipif(sys.platform != "linux", reason="epolls and eventfds")
def test_what_python_code_has_or_names_is_of_no_engine(project: Project) -> None:
    """No event tells of an epoll or a duplicate either, and a fixture has an engine that may open such."""
    _write_engines(project)
    write_suite(
        project,
        """
        import fakeq, fcntl, select, selectors
        class Poller:
            def __init__(self): self.epoll = select.epoll()
        @pytest.fixture(scope="session")
        def engine():
            engine = fakeq.Engine()
            yield engine
            engine.close()
        def test_begins(engine): pass
        def test_leaks_epoll(): KEEP.append(Poller())
        def test_leaks_selector(): KEEP.append(selectors.DefaultSelector())
        def test_leaks_duplicate(): KEEP.append(fcntl.fcntl(0, fcntl.F_DUPFD))
        def test_uses(engine): engine.use()
        """,
    )
    run = project.run("-W", "ignore", env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert [one["nodeid"].partition("::")[2] for one in run.failing] == [
        "test_leaks_epoll",
        "test_leaks_selector",
        "test_leaks_duplicate",
    ]
