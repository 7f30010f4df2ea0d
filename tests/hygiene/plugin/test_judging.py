"""Who answers for what, what is said about it, and what is left alone: the issue's section 3."""

from __future__ import annotations

import re
import sys

import pytest
from support.inner import Project, brief

_HEAD = """
import asyncio, atexit, contextlib, gc, logging, os, signal, socket, subprocess, sys, threading
import time, unittest, warnings
import pytest

KEEP = []

def noop(*args): pass

def leave_thread():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, daemon=True); thread.start()
    return stop
"""


def _suite(project: Project, text: str, name: str = "test_it.py") -> None:
    import textwrap

    project.write(name, _HEAD.lstrip() + textwrap.dedent(text))


# --- owners ---


def test_what_a_fixtures_thread_makes_is_the_fixtures(project: Project) -> None:
    """A connection accepted by a session fixture's server is that fixture's leak, not the test's."""
    _suite(project, """
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
    _suite(
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


def test_a_leak_of_a_test_that_uses_a_wide_fixture_is_the_tests(project: Project) -> None:
    """A live session fixture does not take what it cannot reach: the test stays accused."""
    _suite(
        project,
        """
        class App:
            def use(self): return open(__file__)
        @pytest.fixture(scope="session")
        def app(): return App()
        def test_leaks(app): KEEP.append(app.use())
        def test_other(app): pass
        """,
    )
    run = project.run()

    assert run.one("test_leaks")["owner"]["type"] == "test"
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_what_a_wide_fixture_keeps_in_its_value_is_judged_at_its_end(project: Project) -> None:
    """A connection that joined a session pool in a test is the fixture's, once it is torn down."""
    _suite(
        project,
        """
        class Pool:
            def __init__(self): self.idle = []
            def get(self):
                self.idle.append(socket.socket()); return self.idle[-1]
        @pytest.fixture(scope="session")
        def pool():
            pool = Pool(); yield pool; KEEP.append(pool)
        def test_first(pool): pass
        def test_grows(pool): pool.get()
        def test_last(pool): pass
        """,
    )
    run = project.run()

    finding = run.one("test_last")

    assert finding["owner"] == {"type": "fixture", "name": "pool", "scope": "session"}
    assert finding["made_during"] == "test_it.py::test_grows"
    assert run.outcomes == {"passed": 2, "leaked": 1}


def test_what_setup_puts_into_its_class_or_module_is_the_fixtures(project: Project) -> None:
    """Xunit functions and many fixtures have no value: they bind names, or wait with locals."""
    _suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        POOL = None
        def setup_module(): global POOL; POOL = ThreadPoolExecutor(2)
        def teardown_module(): POOL.shutdown()
        @pytest.fixture(scope="session")
        def hidden():
            made = ThreadPoolExecutor(2)
            yield made.submit
            made.shutdown()
        class TestBound:
            @classmethod
            def setup_class(cls): cls.pool = ThreadPoolExecutor(2)
            @classmethod
            def teardown_class(cls): cls.pool.shutdown()
            def test_class(self, hidden): self.pool.submit(int).result()
            def test_module(self): POOL.submit(int).result()
            def test_local(self, hidden): hidden(int).result()
            def test_leaks(self): type(self).own = open(__file__)
            def test_last(self): self.own.close()
        """,
    )
    run = project.run()

    assert run.one()["nodeid"].endswith("test_leaks")


def test_a_loop_of_a_fixture_excuses_nothing_that_runs_on_it(project: Project) -> None:
    """Whatever refers to a loop reaches all of it; only its executor is its own."""
    _suite(
        project,
        """
        @pytest.fixture(scope="session")
        def loop():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever); thread.start()
            yield loop
            loop.call_soon_threadsafe(loop.stop); thread.join(); loop.close()
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


def test_an_overridden_session_fixture_is_told_from_its_override(project: Project) -> None:
    """Of two fixtures of one name each answers for its own leak, with its own scope."""
    project.write("conftest.py", """
        import pytest, socket
        KEEP = []
        @pytest.fixture(scope="session")
        def thing(): KEEP.append(socket.socket()); return 1
        """)  # fmt: skip
    _suite(
        project,
        """
        @pytest.fixture
        def thing(thing): KEEP.append(open(__file__)); return thing
        def test_first(thing): pass
        def test_last(): pass
        """,
    )
    run = project.run()

    assert run.one("test_first")["kind"] == "fds"
    assert run.one("test_first")["owner"] == {
        "type": "fixture", "name": "thing", "scope": "function"}  # fmt: skip
    assert run.one("test_last")["kind"] == "sockets"
    assert run.one("test_last")["owner"]["scope"] == "session"


