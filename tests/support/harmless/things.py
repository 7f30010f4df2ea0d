"""Files, handlers, timers and imports that are put back or meant to stay."""

from __future__ import annotations

from support.harmless.case import Harmless

__all__ = ["THINGS"]

THINGS = (
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
