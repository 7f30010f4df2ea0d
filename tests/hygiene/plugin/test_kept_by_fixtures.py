"""What a test begins for a wider fixture's value is the fixture's, however the value knows of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes are handles there")
def test_the_pipes_of_processes_that_a_pool_of_the_session_starts(project: Project) -> None:
    """A process knows one by the name `sentinel`, and the other as what a finalizer closes."""
    write_suite(
        project,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        FORK = multiprocessing.get_context("fork")
        @pytest.fixture(scope="session", params=["fork", "spawn"])
        def executor(request):
            context = multiprocessing.get_context(request.param)
            with ProcessPoolExecutor(2, mp_context=context) as executor: yield executor
        def test_first(executor): assert executor.submit(abs, -1).result() == 1
        def test_second(executor): assert executor.submit(abs, -2).result() == 2
        @pytest.fixture(scope="module")
        def processes():
            processes = []
            yield processes
            for one in processes: one.join()
        @pytest.mark.parametrize("number", range(2))
        def test_process(processes, number):
            processes.append(FORK.Process(target=int)); processes[-1].start()
        """,
    )
    assert project.run("-W", "ignore").outcomes == {"passed": 6}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals")
def test_descriptors_of_which_a_value_knows_but_the_numbers(project: Project) -> None:
    """The two ends of a pipe or terminal are called so, and a list of numbers is one."""
    write_suite(
        project,
        """
        class Ends:
            def pipe(self): self.r, self.w = os.pipe()
            def terminal(self): self.master, self.slave = os.openpty()
        @pytest.fixture(scope="module")
        def ends():
            ends = Ends()
            yield ends
            for number in vars(ends).values(): os.close(number)
        def test_pipe(ends): ends.pipe()
        def test_terminal(ends): ends.terminal()
        @pytest.fixture(scope="module")
        def numbers():
            numbers = []
            yield numbers
            for number in numbers: os.close(number)
        def test_list(numbers): numbers += os.pipe()
        def test_other(numbers): KEEP.append(os.dup(1))
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 3, "leaked": 1}
    run.one("test_other", kind="fds")


def test_what_is_put_into_a_class_that_a_fixture_has_defined(project: Project) -> None:
    """Nobody else knows that class. One that is imported is everybody's, and keeps nothing."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def registry():
            class Registry:
                threads = []
            yield Registry
            STOP.set()
            for thread in Registry.threads: thread.join()
        class Known:
            threads = []
        @pytest.fixture(scope="module")
        def known(): return Known
        STOP = threading.Event()
        def begin():
            thread = threading.Thread(target=STOP.wait)
            thread.start()
            return thread
        def test_local(registry): registry.threads.append(begin())
        def test_known(registry, known): known.threads.append(begin())
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}
    run.one("test_known", kind="threads")


_APP = """
    import logging
    class App:
        def start(self):
            self.handler = logging.StreamHandler()
            logging.getLogger("app").addHandler(self.handler)
            atexit.register(self.stop)
            self.former = signal.signal(signal.SIGTERM, self.on_signal)
            self.hook, sys.excepthook = sys.excepthook, self.on_error
        def on_error(self, *_): pass
        def on_signal(self, *_): self.stop()
        def stop(self):
            logging.getLogger("app").removeHandler(self.handler)
            atexit.unregister(self.stop)
            signal.signal(signal.SIGTERM, self.former)
            sys.excepthook = self.hook
    """


def test_handlers_that_the_value_of_a_module_installs_in_a_test(project: Project) -> None:
    """They are its methods, or hang on it; the next test finds them as they were left."""
    write_suite(project, _APP)
    path = project.path / "test_it.py"
    path.write_text(
        path.read_text()
        + """
@pytest.fixture(scope="module")
def app():
    app = App()
    yield app
    app.stop()
def test_starts(app): app.start()
def test_finds(app):
    assert signal.getsignal(signal.SIGTERM) == app.on_signal
    assert sys.excepthook == app.on_error
"""
    )
    assert project.run().outcomes == {"passed": 2}


def test_handlers_that_a_value_never_takes_off_are_its_fixtures(project: Project) -> None:
    write_suite(project, _APP)
    path = project.path / "test_it.py"
    path.write_text(
        path.read_text()
        + """
@pytest.fixture(scope="module")
def app(): yield App()
def test_starts(app): app.start()
def test_own(app): signal.signal(signal.SIGUSR1, lambda *_: None)
def test_own_object(): signal.signal(signal.SIGUSR2, App().on_signal)
def test_last(app): pass
"""
    )
    run = project.run()

    assert {one["kind"] for one in run.of("test_last")} == {"atexit", "listeners", "signals"}
    assert {one["owner"]["name"] for one in run.of("test_last")} == {"app"}
    assert run.one("test_own")["owner"]["type"] == "test"
    assert run.outcomes == {"passed": 1, "leaked": 3}