def test_objects_that_raise_at_every_touch_disturb_nothing(project: Project) -> None:
    """Dead proxies and a framework's unbound "current request" are walked past."""
    _suite(
        project,
        """
        import weakref
        class Unbound:
            def __getattribute__(self, name): raise RuntimeError("no request is at work")
        class Gone: pass
        gone = Gone(); PROXY = weakref.proxy(gone); del gone
        KEEP += [PROXY, Unbound(), object.__new__(subprocess.Popen)]
        @pytest.fixture(scope="module")
        def wide(): return [PROXY, Unbound(), {"proxy": PROXY}]
        def test_it(wide):
            KEEP.append(open(__file__)); KEEP.append(socket.socket())
            KEEP.append(subprocess.Popen(["true"]))
            KEEP[-1].stay = PROXY
            signal.signal(signal.SIGUSR1, lambda *args: Unbound())
        """,
    )
    run = project.run()

    assert run.code == 1, run.text
    assert {one["kind"] for one in run.failing} == {"fds", "sockets", "processes", "signals"}


def test_a_class_fixture_of_a_test_without_a_class_answers_for_itself_only(
    project: Project,
) -> None:
    """It is torn down among the test's own fixtures; what the test made before stays the test's."""
    _suite(
        project,
        """
        @pytest.fixture(scope="class", autouse=True)
        def around():
            KEEP.append(open(__file__))
            yield
        def test_it(): KEEP.append(socket.socket())
        """,
    )
    run = project.run()

    assert run.one(kind="sockets")["owner"]["name"] == "test_it.py::test_it"
    owner = {"type": "fixture", "name": "around", "scope": "class"}
    assert run.one(kind="fds")["owner"] == owner


def test_a_finding_of_a_wide_fixture_says_where_it_is_defined(project: Project) -> None:
    """The finding names the fixture's scope, file and line."""
    _suite(
        project,
        """
        @pytest.fixture(scope="module")
        def wide(): KEEP.append(open(__file__)); return 1
        def test_it(wide): pass
        """,
    )
    run = project.run()
    line = project.line("test_it.py", "def wide(): KEEP.append(open(__file__)); return 1")

    place = run.one()["details"]["owner_location"]
    assert place in {f"test_it.py:{line}", f"test_it.py:{line - 1}"}
    assert f"fixture 'wide' (module scope) at {place}" in run.out


@pytest.mark.parametrize(
    ("text", "name", "scope"),
    [
        ("def setup_module(): MAKE", "setup_module", "module"),
        ("def setUpModule(): MAKE", "setUpModule", "module"),
        ("def teardown_module(): MAKE", "teardown_module", "module"),
        (("class TestA:\n    @classmethod\n    def teardown_class(cls): MAKE\n"
         "    def test_it(self): pass"), "teardown_class", "class"),
        (("class TestA(unittest.TestCase):\n    @classmethod\n    def tearDownClass(cls): MAKE\n"
         "    def test_it(self): pass"), "tearDownClass", "class"),
        ("class TestA:\n    def setup_method(self): MAKE\n    def test_it(self): pass",
         "setup_method", "function"),
        ("class TestA:\n    def teardown_method(self): MAKE\n    def test_it(self): pass",
         "teardown_method", "function"),
        (("class TestA(unittest.TestCase):\n    def tearDown(self): MAKE\n"
         "    def test_it(self): pass"), "tearDown", "function"),
    ],
)  # fmt: skip
def test_xunit_functions_go_by_their_own_names(
    project: Project, text: str, name: str, scope: str
) -> None:
    """What a setup or teardown function leaves is charged to it by the name it has in the file."""
    _suite(project, text.replace("MAKE", "KEEP.append(open(__file__))") + "\ndef test_z(): pass\n")
    owner = project.run().one()["owner"]

    assert owner == {"type": "fixture", "name": name, "scope": scope}


def test_a_leaking_import_belongs_to_the_module(project: Project) -> None:
    """What a module makes while it is first imported is a note that names the module."""
    project.write("lazy.py", "FILE = open(__file__)\n")
    _suite(project, "def test_it(): import lazy\n")
    run = project.run()
    run.assert_clean()

    (note,) = run.notes

    assert note["owner"]["type"] == "module"
    assert "lazy" in note["owner"]["name"]


def test_what_an_imported_module_does_later_is_no_import(project: Project) -> None:
    """A function of a module that the test calls after importing it leaks for the test."""
    project.write("lazy.py", "KEEP = []\ndef leak(): KEEP.append(open(__file__))\n")
    _suite(project, "def test_it():\n    import lazy\n    lazy.leak()\n")

    assert project.run().one()["owner"]["type"] == "test"


# --- no cascade ---


