"""Whose line, and whose thing: where a wrong name would send its reader the wrong way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project, Run


def _texts(project: Project, run: Run, name: str) -> list[str]:
    """Return the source line of each failing finding of a test."""
    lines = (project.path / "test_it.py").read_text().splitlines()
    return [lines[one["origin"]["line"] - 1].strip() for one in run.of(name)]


def test_the_line_that_assigns_a_hook_is_found_in_the_code_of_its_owner(project: Project) -> None:
    """Nothing tells of it. If there are two such lines, or none, it is said where the hook is written."""
    write_suite(
        project,
        """
        def hook(*_): pass
        def set_hook(): sys.excepthook = hook
        def test_line():
            sys.unraisablehook = sys.unraisablehook
            sys.excepthook = hook
        def test_within():
            def run(): sys.excepthook = hook
            run()
        def test_two(number=1):
            if number: sys.excepthook = hook
            else: sys.excepthook = len
        def test_elsewhere(): set_hook()
        @pytest.fixture
        def own():
            threading.excepthook = hook
        def test_fixture(own): pass
        @pytest.fixture(scope="module")
        def wide():
            sys.displayhook = hook
        def test_wide(wide): pass
        """,
    )
    run = project.run()

    assert _texts(project, run, "test_line") == ["sys.excepthook = hook"]
    assert _texts(project, run, "test_within") == ["def run(): sys.excepthook = hook"]
    assert _texts(project, run, "test_two") == ["def hook(*_): pass"]
    assert _texts(project, run, "test_elsewhere") == ["def hook(*_): pass"]
    assert _texts(project, run, "test_fixture") == ["threading.excepthook = hook"]
    assert _texts(project, run, "test_wide") == ["sys.displayhook = hook"]
    assert run.one("test_fixture")["owner"]["name"] == "own"
    assert {one["origin"]["source"] for one in run.failing} == {"inferred"}


# --- code without a file ---


def test_generated_code_is_not_the_place_but_who_runs_it(project: Project) -> None:
    """A dataclass's own __init__ and what exec runs have no line that anybody could open."""
    write_suite(
        project,
        """
        import dataclasses
        @dataclasses.dataclass
        class Client:
            sock: socket.socket = dataclasses.field(default_factory=socket.socket)
        def test_dataclass():
            KEEP.append(Client())
            KEEP.append(Client())  # another line
        def test_exec():
            names = {}
            exec("def opened(path):\\n    return open(path)", names)
            KEEP.append(names["opened"](__file__))
        def test_thread_of_generated_code():
            names = {"KEEP": KEEP}
            exec("def work():\\n    KEEP.append(open('/dev/zero'))", names)
            thread = threading.Thread(target=names["work"])
            thread.start(); thread.join()
        """,
    )
    run = project.run()

    assert _texts(project, run, "test_dataclass") == [
        "KEEP.append(Client())", "KEEP.append(Client())  # another line",
    ]  # fmt: skip
    assert _texts(project, run, "test_exec") == ['KEEP.append(names["opened"](__file__))']
    assert _texts(project, run, "test_thread_of_generated_code") == [
        "thread.start(); thread.join()"
    ]


def test_generated_code_of_a_library_is_the_librarys(project: Project) -> None:
    """What a library's dataclass makes once, and the library keeps, is its singleton: a note."""
    project.write("lib/site-packages/somelib.py", """
        import dataclasses, socket
        @dataclasses.dataclass
        class Channel:
            sock: socket.socket = dataclasses.field(default_factory=socket.socket)
        _channel = None
        def channel():
            global _channel
            _channel = _channel or Channel()
            return _channel
        """)  # fmt: skip
    write_suite(project, "import somelib\ndef test_it(): somelib.channel()")
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    run.assert_clean()
    assert [one["kind"] for one in run.notes] == ["sockets"]


# --- loggers lead everywhere ---

_LIBRARY_WITH_A_LOGGER = """
    import logging
    logger = logging.getLogger(__name__)
    """


