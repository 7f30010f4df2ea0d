"""Who answers for what: tests, fixtures of every scope, modules, xunit and unittest setups."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


def test_a_leak_of_a_test_that_uses_a_wide_fixture_is_the_tests(project: Project) -> None:
    """A live session fixture does not take what it cannot reach: the test stays accused."""
    write_suite(
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
    write_suite(
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
    write_suite(
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


def test_an_overridden_session_fixture_is_told_from_its_override(project: Project) -> None:
    """Of two fixtures of one name each answers for its own leak, with its own scope."""
    project.write("conftest.py", """
        import pytest, socket
        KEEP = []
        @pytest.fixture(scope="session")
        def thing(): KEEP.append(socket.socket()); return 1
        """)  # fmt: skip
    write_suite(
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
    write_suite(
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
    write_suite(
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
    write_suite(
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
    write_suite(
        project, text.replace("MAKE", "KEEP.append(open(__file__))") + "\ndef test_z(): pass\n"
    )
    owner = project.run().one()["owner"]

    assert owner == {"type": "fixture", "name": name, "scope": scope}


def test_a_leaking_import_belongs_to_the_module(project: Project) -> None:
    """What a module makes while it is first imported is a note that names the module."""
    project.write("lazy.py", "FILE = open(__file__)\n")
    write_suite(project, "def test_it(): import lazy\n")
    run = project.run()
    run.assert_clean()

    (note,) = run.notes

    assert note["owner"]["type"] == "module"
    assert "lazy" in note["owner"]["name"]


def test_a_hook_that_a_module_sets_when_it_is_imported_is_the_modules(project: Project) -> None:
    """Also by a module within, and in a thread; what is set by a later call is the caller's."""
    project.write("inner.py", "import sys\ndef hook(*_): pass\nsys.displayhook = hook\n")
    project.write("outer.py", "import inner\n")
    project.write("other.py", "import threading\ndef hook(*_): pass\nthreading.excepthook = hook\n")
    project.write(
        "later.py", "import sys\ndef hook(*_): pass\ndef install(): sys.excepthook = hook\n"
    )
    write_suite(
        project,
        """
        def load(): import other
        def test_imports(): import outer
        def test_imports_in_a_thread():
            thread = threading.Thread(target=load); thread.start(); thread.join()
        def test_leaks():
            import later
            later.install()
        """,
    )
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_leaks", run.text
    assert [one["owner"]["name"].rpartition("/")[2] for one in run.notes] == [
        "inner.py",
        "other.py",
    ]


def test_what_an_imported_module_does_later_is_no_import(project: Project) -> None:
    """A function of a module that the test calls after importing it leaks for the test."""
    project.write("lazy.py", "KEEP = []\ndef leak(): KEEP.append(open(__file__))\n")
    write_suite(project, "def test_it():\n    import lazy\n    lazy.leak()\n")

    assert project.run().one()["owner"]["type"] == "test"