def test_a_leak_is_reported_once(project: Project) -> None:
    """What one test left is nobody else's: later tests of the run are not accused of it."""
    _suite(
        project,
        """
        def test_a(): KEEP.append((leave_thread(), open(__file__), socket.socket(), os.pipe()))
        def test_b(): pass
        def test_c(): open(__file__).close()
        def test_d(): leave_thread().set()
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 3, "leaked": 1}
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_a"}


def test_a_leak_that_was_allowed_never_hurts_the_next_test(project: Project) -> None:
    """Allowed leaks join the baseline, and what was changed is put back all the same."""
    _suite(
        project,
        """
        @pytest.mark.allow_leak(reason="a known case")
        def test_a():
            KEEP.append((leave_thread(), open(__file__), socket.socket()))
            signal.signal(signal.SIGUSR1, noop); signal.alarm(1000)
        def test_b(): assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        def test_c(): assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        """,
    )
    run = project.run()
    run.assert_clean()

    assert run.summary["allowed"] >= 4
    assert {one["reason"] for one in run.findings} == {"a known case"}


def test_the_end_of_an_earlier_leak_is_not_a_finding(project: Project) -> None:
    """When a later test closes what an earlier one left, that fails nothing."""
    _suite(
        project,
        """
        def test_a(): KEEP.append(open(__file__))
        def test_b(): KEEP[0].close()
        def test_c(): KEEP.append(open(__file__))
        """,
    )
    run = project.run()

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_a", "test_it.py::test_c"]


def test_a_swap_of_descriptors_is_seen(project: Project) -> None:
    """One closed and one opened leaves the count as it was, and is a leak."""
    _suite(
        project,
        """
        @pytest.fixture(scope="module")
        def file():
            with open(__file__) as file: yield file
        def test_swap(file):
            file.close(); KEEP.append(open(os.devnull))
        """,
    )
    finding = project.run().one(kind="fds")

    assert finding["owner"]["type"] == "test"
    assert "null" in finding["summary"]


# --- putting back ---

_CHANGES = [
    pytest.param("signal.signal(signal.SIGTERM, noop)",
                 "signal.getsignal(signal.SIGTERM) is not noop", id="handler"),
    pytest.param("signal.setitimer(signal.ITIMER_PROF, 1000)",
                 "signal.getitimer(signal.ITIMER_PROF) == (0, 0)", id="interval timer"),
    pytest.param("signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})",
                 "signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())", id="mask"),
    pytest.param("signal.set_wakeup_fd(WAKE.fileno())", "signal.set_wakeup_fd(-1) == -1",
                 id="wakeup descriptor"),
    pytest.param("sys.excepthook = noop", "sys.excepthook is not noop", id="excepthook"),
    pytest.param("threading.excepthook = noop", "threading.excepthook is not noop",
                 id="excepthook of threads"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "check"), _CHANGES)
def test_what_was_changed_is_put_back_after_it_is_reported(
    project: Project, change: str, check: str
) -> None:
    """The next test finds handlers, clocks, mask, wakeup fd and hooks as they were."""
    _suite(
        project,
        f"""
        WAKE = socket.socket(); WAKE.setblocking(False)
        def test_a(): {change}
        def test_b(): assert {check}
        """,
    )
    run = project.run()

    run.one("test_a")
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


@pytest.mark.parametrize(("change", "check"), _CHANGES)
def test_with_restoring_off_everything_stays_and_is_still_reported_once(
    project: Project, change: str, check: str
) -> None:
    """With --no-resource-hygiene-restore nothing is put back, and no later test is blamed."""
    _suite(
        project,
        f"""
        WAKE = socket.socket(); WAKE.setblocking(False)
        def test_a(): {change}
        def test_b(): assert not ({check})
        """,
    )
    run = project.run("--no-resource-hygiene-restore")

    assert [one["nodeid"] for one in run.failing if one["made_during"].endswith("a")] == [
        "test_it.py::test_a"
    ]
    assert "failed" not in run.outcomes, run.text


def test_a_loop_that_puts_back_the_default_is_a_note(project: Project) -> None:
    """In the background of a shell SIGINT is ignored; asyncio does not know that, nor care."""
    _suite(
        project,
        """
        @pytest.fixture(autouse=True, scope="module")
        def background():
            before = signal.signal(signal.SIGINT, signal.SIG_IGN); yield
            signal.signal(signal.SIGINT, before)
        async def listen():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGINT, noop); loop.remove_signal_handler(signal.SIGINT)
        def test_loop(): asyncio.run(listen())
        def test_hand(): signal.signal(signal.SIGINT, signal.SIG_DFL)
        def test_put_back(): assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        """,
    )
    run = project.run()

    assert run.one()["nodeid"].endswith("test_hand")
    assert [one["nodeid"] for one in run.notes] == ["test_it.py::test_loop"]


def test_a_handler_goes_back_to_what_the_live_fixture_set(project: Project) -> None:
    """Restoring a test's handler stops at the one that a live wider fixture has installed."""
    _suite(
        project,
        """
        def of_module(*args): pass
        @pytest.fixture(scope="module")
        def handled():
            before = signal.signal(signal.SIGUSR1, of_module); yield
            signal.signal(signal.SIGUSR1, before)
        def test_a(handled): signal.signal(signal.SIGUSR1, noop)
        def test_b(handled): assert signal.getsignal(signal.SIGUSR1) is of_module
        """,
    )
    run = project.run()

    finding = run.one("test_a")

    assert finding["change"] == "replaced"
    assert "of_module" in finding["summary"]
    assert "noop" in finding["summary"]
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