def test_a_library_does_not_keep_what_another_logger_holds(project: Project) -> None:
    """All loggers know each other; that a library has one does not make it keep everybody's files."""
    project.write("lib/site-packages/somelib.py", _LIBRARY_WITH_A_LOGGER)
    write_suite(
        project,
        """
        import logging.config
        import somelib
        def test_file(): logging.getLogger("shop").addHandler(logging.FileHandler("shop.log"))
        def test_its_logger():
            logging.getLogger("somelib").addHandler(logging.FileHandler("lib.log"))
        def test_configuration():
            logging.config.dictConfig({
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"null": {"class": "logging.NullHandler"}},
                "loggers": {"bill": {"handlers": ["null"]}},
            })
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    assert [one["kind"] for one in run.of("test_file")] == ["listeners"], "with its file"
    assert [one["kind"] for one in run.of("test_its_logger")] == ["listeners"]
    assert [one["kind"] for one in run.of("test_configuration")] == ["listeners"]


def test_what_a_library_gives_to_its_own_logger_once_is_a_note(project: Project) -> None:
    """The twin: the library made the handler, by the first call of a function of its own."""
    project.write("lib/site-packages/somelib.py", """
        import logging
        logger = logging.getLogger(__name__)
        def work():
            if not logger.handlers:
                logger.addHandler(logging.StreamHandler())
        """)  # fmt: skip
    write_suite(
        project, "import somelib\ndef test_one(): somelib.work()\ndef test_two(): somelib.work()"
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    run.assert_clean()
    assert [one["kind"] for one in run.notes] == ["listeners"]


def test_a_fixture_with_a_logger_does_not_own_what_others_log_to(project: Project) -> None:
    """Nearly every application object has a logger, and from it references lead to all handlers."""
    write_suite(
        project,
        """
        class App:
            def __init__(self): self.log = logging.getLogger("app")
        @pytest.fixture(scope="module")
        def app(): return App()
        def test_it(app): logging.getLogger("shop").addHandler(logging.FileHandler("shop.log"))
        def test_last(app): pass
        """,
    )
    run = project.run()

    assert run.one("test_it")["kind"] == "listeners"
    assert run.of("test_last") == []


def test_the_handler_that_the_first_message_gives_the_root_is_a_note(project: Project) -> None:
    """``logging.info()`` configures the root logger once; ``basicConfig()`` is the caller's wish."""
    write_suite(
        project,
        """
        def test_first(): logging.info("hello")
        def test_second(): logging.info("hello again")
        """,
    )
    project.write("test_wish.py", """
        import logging
        def test_wish(): logging.basicConfig(force=True)
        """)  # fmt: skip

    run = project.run("test_it.py", "-p", "no:logging")
    wish = project.run("test_wish.py", "-p", "no:logging")

    run.assert_clean()
    assert wish.one()["kind"] == "listeners"


def test_a_builtin_that_listens_is_not_excused_by_who_else_has_it(project: Project) -> None:
    """``print`` is a default argument somewhere in a library; that library does not keep it."""
    pytest_emitter = """
        import somelib
        from pyee.base import EventEmitter
        EMITTER = EventEmitter()
        def test_it(): EMITTER.on("sold", print)
        """
    project.write("lib/site-packages/somelib.py", "def run(say=print): pass")
    write_suite(project, pytest_emitter)
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    assert run.one("test_it")["kind"] == "listeners"
    assert _texts(project, run, "test_it") == ['def test_it(): EMITTER.on("sold", print)']


def test_what_runs_the_users_code_is_the_users_though_a_library_keeps_it(project: Project) -> None:
    """A library's emitter or scheduler keeps what it is given; the test gave it."""
    project.write("lib/site-packages/somelib.py", """
        import atexit, threading
        from pyee.base import EventEmitter
        EMITTER = EventEmitter()
        TIMERS = []
        def on(listener): EMITTER.on("sold", listener)
        def later(function):
            timer = threading.Timer(100, function); timer.daemon = True
            TIMERS.append(timer); timer.start()
        EXITS = []
        def at_exit(function):
            EXITS.append(function); atexit.register(function)
        """)  # fmt: skip
    write_suite(
        project,
        """
        import functools, somelib
        def test_listener(): somelib.on(lambda: None)
        def test_timer(): somelib.later(functools.partial(noop, 1))
        def test_exit(): somelib.at_exit(lambda: None)
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    assert run.one("test_listener")["kind"] == "listeners"
    assert run.one("test_timer")["kind"] == "timers"
    assert run.one("test_exit")["kind"] == "atexit"


# --- fixtures asked for at run time ---


def test_a_fixture_that_was_asked_for_by_name_at_run_time_is_named(project: Project) -> None:
    """``getfixturevalue`` sets up a fixture that is in no signature."""
    write_suite(
        project,
        """
        @pytest.fixture
        def opened(): KEEP.append(open("/dev/zero"))
        def test_it(request): request.getfixturevalue("opened")
        """,
    )
    owner = project.run().one("test_it")["owner"]

    assert (owner["type"], owner["name"], owner["scope"]) == ("fixture", "opened", "function")


def test_the_line_of_a_workers_start_is_inferred_for_what_its_job_opens(project: Project) -> None:
    """Of a job that is a function of Python's own nobody knows the line that has asked for it."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        @pytest.fixture(scope="module")
        def pool():
            with ThreadPoolExecutor(1) as pool: yield pool
        def test_first(pool): pool.submit(int).result()
        def test_leaks(pool): KEEP.append(pool.submit(open, __file__).result())
        """,
    )

    assert project.run().one()["origin"]["source"] == "inferred"


# --- who will end it ---

_ENDED_LATER = """
    @pytest.fixture(scope="module")
    def wide(request): return request
    @pytest.fixture(scope="module")
    def stack():
        with contextlib.ExitStack() as stack: yield stack
    def test_request(wide):
        sock = socket.socket(); wide.addfinalizer({close})
    def test_session(request):
        sock = socket.socket(); request.session.addfinalizer({close})
    def test_module(request):
        sock = socket.socket(); request.node.getparent(pytest.Module).addfinalizer({close})
    def test_stack_of_numbers(stack):
        reading, writing = os.pipe()
        stack.callback({close_fd}, reading); stack.callback({close_fd}, writing)
    class CaseTest(unittest.TestCase):
        def test_class_cleanup(self):
            sock = socket.socket(); type(self).addClassCleanup({close})
            reading, writing = os.pipe()
            for end in (reading, writing): type(self).addClassCleanup({close_fd}, end)
    def test_last(): pass
    """


def test_what_is_registered_to_be_closed_with_something_wider_is_no_leak(project: Project) -> None:
    """The module, the session, a wider request and its stack call back when they end."""
    write_suite(project, _ENDED_LATER.format(close="sock.close", close_fd="os.close"))
    run = project.run()

    run.assert_clean()


def test_callbacks_that_close_nothing_excuse_nothing(project: Project) -> None:
    """The twin: the same numbers, and callbacks that only print them."""
    write_suite(project, _ENDED_LATER.format(close="sock.detach", close_fd="print"))
    run = project.run()

    assert run.one("test_stack_of_numbers")["kind"] == "fds"
    assert run.one("test_class_cleanup", kind="fds")["count"] == 2
    owners = {one["owner"]["name"] for one in run.failing if one["kind"] == "sockets"}
    assert "wide" in owners
    assert [one["kind"] for one in run.notes] == ["sockets"] * 2, "nobody answers for the session's"


# --- doctests and loops in C ---


def test_a_doctests_line_is_that_of_its_docstring(project: Project) -> None:
    """Its code calls itself ``<doctest ...>``, which nobody can open."""
    project.write("test_it.py", '''
        KEEP = []
        def function():
            """Say something.

            >>> KEEP
            []
            >>> file = open("/dev/zero")
            >>> KEEP.append(file)
            """
        ''')  # fmt: skip
    project.write("guide.txt", "Open it:\n\n>>> import os\n>>> number = os.dup(0)\n")
    run = project.run("--doctest-modules", "--doctest-glob=*.txt")

    places = {(one["origin"]["file"], one["origin"]["line"]) for one in run.failing}
    assert places == {("test_it.py", 7), ("guide.txt", 4)}


def test_a_loop_of_uvloop_is_one_finding_with_all_it_opened(project: Project) -> None:
    """It opens epoll, pipes and more in C, when its object is made."""
    pytest.importorskip("uvloop")
    write_suite(
        project,
        """
        def test_leaks():
            import uvloop
            KEEP.append(uvloop.new_event_loop())
        def test_runs_and_leaks():
            import uvloop
            KEEP.append(uvloop.new_event_loop())
            KEEP[-1].run_until_complete(asyncio.sleep(0))
        def test_closes():
            import uvloop
            loop = uvloop.new_event_loop()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        def test_runs_in_a_thread():
            import uvloop
            ready = threading.Event()
            server = types.SimpleNamespace(main=uvloop.run)
            threading.Thread(target=server.main, args=(serve(ready),), daemon=True).start()
            ready.wait()
        async def serve(ready):
            KEEP.append(await asyncio.start_server(noop, "127.0.0.1", 0))
            ready.set(); await asyncio.Event().wait()
        import types
        """,
    )
    run = project.run()

    for name in ("test_leaks", "test_runs_and_leaks"):
        assert run.one(name)["kind"] == "loops"
        assert _texts(project, run, name) == ["KEEP.append(uvloop.new_event_loop())"]
    (loop,) = (one for one in run.failing if one["kind"] == "loops" and "thread" in one["nodeid"])
    others = {one["kind"] for one in run.failing if "thread" in one["nodeid"]}
    assert "fds" not in others, run.text
    assert loop["origin"]["function"] == "test_runs_in_a_thread"
    assert run.outcomes == {"passed": 1, "leaked": 3}


def test_a_signal_of_uvloop_outlives_its_closed_loop(project: Project) -> None:
    """It is told with the line that set it, or the test if uvloop had taken signal.signal before."""
    pytest.importorskip("uvloop")
    text = """
        import uvloop
        def closes():
            loop = uvloop.new_event_loop()
            loop.add_signal_handler(signal.SIGTERM, noop)
            loop.call_soon(loop.stop); loop.run_forever()
            loop.close()
        def test_one(): closes()
        def test_two(): closes()
        """
    write_suite(project, text)
    project.write("conftest.py", "import uvloop")
    early = project.run()
    (project.path / "conftest.py").unlink()
    late = project.run()

    for run, shown in (early, "def test_one(): closes()"), (late, "loop.add_signal_handler"):
        for name in ("test_one", "test_two"):
            found = run.one(name)
            assert "deep" not in found["summary"], "the window of the test is in the loop's context"
            assert "loop.remove_signal_handler(signal.SIGTERM)" in found["hint"]
        assert shown in _texts(project, run, "test_one")[0]


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come on Linux")
def test_an_orphan_is_made_where_its_parent_was_started(project: Project) -> None:
    """By its group or session; else at the only place at which anything was; else nobody knows."""
    project.write(
        "conftest.py",
        """
        import os, signal
        ORPHANS = []
        def pytest_unconfigure():
            for pid in ORPHANS:
                os.kill(int(pid), signal.SIGKILL)
        """,
    )
    write_suite(
        project,
        """
        from conftest import ORPHANS
        def start(command, **how):
            told = subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.PIPE, **how)
            ORPHANS.append(told.stdout)
        def test_in_its_group():
            subprocess.run(["true"], check=True)
            start("sleep 60 >&2 & echo $!", start_new_session=True)  # group
        def test_alone():
            start("sleep 60 >&2 & echo $!")  # alone
        def test_beside_another():
            subprocess.run(["true"], check=True)
            start("sleep 60 >&2 & echo $!")
        """,
    )
    run = project.run()

    places = {one["nodeid"].partition("::")[2]: one["origin"] for one in run.failing}
    assert {name: place["source"] for name, place in places.items()} == {
        "test_in_its_group": "recorded", "test_alone": "inferred", "test_beside_another": "inferred",
    }  # fmt: skip
    assert {name: place["function"] for name, place in places.items()} == {
        "test_in_its_group": "start", "test_alone": "start",
        "test_beside_another": "test_beside_another",
    }  # fmt: skip