def test_a_connection_is_the_servers_also_while_it_is_being_accepted(project: Project) -> None:
    """A server's thread has the descriptor before the object whose making tells who it is."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def server():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                def serve():
                    number, _ = listener._accept()
                    listed.set(); time.sleep(0.03)  # as if the other thread ran now
                    with socket.socket(fileno=number): ended.wait()
                listed, ended = threading.Event(), threading.Event()
                thread = threading.Thread(target=serve)
                thread.start()
                yield listener.getsockname(), listed
                ended.set(); thread.join()
        @pytest.fixture(scope="module")
        def connect():
            made = []
            yield lambda address: made.append(socket.create_connection(address))
            for one in made: one.close()
        def test_connects(server, connect):
            address, listed = server
            connect(address)
            listed.wait()
        def test_after(server): pass
        """,
    )

    project.run().assert_clean()


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come to us on Linux only")
def test_an_orphan_that_ends_is_not_taken_for_a_child_that_the_test_forked(
    project: Project,
) -> None:
    """A fork tells no process id; the child it made is known all the same, and the orphan is not it."""
    write_suite(
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


def test_what_unittest_ends_with_the_class_is_the_class_s(project: Project) -> None:
    """``addClassCleanup`` and ``enterClassContext`` in a test keep things for the whole class."""
    write_suite(
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


def test_what_a_test_puts_in_the_place_of_a_fixtures_is_the_tests(project: Project) -> None:
    """A name that the setup has bound is the fixture's for as long as it means what was bound."""
    write_suite(
        project,
        """
        client = first = None
        def setup_module(module): module.client = module.first = socket.socket()
        def teardown_module(module): module.first.close()
        def test_replaces_it():
            global client
            client = socket.socket()
        def test_next(): pass
        """,
    )

    assert project.run().one("test_replaces_it")["owner"]["type"] == "test"


def test_what_a_hook_of_the_project_has_around_each_test_is_no_tests(project: Project) -> None:
    """It is there before the setup and after the teardown, and put back by nobody but the hook."""
    project.write(
        "conftest.py",
        """
import signal
import pytest
def dump(number, frame): ...
@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    former = signal.signal(signal.SIGUSR1, dump)
    with open(item.config.rootpath / "progress", "a"):
        try: return (yield)
        finally: signal.signal(signal.SIGUSR1, former)
""",
    )
    write_suite(
        project,
        """
        def test_first(): assert signal.getsignal(signal.SIGUSR1).__name__ == "dump"
        def test_leaks(): signal.signal(signal.SIGUSR2, noop); KEEP.append(open(__file__))
        def test_last(): assert signal.getsignal(signal.SIGUSR1).__name__ == "dump"
        """,
    )
    run = project.run()

    assert {one["kind"] for one in run.failing} == {"signals", "fds"}
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}
    assert run.outcomes == {"passed": 2, "leaked": 1}


def test_what_a_hook_of_the_project_opens_once_is_no_leak_of_the_test_that_runs(
    project: Project,
) -> None:
    """The first is a note, for a later hook may close it; what comes with each test grows."""
    project.write(
        "conftest.py",
        """
        import os, threading
        LOG, EVENT = [], threading.Event()
        def pytest_runtest_logreport(report):
            if not LOG: LOG.append(open(os.devnull, "w"))
        def pytest_runtest_setup(item):
            if "grows" in item.name: threading.Thread(target=EVENT.wait, daemon=True).start()
        def pytest_sessionfinish(): LOG[0].close()
        def pytest_pyfunc_call(pyfuncitem):
            pyfuncitem.obj()
            return True
        """,
    )
    project.write(
        "test_it.py",
        """
        KEEP = []
        def test_first(): pass
        def test_grows(): pass
        def test_grows_again(): pass
        def test_leaks(): KEEP.append(open(__file__))  # though a hook has called it
        """,
    )
    run = project.run()

    assert run.one(kind="threads")["nodeid"] == "test_it.py::test_grows_again"
    assert run.one(kind="fds")["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 2, "leaked": 2}


def test_what_an_installed_package_makes_for_its_own_fixture_is_a_note(project: Project) -> None:
    """Its user cannot close it. What he gives to such a fixture himself is told."""
    project.write(
        "lib/site-packages/fake_starter/plugin.py",
        """
        import os, pytest
        class Starter:
            def __init__(self): self.logs = []
            def start(self): self.logs.append(open(os.devnull, "w"))
        @pytest.fixture(scope="session")
        def starter(): return Starter()
        """,
    )
    project.write(
        "test_it.py",
        """
        import os, pytest
        @pytest.fixture(scope="session")
        def started(starter): starter.start()
        KEEP = []
        def test_uses(started, starter): KEEP.append(starter)
        def test_gives(starter): starter.logs.append(open(os.devnull, "r"))
        """,
    )
    env = {"PYTHONPATH": str(project.path / "lib/site-packages")}
    run = project.run(env=env, plugins=["fake_starter.plugin"])

    assert run.one(kind="fds")["origin"]["function"] == "test_gives", run.text
    assert run.outcomes == {"passed": 1, "leaked": 1}
    assert run.summary["notes"] == 1


def test_a_wider_fixture_that_pytest_ends_with_a_test_is_named(project: Project) -> None:
    """By parameters of a test it gets the test's scope, whatever it says itself."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def server(request):
            KEEP.append(os.dup(0))
            yield request.param
        @pytest.mark.parametrize("server, other", [("p", 1), ("r", 2)], indirect=["server"])
        def test_mixed(server, other): pass
        """,
    )
    run = project.run()

    assert [one["owner"]["name"] for one in run.failing] == ["server", "server"], run.text
    assert len({one["nodeid"] for one in run.failing}) == 2