def test_a_listener_on_an_emitter_of_the_session_is_the_tests(project: Project) -> None:
    """The emitter leads to whoever listens: that says nothing of whose he is."""
    pytest.importorskip("pyee")
    write_suite(
        project,
        """
        import pyee
        class Part:
            def hear(self): pass
        @pytest.fixture(scope="session")
        def bus(): return pyee.EventEmitter()
        def test_it(bus): bus.on("x", Part().hear)
        def test_next(bus): pass
        """,
    )
    run = project.run()

    assert run.one("test_it", kind="listeners")["owner"]["type"] == "test"
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_of_two_handlers_alike_the_one_that_stays_is_not_taken_for_the_other(
    project: Project,
) -> None:
    """A fixture takes off its own, and a leaked one that was told already is left."""
    write_suite(
        project,
        """
        import logging
        LOG = logging.getLogger("app")
        @pytest.fixture(scope="module")
        def handler():
            handler = logging.StreamHandler(); LOG.addHandler(handler)
            yield
            LOG.removeHandler(handler)
        def test_first(handler): pass
        def test_leaks(): LOG.addHandler(logging.StreamHandler())
        def test_last(handler): pass
        """,
    )
    run = project.run()

    run.one("test_leaks", kind="listeners")
    assert run.outcomes == {"passed": 2, "leaked": 1}


def test_a_connection_that_its_loop_closes_a_turn_later(project: Project) -> None:
    """Nobody runs the loop of the module between the fixture's last line and its judgement."""
    write_suite(
        project,
        """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        @pytest_asyncio.fixture(loop_scope="module", scope="module")
        async def connection():
            async def serve(reader, writer):
                await reader.read()
                writer.close()
            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                yield writer
                writer.close()
                await writer.wait_closed()
        async def test_it(connection): connection.write(b"x")
        """,
    )
    assert project.run("-p", "asyncio").outcomes == {"passed": 1}


def test_a_pool_of_a_module_of_the_project_that_a_fixture_begins_and_ends(
    project: Project,
) -> None:
    """It is the fixture that answers for it, whichever test connects first."""
    project.write(
        "db.py",
        """
import socket
_pool = None
class Pool:
    def __init__(self): self.free = []
    def get(self): return self.free.pop() if self.free else socket.socket()
def init():
    global _pool
    _pool = Pool()
def close():
    while _pool.free: _pool.free.pop().close()
def query():
    connection = _pool.get()
    _pool.free.append(connection)
""",
    )
    write_suite(
        project,
        """
        import sys
        sys.path.insert(0, os.path.dirname(__file__))
        import db
        @pytest.fixture(scope="module", autouse=True)
        def database():
            db.init()
            yield
            db.close()
        def test_query(): db.query()
        def test_query_again(): db.query()
        """,
    )
    project.write(
        "test_later.py",
        """
import pytest
from db import init, query
@pytest.fixture(scope="module", autouse=True)
def never_closed(): init()
def test_query(): query()
def test_last(): pass
""",
    )
    run = project.run()

    assert run.one("test_last")["owner"]["name"] == "never_closed"
    assert run.outcomes == {"passed": 3, "leaked": 1}, run.text


def test_a_test_may_connect_anew_what_its_class_or_module_is_bound_to(project: Project) -> None:
    """The teardown closes what it finds under that name."""
    write_suite(
        project,
        """
        import unittest
        def setup_module():
            global CONNECTION
            CONNECTION = socket.socket()
        def teardown_module(): CONNECTION.close()
        def test_module():
            global CONNECTION
            CONNECTION.close(); CONNECTION = socket.socket()
        class Test(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.connection = socket.socket()
            @classmethod
            def tearDownClass(cls): cls.connection.close()
            def test_connects(self):
                type(self).connection.close(); type(self).connection = socket.socket()
            def test_uses(self): assert self.connection.fileno() > 0
        """,
    )
    assert project.run().outcomes == {"passed": 3}


def test_a_value_that_closes_itself_when_it_is_dropped(project: Project) -> None:
    """By its own finalizer, or by one of `weakref`; a bare socket is closed by nobody."""
    write_suite(
        project,
        """
        import weakref
        class Dying:
            def __init__(self): self.socket = socket.socket()
            def __del__(self): self.socket.close()
        class Finalized:
            def __init__(self):
                self.socket = socket.socket()
                weakref.finalize(self, self.socket.close)
        class Plain:
            def __init__(self): self.socket = socket.socket()
        @pytest.fixture(params=[Dying, Finalized, Plain], ids=lambda cls: cls.__name__)
        def client(request): return request.param()
        def test_it(client): pass
        """,
    )
    run = project.run()

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_it[Plain]"]


