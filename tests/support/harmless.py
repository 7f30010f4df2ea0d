"""Things that look like leaks and are none: each a small suite that must stay as it is."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pytest

__all__ = ["HARMLESS", "Harmless"]

_HEAD = """
import asyncio, atexit, contextlib, functools, gc, http.server, io, logging, logging.config
import multiprocessing, os, queue, signal, socket, socketserver, sqlite3, subprocess, sys
import tempfile, threading, time, unittest, urllib.request, warnings, weakref, _thread
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
import pytest

again = pytest.mark.parametrize("again", range(3))
"""


@dataclass(frozen=True)
class Harmless:
    """One such suite.

    Attributes:
        name: a claim about what is harmless.
        text: the test file.
        plugins: that it needs.
        args: further arguments.
        waits: whether grace has to be given: things that go by themselves in a moment.
        more: further files.
    """

    name: str
    text: str
    plugins: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    waits: bool = False
    more: tuple[tuple[str, str], ...] = ()
    head: bool = True

    def file(self) -> str:
        """Return the test file."""
        body = textwrap.dedent(self.text).strip() + "\n"
        return _HEAD.lstrip() + body if self.head else body


_AIO = ("asyncio",)

HARMLESS = (
    Harmless("to_thread_in_an_async_test", """
        @again
        @pytest.mark.asyncio
        async def test_it(again):
            assert await asyncio.to_thread(lambda: 1) == 1
        """, plugins=_AIO),
    Harmless("to_thread_below_asyncio_run", """
        @again
        def test_it(again):
            assert asyncio.run(asyncio.to_thread(lambda: 1)) == 1
        """),
    Harmless("address_lookup_on_the_loop", """
        @again
        @pytest.mark.asyncio
        async def test_it(again):
            assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        """, plugins=_AIO),
    Harmless("executor_told_to_shut_down_without_waiting", """
        @again
        def test_it(again):
            pool = ThreadPoolExecutor(4)
            for _ in range(4): pool.submit(int)
            pool.shutdown(wait=False)
        """, waits=True),
    Harmless("executor_used_as_a_context", """
        @again
        def test_it(again):
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(int, "123")) == [1, 2, 3]
        """),
    Harmless("executor_dropped_without_shutdown_ends_by_itself", """
        @again
        def test_it(again):
            ThreadPoolExecutor(1).submit(int).result()
        """, waits=True),
    Harmless("patched_clocks_and_file_functions", """
        @pytest.fixture(autouse=True, scope="module")
        def patched():
            with pytest.MonkeyPatch.context() as patch:
                for name in ("listdir", "fstat"): patch.setattr(os, name, None)
                for name in ("sleep", "monotonic", "perf_counter"): patch.setattr(time, name, None)
                patch.setattr("builtins.open", None)
                patch.setattr("io.open", None)
                yield
        @again
        def test_it(again):
            file = io.FileIO("/proc/self/stat"); os.dup2(file.fileno(), 100); os.close(100)
            child = subprocess.Popen(["true"]); child.wait()
            thread = threading.Thread(target=int); thread.start(); thread.join()
            _thread.start_new_thread(int, ())
            raise_late = threading.Timer(0.05, file.close); raise_late.start()
        """, waits=True, args=("-s",)),
    Harmless("temporary_folder_first_asked_for_by_a_wide_fixture", """
        @pytest.fixture(scope="module")
        def folder(tmp_path_factory): return tmp_path_factory.mktemp("wide")
        def test_it(folder): (folder / "file").write_text("x")
        """),
    Harmless("wide_fixtures_that_share_a_pool", """
        @pytest.fixture(scope="session")
        def pool():
            with ThreadPoolExecutor(9) as pool: yield pool
        @pytest.fixture(scope="class")
        def client(pool): return [pool]
        class TestClient:
            def test_it(self, client): client[0].submit(int).result()
        def test_last(pool): pool.submit(int).result()
        """),
    Harmless("executor_that_a_fixture_returns_ends_with_the_test", """
        @pytest.fixture
        def pool(): return ThreadPoolExecutor(2)
        @pytest.fixture(scope="module")
        def wide(): return ThreadPoolExecutor(2)
        class TestClass:
            def test_first(self, wide): wide.submit(int).result()
            def test_own(self, pool): pool.submit(int).result()
        def test_last(pool, wide):
            pool.submit(int).result(); wide.submit(int).result()
        """, waits=True),
    Harmless("executor_of_a_session_fixture_that_grows_in_tests", """
        @pytest.fixture(scope="session")
        def pool():
            with ThreadPoolExecutor(8) as pool:
                yield pool
        @again
        def test_it(pool, again):
            barrier = threading.Barrier(again + 2)
            list(pool.map(lambda _: barrier.wait(5), range(again + 2)))
        """),
    Harmless("process_pool_used_as_a_context", """
        @again
        def test_it(again):
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                assert pool.submit(int, "7").result() == 7
        """, waits=True),
    Harmless("process_pool_with_fork", """
        @again
        def test_it(again):
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
                assert list(pool.map(int, "12")) == [1, 2]
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("multiprocessing_process_spawned_and_joined", """
        @again
        def test_it(again):
            child = multiprocessing.get_context("spawn").Process(target=int)
            child.start(); child.join(); assert child.exitcode == 0
        """, waits=True),
    Harmless("multiprocessing_fork_server", """
        @again
        def test_it(again):
            child = multiprocessing.get_context("forkserver").Process(target=int)
            child.start(); child.join(); assert child.exitcode == 0
        """, waits=True),
    Harmless("multiprocessing_lock_starts_the_resource_tracker", """
        @again
        def test_it(again):
            with multiprocessing.Lock(): pass
            multiprocessing.get_context("spawn").Event().set()
        """),
    Harmless("multiprocessing_queue_closed_and_joined", """
        @again
        def test_it(again):
            queue = multiprocessing.Queue()
            queue.put(1); assert queue.get(timeout=9) == 1
            queue.close(); queue.join_thread()
        """),
    Harmless("shared_memory_closed_and_unlinked", """
        from multiprocessing.shared_memory import SharedMemory
        @again
        def test_it(again):
            block = SharedMemory(create=True, size=100)
            block.close(); block.unlink()
        """),
    Harmless("multiprocessing_heap_arena", """
        @again
        def test_it(again):
            value = multiprocessing.Value("i", 1)
            assert value.value == 1
            array = multiprocessing.Array("d", 10)
        """),
    Harmless("multiprocessing_pool_closed_and_joined", """
        @again
        def test_it(again):
            pool = multiprocessing.get_context("fork").Pool(2)
            assert pool.map(int, "12") == [1, 2]
            pool.close(); pool.join()
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("multiprocessing_pool_used_as_a_context", """
        @again
        def test_it(again):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(int, "12") == [1, 2]
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("multiprocessing_thread_pool", """
        from multiprocessing.pool import ThreadPool
        @again
        def test_it(again):
            with ThreadPool(2) as pool:
                assert pool.map(int, "12") == [1, 2]
        """, waits=True),
    Harmless("multiprocessing_manager_shut_down", """
        @again
        def test_it(again):
            with multiprocessing.get_context("fork").Manager() as manager:
                manager.dict()["a"] = 1
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("thread_that_lingers_for_150_ms", """
        @again
        def test_it(again):
            threading.Thread(target=time.sleep, args=(0.15,)).start()
        """, waits=True),
    Harmless("daemon_thread_about_to_end", """
        @again
        def test_it(again):
            threading.Thread(target=time.sleep, args=(0.03,), daemon=True).start()
            _thread.start_new_thread(time.sleep, (0.03,))
        """, waits=True),
    Harmless("subprocess_run", """
        @again
        def test_it(again):
            assert subprocess.run(["echo", "hi"], capture_output=True, check=True).stdout
            subprocess.check_output(["true"])
            os.system("true")
            os.popen("echo").close()
        """),
    Harmless("asyncio_subprocess_waited_for", """
        @again
        @pytest.mark.asyncio
        async def test_it(again):
            child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE,
                stdout=subprocess.PIPE)
            assert (await child.communicate(b"x"))[0] == b"x"
        """, plugins=_AIO, waits=True),
    Harmless("asyncio_subprocess_below_asyncio_run", """
        async def main():
            child = await asyncio.create_subprocess_shell("exit 3")
            return await child.wait()
        @again
        def test_it(again):
            assert asyncio.run(main()) == 3
        """, waits=True),
    Harmless("temporary_files_and_folders", """
        @again
        def test_it(again):
            with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as one:
                Path(folder, "x").write_text("x")
            with tempfile.NamedTemporaryFile() as two, tempfile.SpooledTemporaryFile() as three:
                three.write(b"x"); three.rollover()
        """),
    Harmless("weak_finalizers", """
        class Thing: pass
        @again
        def test_it(again):
            weakref.finalize(Thing(), int)
        """),
    Harmless("logging_configured_again_and_again", """
        CONFIG = {"version": 1, "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(message)s"}},
            "filters": {"named": {"name": "app"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain",
                                 "filters": ["named"]}},
            "loggers": {"app": {"handlers": ["out"], "level": "INFO"}}}
        @pytest.fixture(scope="session", autouse=True)
        def configured():
            logging.config.dictConfig(CONFIG)
            yield
            for one in list(logging.getLogger("app").handlers):
                logging.getLogger("app").removeHandler(one)
        @again
        def test_it(again):
            logging.config.dictConfig(CONFIG)
            logging.config.dictConfig(CONFIG)
        """),
    Harmless("server_of_a_session_fixture_with_clients_that_come_and_go", """
        class Quiet(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                self.send_response(200); self.send_header("Content-Length", "2")
                self.end_headers(); self.wfile.write(b"ok")
            def log_message(self, *args): pass
        @pytest.fixture(scope="session")
        def server():
            with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
                server.daemon_threads = True
                thread = threading.Thread(target=server.serve_forever, args=(0.01,))
                thread.start()
                yield server.server_address
                server.shutdown()
                thread.join()
        @again
        def test_short(server, again):
            with urllib.request.urlopen("http://%s:%d/" % server) as answer:
                assert answer.read() == b"ok"
        @again
        def test_kept_alive(server, again):
            with socket.create_connection(server) as client:
                client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                assert client.recv(1)
        """, waits=True),
    Harmless("accepted_connection_that_a_session_server_keeps_until_its_end", """
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
            for one in accepted: one.close()
        @again
        def test_it(server, again):
            address, accepted = server
            with socket.create_connection(address):
                while len(accepted) <= again: time.sleep(0.001)
        """),
    Harmless("asyncio_server_of_a_module_fixture", """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        async def handle(reader, writer):
            writer.write(await reader.readline()); await writer.drain(); writer.close()
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def port():
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            async with server:
                yield server.sockets[0].getsockname()[1]
        @again
        async def test_it(port, again):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x\\n"); assert await reader.readline() == b"x\\n"
            writer.close(); await writer.wait_closed()
        """, plugins=_AIO, waits=True),
    Harmless("asyncio_server_in_a_thread_of_a_session_fixture", """
        class Background:
            def __enter__(self):
                self.loop = asyncio.new_event_loop()
                self.thread = threading.Thread(target=self.loop.run_forever); self.thread.start()
                self.server = asyncio.run_coroutine_threadsafe(
                    asyncio.start_server(self.handle, "127.0.0.1", 0), self.loop).result()
                return self.server.sockets[0].getsockname()
            async def handle(self, reader, writer):
                try: await reader.read()
                finally: writer.close()
            def __exit__(self, *exc):
                async def stop():
                    self.server.close()
                    others = asyncio.all_tasks() - {asyncio.current_task()}
                    for task in others: task.cancel()
                    await asyncio.gather(*others, return_exceptions=True)
                    await asyncio.sleep(0.01)
                asyncio.run_coroutine_threadsafe(stop(), self.loop).result()
                self.loop.call_soon_threadsafe(self.loop.stop); self.thread.join()
                self.loop.close()
        @pytest.fixture(scope="session")
        def address():
            with Background() as address: yield address
        @again
        def test_it(address, again):
            with socket.create_connection(address): pass
        def test_kept(address):
            with socket.create_connection(address) as one: one.sendall(b"x")
        """, waits=True),
    Harmless("pool_of_a_session_fixture_that_grows_during_a_test", """
        class Pool:
            def __init__(self): self.idle = []
            def get(self):
                return self.idle.pop() if self.idle else socket.socketpair()
            def put(self, pair): self.idle.append(pair)
            def close(self):
                for pair in self.idle:
                    for one in pair: one.close()
        @pytest.fixture(scope="session")
        def pool():
            pool = Pool(); yield pool; pool.close()
        @again
        def test_it(pool, again):
            taken = [pool.get() for _ in range(again + 1)]
            for one in taken: pool.put(one)
        """),
    Harmless("descriptor_numbers_kept_by_a_module_fixture", """
        class Files:
            def __init__(self): self.fds = []; self.pipe = None
            def open(self):
                self.fds.append(os.open(os.devnull, os.O_RDONLY)); self.pipe = os.pipe()
            def close(self):
                for fd in [*self.fds, *self.pipe]: os.close(fd)
        @pytest.fixture(scope="module")
        def files():
            files = Files(); yield files; files.close()
        def test_it(files): files.open()
        def test_after(files): assert files.fds
        """),
    Harmless("wide_fixtures_of_all_shapes", """
        import blinker
        SIGNAL = blinker.Signal()
        def use():
            return open(__file__), socket.socket(), os.pipe(), threading.Timer(1000, int)
        def drop(things):
            for one in things[:2]: one.close()
            for fd in things[2]: os.close(fd)
            things[3].cancel(); things[3].join()
        @pytest.fixture(scope="session", params=[1, 2])
        def parametrized(request):
            things = use(); things[3].start(); yield things; drop(things)
        @pytest.fixture(scope="session")
        def by_finalizer(request):
            things = use(); things[3].start(); request.addfinalizer(lambda: drop(things))
            return things
        @pytest.fixture(scope="package")
        def of_package(by_finalizer):
            things = use(); things[3].start(); yield; drop(things)
        @pytest.fixture(scope="module", autouse=True)
        def automatic(of_package):
            things = use(); things[3].start(); yield; drop(things)
        @pytest.fixture(scope="class")
        def of_class(automatic, request):
            request.cls.things = use(); request.cls.things[3].start(); yield
            drop(request.cls.things)
        class TestOne:
            def test_a(self, of_class, parametrized): pass
            def test_b(self, of_class): pass
        class TestTwo:
            def test_a(self, of_class, by_finalizer): pass
        def test_last(request): request.getfixturevalue("parametrized")
        """.replace('request.getfixturevalue("parametrized")', "pass")),
    Harmless("wide_fixture_asked_for_in_the_middle_of_a_test", """
        @pytest.fixture(scope="module")
        def late():
            with open(__file__) as file, socket.socket() as sock: yield file
        def test_first(request): request.getfixturevalue("late")
        def test_second(late): assert not late.closed
        """),
    Harmless("function_fixture_that_overrides_a_session_fixture_and_requests_it", """
        @pytest.fixture
        def thing(thing):
            with open(__file__) as own: yield thing, own
        @again
        def test_it(thing, again): assert not thing[0].closed
        """, more=(("conftest.py", """
        import pytest, socket, threading
        @pytest.fixture(scope="session")
        def thing():
            stop = threading.Event()
            thread = threading.Thread(target=stop.wait); thread.start()
            with open(__file__) as file: yield file
            stop.set(); thread.join()
        """),)),
    Harmless("autouse_session_fixture", """
        @again
        def test_it(again): pass
        """, more=(("conftest.py", """
        import pytest, signal, threading, socket, logging
        @pytest.fixture(scope="session", autouse=True)
        def world():
            before = signal.signal(signal.SIGUSR1, lambda *a: None)
            stop = threading.Event()
            thread = threading.Thread(target=stop.wait); thread.start()
            handler = logging.NullHandler(); logging.getLogger().addHandler(handler)
            with socket.create_server(("127.0.0.1", 0)) as server: yield server
            logging.getLogger().removeHandler(handler)
            stop.set(); thread.join(); signal.signal(signal.SIGUSR1, before)
        """),)),
    Harmless("xunit_setups_that_are_torn_down", """
        def setup_module(): global FILE; FILE = open(__file__)
        def teardown_module(): FILE.close()
        def setup_function(): global PIPE; PIPE = os.pipe()
        def teardown_function(): [os.close(fd) for fd in PIPE]
        class TestOne:
            @classmethod
            def setup_class(cls): cls.sock = socket.socket()
            @classmethod
            def teardown_class(cls): cls.sock.close()
            def setup_method(self): self.file = open(__file__)
            def teardown_method(self): self.file.close()
            def test_a(self): pass
            def test_b(self): pass
        def test_c(): pass
        """),
    Harmless("unittest_cases_that_clean_up", """
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.shared = open(__file__); cls.addClassCleanup(cls.shared.close)
            def setUp(self):
                self.file = open(__file__); self.addCleanup(self.file.close)
            def test_a(self): self.enterContext(socket.socket())
            def test_b(self):
                for number in range(3):
                    with self.subTest(number): pass
            @unittest.skip("not now")
            def test_c(self): raise AssertionError
            @unittest.expectedFailure
            def test_d(self): raise AssertionError
        class Async(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                self.task = asyncio.create_task(asyncio.sleep(1000))
            async def asyncTearDown(self):
                self.task.cancel()
            async def test_a(self): await asyncio.sleep(0)
            async def test_b(self): await asyncio.to_thread(int)
        """),
    Harmless("pytest_fixtures_of_its_own", """
        @again
        def test_capfd(capfd, again): print("x"); os.write(1, b"y"); assert capfd.readouterr().out
        @again
        def test_capsysbinary(capsysbinary, again): print("x")
        @again
        def test_caplog(caplog, again):
            with caplog.at_level("DEBUG"): logging.getLogger("x").debug("hi")
            assert caplog.records
        @again
        def test_tmp_path(tmp_path, again): (tmp_path / "x").write_text("y")
        @again
        def test_monkeypatch(monkeypatch, tmp_path, again):
            monkeypatch.setenv("A", "b"); monkeypatch.chdir(tmp_path)
            monkeypatch.setattr(sys, "excepthook", int); monkeypatch.syspath_prepend("x")
        @again
        def test_recwarn(recwarn, again): warnings.warn("x"); assert recwarn.pop()
        def test_raises():
            with pytest.raises(ZeroDivisionError), pytest.warns(UserWarning):
                warnings.warn("x"); 1 / 0
        def test_session_folder(tmp_path_factory): tmp_path_factory.mktemp("x")
        """),
    Harmless("first_temporary_folder_of_the_run_made_by_a_wider_fixture", """
        @pytest.fixture(scope="module")
        def folder(tmp_path_factory): return tmp_path_factory.mktemp("x")
        def test_it(folder): assert folder.is_dir()
        """),
    Harmless("first_import_in_a_test_that_registers_an_exit_callback", """
        def test_first(): import lazy
        def test_second(): import lazy
        """, more=(("lazy.py", """
        import atexit, threading, logging
        atexit.register(int)
        logging.getLogger("lazy").addHandler(logging.NullHandler())
        THREAD = threading.Thread(target=threading.Event().wait, daemon=True); THREAD.start()
        FILE = open(__file__)
        """),)),
    Harmless("import_of_standard_modules_in_a_test", """
        def test_it():
            import concurrent.futures.process, multiprocessing.managers, asyncio.subprocess, sqlite3
            import xmlrpc.client, ssl, ctypes.util, readline, curses, uuid, secrets, zoneinfo
            uuid.uuid1(); secrets.token_hex(); ssl.create_default_context()
        """),
    Harmless("ssl_and_sqlite_closed", """
        import ssl
        @again
        def test_it(tmp_path, again):
            ssl.create_default_context()
            base = sqlite3.connect(tmp_path / "x.db"); base.execute("create table t (a)")
            base.commit(); base.close()
            with contextlib.closing(sqlite3.connect(":memory:")) as memory: memory.execute("select 1")
        """),
    Harmless("dump_of_tracebacks_after_a_timeout", """
        @again
        def test_it(again): pass
        """, args=("-o", "faulthandler_timeout=60")),
    Harmless("pytest_timeout_by_signal", """
        @pytest.fixture(scope="module")
        def wide(): yield
        @pytest.fixture
        def narrow(wide): yield
        @again
        def test_it(narrow, again): pass
        class TestOne:
            @pytest.mark.timeout(30)
            def test_it(self): pass
        """, plugins=("timeout",), args=("--timeout=60", "--timeout-method=signal")),
    Harmless("pytest_timeout_by_thread", """
        @pytest.fixture(scope="module")
        def wide(): yield
        @pytest.fixture
        def narrow(wide): yield
        @again
        def test_it(narrow, again): pass
        def test_other(): pass
        """, plugins=("timeout",), args=("--timeout=60", "--timeout-method=thread")),
    Harmless("pytest_timeout_of_the_function_only", """
        @again
        def test_it(again): pass
        """, plugins=("timeout",),
        args=("--timeout=60", "-o", "timeout_func_only=true", "--timeout-method=signal")),
    Harmless("trio_thread_cache", """
        import trio
        @again
        def test_it(again):
            async def main():
                async with trio.open_nursery() as nursery:
                    for _ in range(again + 2): nursery.start_soon(trio.to_thread.run_sync, int)
            trio.run(main)
        """, plugins=("anyio",)),
    Harmless("trio_tests_of_anyio", """
        import anyio, trio
        @pytest.fixture
        def anyio_backend(): return "trio"
        @again
        @pytest.mark.anyio
        async def test_it(again):
            await anyio.to_thread.run_sync(int)
            async with anyio.create_task_group() as group: group.start_soon(anyio.sleep, 0)
        """, plugins=("anyio",)),
    Harmless("anyio_threads_and_tasks_on_asyncio", """
        import anyio
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.fixture
        async def resource():
            async with await anyio.open_file(__file__) as file: yield file
        @again
        @pytest.mark.anyio
        async def test_it(resource, again):
            await anyio.to_thread.run_sync(int)
            async with anyio.create_task_group() as group: group.start_soon(anyio.sleep, 0)
            assert (await anyio.run_process(["true"])).returncode == 0
        """, plugins=("anyio",), waits=True),
    Harmless("anyio_module_fixture", """
        import anyio
        @pytest.fixture(scope="module")
        def anyio_backend(): return "asyncio"
        @pytest.fixture(scope="module")
        async def group():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 1000); yield group; group.cancel_scope.cancel()
        @again
        @pytest.mark.anyio
        async def test_it(group, again): await anyio.sleep(0)
        """, plugins=("anyio",)),
    Harmless("anyio_blocking_portal", """
        import anyio, anyio.from_thread
        @again
        def test_it(again):
            with anyio.from_thread.start_blocking_portal() as portal:
                assert portal.call(anyio.sleep, 0) is None
                portal.start_task_soon(anyio.sleep, 0).result()
        """, waits=True),
    Harmless("hypothesis", """
        from hypothesis import given, settings, strategies as st
        @settings(max_examples=20, deadline=None)
        @given(st.integers())
        def test_it(number):
            with open(__file__) as file: pass
        @given(st.text())
        @settings(max_examples=5, database=None)
        def test_other(text): pass
        """, plugins=("hypothesispytest",)),
    Harmless("doctests", '''
        def double(number):
            """
            >>> double(2)
            4
            """
            return number * 2
        ''', args=("--doctest-modules", "-W", "ignore"), head=False),
    Harmless("subtests", """
        def test_it(subtests):
            for number in range(3):
                with subtests.test(number=number), open(__file__): pass
        """, plugins=() if pytest.version_tuple >= (9,) else ("subtests",)),  # built in since
    Harmless("skipped_expected_and_parametrized_tests", """
        @pytest.mark.skip(reason="x")
        def test_skip(): raise AssertionError
        def test_skip_inside(): pytest.skip("x")
        @pytest.mark.xfail(strict=True)
        def test_xfail(): raise AssertionError
        def test_xfail_inside(): pytest.xfail("x")
        @pytest.mark.parametrize("x", range(5))
        @pytest.mark.parametrize("y", "ab")
        def test_both(x, y): pass
        @pytest.mark.skipif(True, reason="x")
        class TestSkip:
            def test_a(self): pass
        """),
    Harmless("foreign_thread_that_asked_for_its_own_name", """
        @again
        def test_it(again):
            done = threading.Event()
            def run():
                threading.current_thread().name; done.set()
            _thread.start_new_thread(run, ())
            assert done.wait(9)
        """, waits=True),
    Harmless("async_generators_closed", """
        async def numbers():
            for number in range(9): yield number
        @again
        @pytest.mark.asyncio
        async def test_closed(again):
            async with contextlib.aclosing(numbers()) as them: await anext(them)
        @pytest.mark.asyncio
        async def test_exhausted():
            assert [n async for n in numbers()]
        @pytest.mark.asyncio
        async def test_dropped():
            async for number in numbers(): break
            await asyncio.sleep(0)
        """, plugins=_AIO),
    Harmless("tasks_cancelled_in_fixtures_and_tests", """
        import pytest_asyncio
        async def forever():
            while True: await asyncio.sleep(1000)
        async def slow_end():
            try: await asyncio.sleep(1000)
            finally:
                for _ in range(3): await asyncio.sleep(0)
        @pytest_asyncio.fixture
        async def awaited():
            task = asyncio.create_task(forever()); yield task
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError): await task
        @pytest_asyncio.fixture
        async def only_cancelled():
            task = asyncio.create_task(slow_end()); yield task; task.cancel()
        @again
        @pytest.mark.asyncio
        async def test_fixtures(awaited, only_cancelled, again): await asyncio.sleep(0)
        @pytest.mark.asyncio
        async def test_cancelled_at_the_end():
            task = asyncio.create_task(slow_end()); await asyncio.sleep(0); task.cancel()
        @pytest.mark.asyncio
        async def test_group():
            async with asyncio.TaskGroup() as group: group.create_task(asyncio.sleep(0.001))
        @pytest.mark.asyncio
        async def test_timeouts():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001): await forever()
            with pytest.raises(TimeoutError): await asyncio.wait_for(forever(), 0.001)
        @pytest.mark.asyncio
        async def test_timer_cancelled():
            asyncio.get_running_loop().call_later(1000, int).cancel()
        """, plugins=_AIO),
    Harmless("what_asyncio_run_itself_cancels", """
        async def forever(): await asyncio.sleep(1000)
        async def main():
            asyncio.create_task(forever()); asyncio.get_running_loop().call_later(1000, int)
            await asyncio.sleep(0)
        @again
        def test_it(again): asyncio.run(main())
        def test_runner():
            with asyncio.Runner() as runner: runner.run(main())
        """),
    Harmless("loop_closed_by_hand", """
        async def main(): await asyncio.sleep(0)
        @again
        def test_it(again):
            loop = asyncio.new_event_loop()
            try: loop.run_until_complete(main())
            finally: loop.close()
        """),
    Harmless("loops_of_wider_scopes", """
        import pytest_asyncio
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def background():
            task = asyncio.create_task(asyncio.sleep(1000)); yield; task.cancel()
        @again
        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(background, again): await asyncio.sleep(0)
        @again
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session(again): await asyncio.to_thread(int)
        @pytest.mark.asyncio(loop_scope="class")
        class TestClass:
            async def test_a(self): await asyncio.sleep(0)
            async def test_b(self): await asyncio.to_thread(int)
        @pytest.mark.asyncio
        async def test_function(): await asyncio.sleep(0)
        """, plugins=_AIO),
    Harmless("async_fixtures_of_all_scopes", """
        import pytest_asyncio
        def maker(scope):
            @pytest_asyncio.fixture(scope=scope, loop_scope=scope)
            async def fix():
                task = asyncio.create_task(asyncio.sleep(1000))
                server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
                yield
                server.close(); task.cancel()
                with contextlib.suppress(asyncio.CancelledError): await task
            return fix
        of_session, of_module, of_class, of_function = map(maker,
            ["session", "module", "class", "function"])
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session(of_session): pass
        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(of_module, of_session): pass
        class TestOne:
            @pytest.mark.asyncio(loop_scope="class")
            async def test_class(self, of_class, of_module): pass
        @pytest.mark.asyncio
        async def test_function(of_function, of_session): pass
        """, plugins=_AIO),
    Harmless("auto_mode", """
        @pytest.fixture
        async def fix():
            task = asyncio.create_task(asyncio.sleep(1000)); yield; task.cancel()
        @again
        async def test_it(fix, again): await asyncio.to_thread(int)
        """, plugins=_AIO, args=("--asyncio-mode=auto",)),
    Harmless("uvloop_closed", """
        import uvloop
        async def main():
            await asyncio.sleep(0); await asyncio.to_thread(int)
        @again
        def test_runner(again):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())
        @again
        def test_run(again): uvloop.run(main())
        """, waits=True),
    Harmless("uvloop_by_pytest_asyncio", """
        import uvloop
        @pytest.fixture(scope="session")
        def event_loop_policy(): return uvloop.EventLoopPolicy()
        @again
        @pytest.mark.asyncio
        async def test_it(again): await asyncio.sleep(0); await asyncio.to_thread(int)
        """, plugins=_AIO, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("reference_cycle_that_holds_a_file", """
        @again
        def test_it(again):
            class Holder: pass
            one = Holder(); one.self = one; one.file = open(__file__); one.sock = socket.socket()
        """, waits=True, args=("-W", "ignore")),
    Harmless("timers_and_alarms_that_are_stopped", """
        @again
        def test_it(again):
            timer = threading.Timer(1000, int); timer.start(); timer.cancel(); timer.join()
            signal.alarm(1000); signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 1000); signal.setitimer(signal.ITIMER_PROF, 0)
            quick = threading.Timer(0.001, int); quick.start(); quick.join()
        def test_cancelled_only():
            timer = threading.Timer(1000, int); timer.start(); timer.cancel()
        """, waits=True),
    Harmless("handlers_put_back", """
        @again
        def test_it(again):
            before = signal.signal(signal.SIGINT, int); signal.signal(signal.SIGINT, before)
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            hook, sys.excepthook = sys.excepthook, int; sys.excepthook = hook
        @pytest.fixture
        def handled():
            before = signal.signal(signal.SIGTERM, int); yield
            signal.signal(signal.SIGTERM, before)
        @again
        def test_fixture(handled, again): pass
        """),
    Harmless("warnings_filters_that_pytest_restores", """
        @again
        def test_it(again):
            warnings.simplefilter("error"); warnings.filterwarnings("ignore", "x")
        """),
    Harmless("fork_without_exec_waited_for", """
        @again
        def test_it(again):
            pid = os.fork()
            if pid == 0: os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        """, args=("-W", "ignore::DeprecationWarning")),
    Harmless("helper_process_of_a_session_fixture_restarted_in_a_test", """
        class Helper:
            def __init__(self): self.child = None
            def start(self):
                self.child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
            def stop(self): self.child.communicate()
        @pytest.fixture(scope="session")
        def helper():
            helper = Helper(); helper.start(); yield helper; helper.stop()
        @again
        def test_it(helper, again): helper.stop(); helper.start()
        """),
    Harmless("cached_connection_of_a_session_fixture_made_by_a_function_fixture", """
        class App: pass
        @pytest.fixture(scope="session")
        def app():
            app = App(); app.connections = {}; yield app
            for one in app.connections.values(): one.close()
        @pytest.fixture
        def connection(app, request):
            return app.connections.setdefault(request.node.name, socket.socket())
        @again
        def test_it(connection, again): assert connection.fileno() > 0
        """),
    Harmless("threads_started_by_a_worker_of_a_session_fixture", """
        @pytest.fixture(scope="session")
        def jobs():
            inbox, crew = queue.Queue(), []
            stop = threading.Event()
            def run():
                while (job := inbox.get()) is not None:
                    one = threading.Thread(target=stop.wait); one.start(); crew.append(one)
                    job.set()
            boss = threading.Thread(target=run); boss.start()
            yield inbox
            inbox.put(None); boss.join(); stop.set()
            for one in crew: one.join()
        @again
        def test_it(jobs, again):
            done = threading.Event(); jobs.put(done); assert done.wait(9)
        """),
    Harmless("standard_streams_replaced_and_put_back", """
        @again
        def test_it(again):
            with contextlib.redirect_stdout(io.StringIO()): print("x")
            saved = os.dup(1); os.dup2(2, 1); os.dup2(saved, 1); os.close(saved)
        """),
    Harmless("context_variables_and_lru_caches", """
        @functools.lru_cache
        def cached(): return object()
        @again
        def test_it(again): cached(); threading.local().x = 1
        """),
)  # fmt: skip
