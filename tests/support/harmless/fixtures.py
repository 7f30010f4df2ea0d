"""What fixtures of every scope keep, hand out and end."""

from __future__ import annotations

from support.harmless.case import Harmless

__all__ = ["FIXTURES"]

_AIO = ("asyncio",)

FIXTURES = (
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
    Harmless("databases_in_a_pool_of_a_session_fixture_that_grows_during_a_test", """
        import sqlite3
        class Pool:
            def __init__(self, path): self.path, self.idle = path, []
            def get(self):
                if self.idle: return self.idle.pop()
                database = sqlite3.connect(self.path)
                database.execute("pragma journal_mode=wal")
                database.execute("create table if not exists kept (id)")
                return database
            def close(self):
                for one in self.idle: one.close()
        @pytest.fixture(scope="session")
        def pool(tmp_path_factory):
            pool = Pool(tmp_path_factory.mktemp("pool") / "data.db"); yield pool; pool.close()
        @again
        def test_it(pool, again):
            taken = [pool.get() for _ in range(again + 1)]
            pool.idle += taken
        """),
    Harmless("connections_of_a_driver_in_c_that_a_session_fixture_keeps", """
        import _socket  # like those of a database's driver: known to no module but their own
        @pytest.fixture(scope="session")
        def engine():
            engine = {"idle": []}; yield engine
            for one in engine["idle"]: one.close()
        @again
        def test_it(engine, again):
            engine["idle"].append(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM))
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
    Harmless("first_temporary_folder_of_the_run_made_by_a_wider_fixture", """
        @pytest.fixture(scope="module")
        def folder(tmp_path_factory): return tmp_path_factory.mktemp("x")
        def test_it(folder): assert folder.is_dir()
        """),
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
)  # fmt: skip