def test_a_worker_of_a_loop_that_was_there_before_is_the_loops(project: Project) -> None:
    """Whoever ends that loop ends it; that of a loop of the test's own goes with the loop's finding."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest
        LOOP = asyncio.new_event_loop()
        KEEP = []
        def test_uses(): LOOP.run_until_complete(asyncio.to_thread(int))
        def test_leaks():
            KEEP.append(asyncio.new_event_loop())
            KEEP[0].run_until_complete(asyncio.to_thread(int))
        """.replace("asyncio.to_thread(int)", "_in_thread()")
        + "async def _in_thread(): await asyncio.to_thread(int)\n",
    )
    run = project.run("-W", "ignore")

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes are handles there")
def test_numbers_that_a_spawned_process_has_been_given_say_nothing(project: Project) -> None:
    """Its ``Popen`` remembers them, though they were closed here at once."""
    write_suite(
        project,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        @pytest.fixture(scope="module")
        def pool():
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool: yield pool
        def test_uses(pool): assert pool.submit(int).result() == 0
        def test_leaks(pool): KEEP.append([os.pipe() for _ in range(4)])
        def test_after(): pass
        """,
    )
    run = project.run("-W", "ignore")

    finding = run.one(kind="fds")
    assert (finding["nodeid"], finding["count"]) == ("test_it.py::test_leaks", 8), run.text


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes are handles there")
def test_a_pool_of_the_session_has_the_pipes_of_a_process_that_has_ended(project: Project) -> None:
    """Its own thread keeps the process in a variable until the next one ends."""
    write_suite(
        project,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        @pytest.fixture(scope="session")
        def pool():
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool: yield pool
        @pytest.mark.parametrize("n", range(3))
        def test_uses(pool, n): assert pool.submit(int).result() == 0
        def test_leaks(pool): KEEP.append(os.pipe())
        """,
    )
    run = project.run("-W", "ignore")

    assert run.one(kind="fds")["nodeid"] == "test_it.py::test_leaks", run.text
    assert run.outcomes == {"passed": 3, "leaked": 1}


def test_numbers_in_a_fixtures_value_are_no_descriptors_that_others_open_later(
    project: Project,
) -> None:
    """It counts something else, or has closed it; what it opens again is its own."""
    write_suite(
        project,
        """
        class Device:
            def __init__(self): self.handle = None; self.open(); self.old = self.handle
            def open(self): self.handle = os.open(os.devnull, os.O_RDONLY)
            def close(self): os.close(self.handle)
        @pytest.fixture(scope="module")
        def numbers(): return list(range(200))
        @pytest.fixture(scope="module")
        def closed():
            device = Device(); device.close()
            return device
        @pytest.fixture(scope="module")
        def device():
            device = Device(); yield device; device.close()
        def test_opens_again(device): device.close(); device.open()
        def test_leaks(numbers, closed, device): KEEP.append([os.pipe() for _ in range(3)])
        def test_last(device): device.close(); device.open()
        """,
    )
    run = project.run()

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text
    assert sum(one["count"] for one in run.failing) == 6


def test_a_pool_that_keeps_its_connections_in_a_list_has_to_close_them(project: Project) -> None:
    """That they end when the runner drops the fixture's value is nobody's merit."""
    write_suite(project, """
        import contextlib
        class Pool:
            def __init__(self): self.sockets, self.files = [], {}
            def connect(self): self.sockets.append(socket.socket())
            def open(self): self.files[len(self.files)] = open(__file__)
            def close(self):
                for one in [*self.sockets, *self.files.values()]: one.close()
        @pytest.fixture(scope="class")
        def pool(): yield Pool()
        @pytest.fixture(scope="class")
        def closed():
            with contextlib.closing(Pool()) as pool: yield pool
        class TestLeaks:
            def test_first(self, pool): pool.connect()
            def test_second(self, pool): pool.connect(); pool.open()
            def test_last(self, pool): pass
        class TestClean:
            def test_first(self, closed): closed.connect()
            def test_last(self, closed): closed.open()
        """)  # fmt: skip
    run = project.run("-W", "ignore")

    assert run.outcomes == {"passed": 4, "leaked": 1}, run.text
    assert sorted((one["kind"], one["count"], one["owner"]["name"]) for one in run.failing) == [
        ("fds", 1, "pool"),
        ("sockets", 2, "pool"),
    ]
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::TestLeaks::test_last"}