def test_a_leaked_task_is_cancelled_on_a_loop_that_lives_on(project: Project) -> None:
    """A task left on a module loop is reported for its test and does not run in the next one."""
    _suite(
        project,
        """
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        async def forever():
            try: await asyncio.sleep(1000)
            except asyncio.CancelledError: KEEP.append("cancelled"); raise
        async def test_a(): KEEP.append(asyncio.create_task(forever())); await asyncio.sleep(0)
        async def test_b(): assert KEEP[-1] == "cancelled"
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one("test_a")["kind"] == "tasks"
    assert run.one("test_a")["owner"]["name"] == "test_it.py::test_a"
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


# --- a test's own outcome ---


def test_a_test_that_fails_by_itself_keeps_its_failure_first_and_whole(project: Project) -> None:
    """Leaks of a failing test are added to its own failure, and never take its place."""
    _suite(
        project,
        """
        def test_it():
            KEEP.append(open(__file__))
            assert [1, 2] == [1, 3], "my own words"
        """,
    )
    run = project.run()

    assert run.code == 1
    assert run.outcomes["failed"] == 1
    assert "my own words" in run.out
    assert run.out.index("my own words") < run.out.index("fds:")
    assert run.one()["kind"] == "fds"


def test_what_only_a_failed_tests_frames_hold_is_no_leak(project: Project) -> None:
    """A failure is kept with all its locals until the next test; what these hold goes with it."""
    _suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        @pytest.fixture
        def pool(): return ThreadPoolExecutor(1)
        @pytest.fixture
        def broken():
            own = socket.socket()
            raise OSError("a broken setup")
        def test_is_broken(broken): pass
        class TestLastOfItsClass:
            def test_is_broken(self, broken): pass
        def test_fails(pool, caplog):
            own = socket.socket()
            pool.submit(int).result()
            try: raise OSError
            except OSError: logging.exception("kept with its frames")
            assert False, "its own failure"
        """,
    )
    run = project.run()

    assert run.outcomes == {"failed": 1, "errors": 2}
    assert run.failing == []
    assert "its own failure" in run.out
    assert "kept with its frames" in run.out


def test_a_failing_teardown_keeps_its_error(project: Project) -> None:
    """An error in a fixture's teardown is shown as it is, with the leaks beside it."""
    _suite(
        project,
        """
        @pytest.fixture
        def fix(): yield; KEEP.append(open(__file__)); raise ValueError("my own words")
        def test_it(fix): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "error": 1}, run.text
    assert "ValueError: my own words" in run.out
    assert run.one()["kind"] == "fds"


def test_a_failing_setup_is_checked_as_well(project: Project) -> None:
    """What a fixture made before its setup failed is found; the error stays an error."""
    _suite(
        project,
        """
        @pytest.fixture
        def fix(): KEEP.append(open(__file__)); raise ValueError("my own words")
        def test_it(fix): pass
        def test_after(): pass
        """,
    )
    run = project.run()

    assert "ValueError: my own words" in run.out
    assert run.outcomes["error"] == 1
    assert run.one("test_it")["owner"]["name"] == "fix"
    assert run.outcomes["passed"] == 1


def test_a_failing_wide_setup_is_checked_as_well(project: Project) -> None:
    """A module fixture whose setup fails answers for what it left before."""
    _suite(
        project,
        """
        @pytest.fixture(scope="module")
        def fix(): KEEP.append(open(__file__)); raise ValueError("my own words")
        def test_it(fix): pass
        def test_after(): pass
        """,
    )
    run = project.run()

    assert "ValueError: my own words" in run.out
    assert run.one()["owner"] == {"type": "fixture", "name": "fix", "scope": "module"}
    assert run.outcomes["error"] == 1


def test_skipped_and_expected_failures_are_judged(project: Project) -> None:
    """A test that skips itself or fails as expected leaks like any other."""
    _suite(
        project,
        """
        def test_skip(): KEEP.append(open(__file__)); pytest.skip("no")
        @pytest.mark.xfail(strict=True)
        def test_xfail(): KEEP.append(open(__file__)); raise AssertionError
        """,
    )
    run = project.run()

    assert {one["nodeid"] for one in run.failing} == {
        "test_it.py::test_skip", "test_it.py::test_xfail"}  # fmt: skip
    assert run.outcomes["leaked"] == 2
    assert run.code == 1


# --- what only the collector frees; what was dropped ---

_CYCLE = """
    def test_it():
        class Holder: pass
        one = Holder(); one.self = one; one.sock = socket.socket()
    """


def test_what_only_the_collector_frees_is_a_note(project: Project) -> None:
    """A socket in a reference cycle is noted once, at its origin, and fails nothing."""
    _suite(project, _CYCLE)
    run = project.run()
    run.assert_clean()

    assert len(run.notes) == 1, [brief(one) for one in run.notes]
    assert run.notes[0]["kind"] in {"sockets", "unclosed"}
    assert run.notes[0]["origin"]["function"] == "test_it"


def test_what_only_the_collector_frees_fails_with_strict(project: Project) -> None:
    """With --resource-hygiene-strict the same is a failure."""
    _suite(project, _CYCLE)
    run = project.run("--resource-hygiene-strict")

    assert run.one()["kind"] in {"sockets", "unclosed"}
    assert run.code == 1


def test_what_is_dropped_is_charged_to_its_maker(project: Project) -> None:
    """An unclosed file freed in a later test names the test that opened it, and the line."""
    _suite(
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
    _suite(
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
    _suite(
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


def test_a_dropped_file_fails_its_maker_with_strict(project: Project) -> None:
    """With strict, a file dropped without being closed fails the test that dropped it."""
    _suite(project, "def test_it(): open(__file__)\n")
    run = project.run("--resource-hygiene-strict", "-W", "ignore")

    assert run.one()["kind"] == "unclosed"
    assert run.outcomes == {"leaked": 1}


# --- singletons ---


def test_a_library_singleton_is_a_note_and_its_second_growth_fails(project: Project) -> None:
    """What a library keeps in its module is a note the first time; from the same site again it fails."""
    library = project.path / "lib" / "site-packages"
    project.write("lib/site-packages/somelib.py", """
        import threading
        _all = []
        def client():
            thread = threading.Thread(target=threading.Event().wait, daemon=True)
            thread.start()
            _all.append(thread)
        """)  # fmt: skip
    _suite(
        project,
        """
        import somelib
        def test_first(): somelib.client()
        def test_second(): somelib.client()
        """,
    )
    run = project.run(env={"PYTHONPATH": str(library)})

    assert [one["nodeid"] for one in run.notes] == ["test_it.py::test_first"]
    assert run.one()["nodeid"] == "test_it.py::test_second"


# --- MaxListeners ---

_COMPONENTS = """
    class Component:
        def __init__(self):
            self.before = [signal.signal(signal.SIGINT, self.stop),
                           signal.signal(signal.SIGTERM, self.stop)]
            atexit.register(self.stop)
        def stop(self, number=0, frame=None):
            if callable(self.before[0]): self.before[0](number, frame)
    @pytest.mark.parametrize("n", range(3))
    def test_app(n): KEEP.append([Component() for _ in range(21)])
    """


def test_a_leak_is_not_excused_by_a_singleton_of_the_same_call(project: Project) -> None:
    """The first shared memory starts the resource tracker, which stays; the memory is a leak."""
    _suite(
        project,
        """
        from multiprocessing.shared_memory import SharedMemory
        def test_it():
            KEEP.append(SharedMemory(create=True, size=10)); KEEP[0].unlink()
        """,
    )
    run = project.run()

    assert "/dev/shm/" in run.one("test_it", kind="fds")["summary"]
    assert [one["kind"] for one in run.notes if one["kind"] != "atexit"] == ["processes"]


def test_listeners_that_pile_up_fail_the_first_test(project: Project) -> None:
    """21 components that add signal and exit listeners fail at the first test, in familiar words."""
    _suite(project, _COMPONENTS)
    run = project.run("-x")

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_app[0]"}
    for event in ("SIGINT", "SIGTERM", "exit"):
        words = f"21 {event} listeners added to [process], limit 10"
        found = [one for one in run.failing if one["summary"] == words]
        assert len(found) == 1, f"{words}: {[brief(one) for one in run.failing]}"
        assert found[0]["change"] == "exceeded"
        assert found[0]["origin"]["function"] == "__init__"


def test_chained_handlers_are_reported_with_their_depth(project: Project) -> None:
    """A handler that wraps the one before, over and over, is so many handlers deep."""
    _suite(
        project,
        """
        def wrap():
            before = signal.getsignal(signal.SIGTERM)
            def handler(number, frame): return before(number, frame)
            signal.signal(signal.SIGTERM, handler)
        def test_it():
            for _ in range(7): wrap()
        """,
    )
    finding = project.run().one(change="replaced")

    assert "SIGTERM: 7 handlers deep" in str(finding)


def test_the_limit_of_listeners_can_be_set(project: Project) -> None:
    """Twelve listeners on a declared kind of emitter pass with a limit of twelve, as far as counts go."""
    _suite(
        project,
        """
        import blinker
        SIGNAL = blinker.Namespace().signal("news")
        class Listener:
            def heard(self, *args): pass
        @pytest.mark.allow_leak("listeners", match="Listener.heard", reason="counted here, not judged")
        def test_it():
            for _ in range(12): KEEP.append(Listener()); SIGNAL.connect(KEEP[-1].heard)
        """,
    )

    assert not list(project.run("--resource-hygiene-max-listeners=12").failing)

    (finding,) = [one for one in project.run().failing if one["change"] == "exceeded"]

    assert finding["kind"] == "listeners"
    assert re.fullmatch(r"12 .*listeners added to \[.*\], limit 10", finding["summary"])
    assert "news" in finding["summary"]


# --- counts and folding ---


def test_ten_leaks_of_one_site_are_one_finding(project: Project) -> None:
    """Ten files opened at one line are one finding with the count 10."""
    _suite(
        project,
        """
        def test_it():
            for _ in range(10): KEEP.append(open(__file__))
        """,
    )
    finding = project.run().one()

    assert finding["count"] == 10


def test_two_sites_are_two_findings(project: Project) -> None:
    """Leaks of different lines are told apart."""
    _suite(
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
    _suite(
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


def test_a_sleeping_task_is_one_finding_with_its_timer(project: Project) -> None:
    """The timer that will wake a leaked task is part of it."""
    _suite(
        project,
        """
        @pytest.mark.asyncio
        async def test_it():
            KEEP.append(asyncio.create_task(asyncio.sleep(1000))); await asyncio.sleep(0)
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one()["kind"] == "tasks"


def test_one_site_in_ten_tests_fails_ten_and_is_shown_once(project: Project) -> None:
    """The closing section groups by site, while each of the tests fails."""
    _suite(
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
    _suite(project, "def test_it(): KEEP.append(open(__file__))\n")
    first = project.run().one()["fingerprint"]
    _suite(project, "\n\n# more\n\ndef test_it(): KEEP.append(open(__file__))\n")
    second = project.run().one()["fingerprint"]

    assert first == second


# --- grace ---


def test_a_thread_that_ends_within_the_grace_is_no_leak_and_ends_the_waiting(
    project: Project,
) -> None:
    """Waiting stops at once when the suspect is gone: far before the grace is over."""
    _suite(
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
    _suite(
        project,
        """
        @pytest.mark.parametrize("n", range(5))
        def test_it(n): KEEP.append(leave_thread())
        """,
    )
    run = project.run(grace=1)

    assert run.outcomes == {"leaked": 5}
    assert [one["waited_seconds"] for one in run.failing] == [1.0, 0.15, 0.15, 0.15, 0.15]


def test_a_slow_closer_at_a_known_slow_site_is_still_forgiven(project: Project) -> None:
    """After a site has cost the full grace, one of its threads that needs 100 ms is no leak."""
    _suite(
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


# --- words ---


def test_a_finding_says_all_that_a_stranger_needs(project: Project) -> None:
    """What, where with its source line, by whom, who holds it, how long waited, and how to close."""
    _suite(
        project,
        """
        class Pool: pass
        POOL = Pool()
        def test_it():
            POOL.server = socket.create_server(("127.0.0.1", 0))  # here
        """,
    )
    run = project.run()
    finding = run.one()
    line = project.line("test_it.py", "# here")

    assert "listening" in finding["summary"]
    assert "127.0.0.1" in finding["summary"]
    assert finding["held_by"][0] == "module test_it"
    assert any("POOL" in step for step in finding["held_by"])
    assert finding["waited_seconds"] == 0.1
    assert "test_it" in [frame["function"] for frame in finding["stack"]]
    for words in (
        f"test_it.py:{line} in test_it",
        'POOL.server = socket.create_server(("127.0.0.1", 0))  # here',
        "test test_it.py::test_it",
        "module test_it ->",
        finding["hint"],
    ):
        assert words in run.out


def test_the_origin_is_the_innermost_frame_of_the_user(project: Project) -> None:
    """A thread that the standard library starts is charged to the line that called into it."""
    _suite(
        project,
        """
        import http.server
        def helper():
            KEEP.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), None))  # here
        def test_it(): helper()
        """,
    )
    finding = project.run().one()

    assert finding["origin"]["function"] == "helper"
    assert finding["origin"]["line"] == project.line("test_it.py", "# here")


def test_a_leaked_thread_shows_where_it_is_now(project: Project) -> None:
    """The present stack of a leaked thread is part of the finding."""
    _suite(
        project,
        """
        def busy(event): event.wait()
        def test_it():
            threading.Thread(target=busy, args=[threading.Event()], daemon=True).start()
        """,
    )
    finding = project.run().one()

    assert any(line.endswith("in busy") for line in finding["details"]["present_stack"])


def test_closing_what_others_opened_is_a_note(project: Project) -> None:
    """A test that closes a descriptor of a wider fixture is told so, and does not fail."""
    _suite(
        project,
        """
        @pytest.fixture(scope="module")
        def file(): return open(__file__)
        def test_closes(file): file.close()
        def test_last(file): pass
        """,
    )
    run = project.run()
    run.assert_clean()

    (note,) = run.notes

    assert note["change"] == "removed"
    assert note["nodeid"] == "test_it.py::test_closes"


def test_a_task_on_a_closed_loop_is_said_to_be_on_one(project: Project) -> None:
    """A pending task whose loop was closed by hand is found, and not called running."""
    _suite(
        project,
        """
        async def forever(): await asyncio.sleep(1000)
        def test_it():
            loop = asyncio.new_event_loop()
            KEEP.append(loop.create_task(forever()))
            loop.run_until_complete(asyncio.sleep(0)); loop.close()
        """,
    )
    finding = project.run("-W", "ignore").one()

    assert finding["kind"] == "tasks"


def test_the_outcome_has_a_letter_and_a_word_of_its_own(project: Project) -> None:
    """Progress shows the letter, verbose progress the word, the last line the count."""
    _suite(
        project,
        """
        def test_a(): pass
        def test_b(): KEEP.append(open(__file__))
        def test_c(): pass
        """,
    )

    run = project.run("-q")
    assert run.outcomes == {"passed": 2, "leaked": 1}
    assert "K" in run.out.splitlines()[0]

    run = project.run("-v")
    assert "LEAKED" in run.out
    assert run.last_line.startswith(("2 passed, 1 leaked", "1 leaked, 2 passed"))


def test_the_fixture_of_the_plugin_checks_in_the_middle_of_a_test(project: Project) -> None:
    """``resource_hygiene.check()`` fails a test at the very place where something is left."""
    _suite(
        project,
        """
        def test_dirty(resource_hygiene):
            file = open(__file__)
            try: resource_hygiene.check(grace=0.01)
            finally: file.close()
        def test_clean(resource_hygiene):
            open(__file__).close(); resource_hygiene.check()
            file = open(__file__); resource_hygiene.mark(); resource_hygiene.check()
            file.close()
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "failed": 1}, run.text
    assert "fds" in run.out


def test_confirming_reports_only_what_grows_again(project: Project) -> None:
    """With --resource-hygiene-confirm, what a second run of the test does not repeat is no failure."""
    _suite(
        project,
        """
        def test_once():
            if not KEEP: KEEP.append(open(__file__))
        def test_always(): KEEP.append(open(__file__))
        """,
    )
    run = project.run("--resource-hygiene-confirm")

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_always"], run.text


def test_repeating_finds_what_grows_every_time(project: Project) -> None:
    """With --resource-hygiene-repeat=3, a leak of each run is found and a cache is not."""
    _suite(
        project,
        """
        CACHE = {}
        def test_cache(): CACHE.setdefault("x", open(__file__))
        def test_grows(): KEEP.append(open(__file__))
        def test_clean(): pass
        """,
    )
    run = project.run("--resource-hygiene-repeat=3")

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_grows"}, run.text


def test_what_was_reported_is_not_told_again_when_it_is_dropped(project: Project) -> None:
    """A leak's own warning, when the last reference goes, is no second finding; others' warnings are."""
    _suite(
        project,
        """
        import subprocess
        @pytest.fixture
        def file(): return open(__file__)
        @pytest.fixture
        def sock(): return socket.socket()
        @pytest.fixture
        def loop(): return asyncio.new_event_loop()
        def test_file(file): pass
        def test_sock(sock): pass
        def test_loop(loop): pass
        def test_child(): KEEP.append(subprocess.Popen(["sleep", "30"]))
        def test_later():
            child = KEEP.pop(); number = child.pid; del child
            os.kill(number, signal.SIGKILL); os.waitpid(number, 0)
        def test_another():
            open(__file__)
        """,
    )
    run = project.run("-W", "ignore", grace=0.05)

    told = {one["nodeid"].partition("::")[2]: one["kind"] for one in run.failing}
    assert told == {
        "test_file": "fds", "test_sock": "sockets", "test_loop": "loops", "test_child": "processes",
    }, run.text  # fmt: skip
    dropped = [one for one in run.findings if one["kind"] == "unclosed"]
    assert [one["nodeid"] for one in dropped] == ["test_it.py::test_another"], run.text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which signals are caught")
def test_handlers_and_watchdogs_that_c_code_sets_are_seen(project: Project) -> None:
    """``signal.getsignal`` knows nothing of faulthandler's handlers, nor of those set by ctypes."""
    _suite(
        project,
        """
        import ctypes, faulthandler
        @ctypes.CFUNCTYPE(None, ctypes.c_int)
        def in_c(number): pass
        def set_in_c(handler):
            function = ctypes.CDLL(None).signal
            function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
            return function(int(signal.SIGUSR2), ctypes.cast(handler, ctypes.c_void_p))
        def test_registers(): faulthandler.register(signal.SIGUSR1)
        def test_registers_again(): faulthandler.register(signal.SIGUSR1)
        def test_undoes():
            faulthandler.register(signal.SIGUSR1); faulthandler.unregister(signal.SIGUSR1)
        def test_sets_in_c(): set_in_c(in_c)
        def test_undoes_in_c(): set_in_c(set_in_c(in_c))
        def test_watchdog(): faulthandler.dump_traceback_later(60, repeat=True)
        def test_no_watchdog():
            faulthandler.dump_traceback_later(60); faulthandler.cancel_dump_traceback_later()
        """,
    )
    run = project.run("-o", "faulthandler_timeout=50", grace=0.05)

    found = {one["nodeid"].partition("::")[2]: one["summary"] for one in run.failing}
    assert found == {
        "test_registers": "SIGUSR1: handler SIG_DFL replaced by a handler set from C",
        "test_registers_again": "SIGUSR1: handler SIG_DFL replaced by a handler set from C",
        "test_sets_in_c": "SIGUSR2: handler SIG_DFL replaced by a handler set from C",
        "test_watchdog": "faulthandler's watchdog, to print all stacks, again and again",
    }, run.text


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come to us on Linux only")
def test_an_orphan_that_ends_is_not_taken_for_a_child_that_the_test_forked(
    project: Project,
) -> None:
    """A fork tells no process id; the child it made is known all the same, and the orphan is not it."""
    _suite(
        project,
        """
        def wait_for(path):
            while not os.path.exists(path): time.sleep(0.005)
        def test_grandchild_ends_by_itself(tmp_path):
            pid = os.fork()
            if not pid:
                os.execv("/bin/sh", ["sh", "-c", f"(sleep 0.05; : > {tmp_path}/done) & exit 0"])
            os.waitpid(pid, 0); wait_for(tmp_path / "done")
        def test_zombie():
            if not os.fork(): os._exit(0)
        """,
    )
    run = project.run()

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_zombie"], run.text


def test_a_connection_of_the_session_that_is_opened_again_is_no_leak(project: Project) -> None:
    """What was open before any test, is closed between two, and opened again, has not grown."""
    project.write("conftest.py", """
        import sqlite3, pytest
        class Pool:
            def __init__(self, path): self.path = path; self.connection = None
            def query(self):
                if self.connection is None:
                    self.connection = sqlite3.connect(":memory:")
                    self.connection.execute(f"ATTACH DATABASE '{self.path}' AS extra")
                return self.connection.execute("SELECT 1").fetchone()
            def dispose(self): self.connection.close(); self.connection = None
        POOL = Pool("pool.db")
        POOL.query()
        @pytest.fixture(scope="class", autouse=True)
        def between():
            yield
            POOL.dispose()
        """)  # fmt: skip
    _suite(
        project,
        """
        from conftest import POOL
        class TestA:
            def test_one(self): POOL.query()
        class TestB:
            def test_two(self): KEEP.append(os.pipe()); os.close(KEEP[-1][0]); os.close(KEEP[-1][1])
            def test_three(self): KEEP.append(open(__file__)); POOL.query()
        class TestC:
            def test_four(self): KEEP.append(open("pool.db")); POOL.query()
        """,
    )
    run = project.run()

    leaked = sorted(one["nodeid"].rpartition("::")[2] for one in run.failing)
    assert leaked == ["test_four", "test_three"], run.text
    assert all(one["count"] == 1 for one in run.failing), run.text


@pytest.mark.skipif(sys.platform != "linux", reason="eventfd is Linux's")
def test_the_singleton_of_a_c_extension_is_a_note_until_it_grows(project: Project) -> None:
    """What C code opens for a new global of its package is excused once, and nothing else is."""
    project.write("conftest.py", """
        import ctypes, os, sys, types
        native, package = types.ModuleType("fakeq._native"), types.ModuleType("fakeq")
        native.__file__ = "/x/site-packages/fakeq/_native.cpython-311-x86_64-linux-gnu.so"
        package.__file__ = "/x/site-packages/fakeq/__init__.py"
        for suffix in __import__("importlib.machinery").machinery.EXTENSION_SUFFIXES[:1]:
            native.__file__ = "/x/site-packages/fakeq/_native" + suffix
        class Context:
            _instance = None
            def __init__(self): self._number = str(ctypes.CDLL(None).eventfd(0, 0))  # as C keeps it
            def term(self): os.close(int(self._number))
            @classmethod
            def instance(cls):
                cls._instance = cls._instance or cls()
                return cls._instance
        Context.__module__ = "fakeq._native"
        native.Context = package.Context = Context
        sys.modules.update({"fakeq": package, "fakeq._native": native})
        """)  # fmt: skip
    _suite(
        project,
        """
        import fakeq
        def test_own_before(): KEEP.append(fakeq.Context())
        def test_singleton(): fakeq.Context.instance()
        def test_uses_it(): fakeq.Context.instance()
        def test_own_after(): KEEP.append(fakeq.Context())
        def test_closed(): fakeq.Context().term()
        def test_grows():
            KEEP.append(fakeq.Context._instance); fakeq.Context._instance = None
            fakeq.Context.instance()
        """,
    )
    run = project.run(grace=0.02)

    leaked = [one["nodeid"].partition("::")[2] for one in run.failing]
    assert sorted(leaked) == ["test_grows", "test_own_after", "test_own_before"], run.text
    (note,) = [one for one in run.notes if one["kind"] == "fds"]
    assert note["nodeid"] == "test_it.py::test_singleton"
    assert note["held_by"][-1] == "Context._instance"


def test_a_worker_belongs_to_the_owner_of_the_pool_that_it_joins(project: Project) -> None:
    """A pool of the module, begun and ended by a fixture that hands out nothing, may grow in a test."""
    _suite(
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


def test_what_unittest_ends_with_the_class_is_the_class_s(project: Project) -> None:
    """``addClassCleanup`` and ``enterClassContext`` in a test keep things for the whole class."""
    _suite(
        project,
        """
        class TestIt(unittest.TestCase):
            def test_one(self):
                file = open(__file__); self.addClassCleanup(file.close)
                self.enterClassContext(open(__file__))
            def test_two(self): KEEP.append(open(__file__))
        """,
    )
    run = project.run()

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::TestIt::test_two"}, run.text
