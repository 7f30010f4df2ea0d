"""What may stay once and not grow: singletons of libraries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


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
    write_suite(
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


def test_singletons_of_several_classes_are_no_growth(project: Project) -> None:
    """One for each class of a library is as bounded as one; a list in the same place is not."""
    library = project.path / "lib" / "site-packages"
    project.write("lib/site-packages/somelib.py", """
        import threading
        def _start():
            thread = threading.Thread(target=threading.Event().wait, daemon=True)
            thread.start()
            return thread
        class Plain:
            monitor = None
            @classmethod
            def use(cls):
                if "monitor" not in vars(cls) or cls.monitor is None: cls.monitor = _start()
        class Fancy(Plain): pass
        class Grows:
            many = []
            @classmethod
            def grow(cls): cls.many.append(_start())
        """)  # fmt: skip
    write_suite(
        project,
        """
        import somelib
        def test_plain(): somelib.Plain.use()
        def test_fancy(): somelib.Fancy.use()
        def test_both(): somelib.Plain.use(); somelib.Fancy.use()
        def test_first(): somelib.Grows.grow()
        def test_second(): somelib.Grows.grow()
        """,
    )
    run = project.run(env={"PYTHONPATH": str(library)})

    assert run.one()["nodeid"] == "test_it.py::test_second", run.text
    assert [one["nodeid"].rpartition("_")[2] for one in run.notes] == ["plain", "fancy", "first"]


def test_what_a_library_keeps_where_no_global_leads_to_is_its_singleton(project: Project) -> None:
    """A thread-local, a context variable, a variable in C: the user's own of the same class leak.

    gevent's hub is in C, and as a greenlet it does not show the collector what it refers to.
    """
    library = project.path / "lib" / "site-packages"
    project.write("lib/site-packages/somelib.py", """
        import contextvars, threading
        from concurrent.futures import ThreadPoolExecutor
        _local = threading.local()
        _current = contextvars.ContextVar("somelib.current")
        def of_thread(work):
            if not hasattr(_local, "pool"): _local.pool = ThreadPoolExecutor(3)
            return _local.pool.submit(work)
        def of_context(work):
            if _current.get(None) is None: _current.set(ThreadPoolExecutor(3))
            return _current.get().submit(work)
        def of_user(work, pool): return pool.submit(work)
        """)  # fmt: skip
    project.write("lib/site-packages/gevent/__init__.py", "")
    project.write("lib/site-packages/gevent/_hub_local.py", """
        import ctypes
        def set_hub(hub):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(hub))  # as a variable of C holds it
            number = id(hub)
            def get_hub_if_exists(): return ctypes.cast(number, ctypes.py_object).value
            globals()["get_hub_if_exists"] = get_hub_if_exists
        """)  # fmt: skip
    project.write("lib/site-packages/gevent/pool.py", """
        from concurrent.futures import ThreadPoolExecutor
        from gevent import _hub_local
        class Hub: pass
        def of_hub(work):
            if not hasattr(_hub_local, "get_hub_if_exists"):
                hub = Hub(); hub.pool = ThreadPoolExecutor(3); _hub_local.set_hub(hub)
            return _hub_local.get_hub_if_exists().pool.submit(work)
        """)  # fmt: skip
    write_suite(
        project,
        """
        import somelib, contextvars
        from concurrent.futures import ThreadPoolExecutor
        from gevent import pool
        OWN = contextvars.ContextVar("own")
        @pytest.mark.parametrize("use", [somelib.of_thread, somelib.of_context, pool.of_hub])
        class TestOfLibrary:
            def test_once(self, use): use(int).result()
            def test_grows_to_its_limit(self, use):
                every = threading.Barrier(3)
                for done in [use(every.wait) for _ in range(3)]: done.result()
        def test_own_in_a_variable():
            OWN.set(ThreadPoolExecutor(1)); somelib.of_user(int, OWN.get()).result()
        def test_own():
            KEEP.append(ThreadPoolExecutor(1)); somelib.of_user(int, KEEP[-1]).result()
        """,
    )
    run = project.run(env={"PYTHONPATH": str(library)})

    leaked = sorted(one["nodeid"].partition("::")[2] for one in run.failing)
    assert leaked == ["test_own", "test_own_in_a_variable"], run.text
    held_by = [one["held_by"][1] for one in run.notes if one["kind"] == "threads"]
    assert sorted(set(held_by)) == [
        "gevent._hub_local.get_hub_if_exists()",
        "somelib._current",
        "somelib._local",
    ]
    assert len(held_by) == 6, run.text


def test_a_file_of_its_own_that_a_package_reads_is_a_note_each_time(project: Project) -> None:
    """As the fonts of matplotlib, which an object of C's holds: there are only so many."""
    project.write("lib/site-packages/somelib/__init__.py", """
        import pathlib
        KEPT = []
        def font(name): KEPT.append(open(pathlib.Path(__file__).parent / name))
        def log(name): KEPT.append(open(pathlib.Path(__file__).parent / name, "w"))
        """)  # fmt: skip
    for name in ("one.ttf", "two.ttf"):
        project.write(f"lib/site-packages/somelib/{name}", "")
    write_suite(
        project,
        """
        import somelib
        def test_one(): somelib.font("one.ttf")
        def test_two(): somelib.font("two.ttf")
        def test_log(): somelib.log("one.log")
        def test_another_log(): somelib.log("two.log")
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.one(kind="fds")["nodeid"] == "test_it.py::test_another_log", run.text
    assert len(run.notes) == 3


def test_an_exit_callback_that_a_library_registers_once_is_a_note(project: Project) -> None:
    """However it is written. One that each client registers for itself is told."""
    project.write("lib/site-packages/somelib.py", """
        import atexit
        class Class:
            @classmethod
            def start(cls): atexit.register(cls.close)
            @classmethod
            def close(cls): pass
        class Another:
            @classmethod
            def start(cls): atexit.register(lambda: None)
        class Thing:
            def close(self): pass
        THINGS = []
        def start():
            THINGS.append(Thing()); atexit.register(THINGS[0].close)
        class Client:
            def __init__(self): atexit.register(self.close)
            def close(self): pass
        """)  # fmt: skip
    write_suite(
        project,
        """
        import somelib
        def test_class(): somelib.Class.start()
        def test_another(): somelib.Another.start()
        def test_thing(): somelib.start()
        def test_client(): somelib.Client()
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.one()["nodeid"] == "test_it.py::test_client", run.text
    assert [one["kind"] for one in run.notes] == ["atexit"] * 3


def test_a_librarys_pool_may_lie_many_references_deep(project: Project) -> None:
    """As urllib3's: a manager of pools, each with a queue of connections, and dictionaries between."""
    library = project.path / "lib" / "site-packages"
    project.write("lib/site-packages/somelib.py", """
        import socket, types
        def nested(thing, depth):
            for _ in range(depth):
                holder = types.SimpleNamespace()
                vars(holder)["inner"] = thing
                thing = holder
            return thing
        POOL = types.SimpleNamespace()
        def connect(): POOL.manager = nested(socket.socket(), 5)
        """)  # fmt: skip
    write_suite(project, "import somelib\ndef test_first(): somelib.connect()\n")
    run = project.run(env={"PYTHONPATH": str(library)})

    assert run.outcomes == {"passed": 1}, run.text
    assert [one["kind"] for one in run.notes] == ["sockets"]


def test_a_handler_on_a_librarys_logger_is_judged_by_who_put_it_there(project: Project) -> None:
    """A package sets up its own logger once; another logger, and the user's own doing, are leaks.

    Its own is also one that its code names, as redis does "push_response".
    """
    library = project.path / "lib" / "site-packages"
    project.write("lib/site-packages/someserver.py", """
        import logging
        def configure(name):
            logging.getLogger(name).handlers = [logging.StreamHandler()]  # not by addHandler
        def debug():
            logging.getLogger("push_response").addHandler(logging.StreamHandler())
        """)  # fmt: skip
    write_suite(
        project,
        """
        import logging.config, someserver
        OWN = logging.getLogger(__name__)  # a way from the user's module to every logger there is
        def test_server(): someserver.configure("someserver.error")
        def test_server_again(): someserver.configure("someserver.error")
        def test_named_by_the_package(): someserver.debug()
        def test_of_the_user(): someserver.configure("app")
        def test_by_the_user():
            logging.config.dictConfig({
                "version": 1, "disable_existing_loggers": False,
                "handlers": {"a": {"class": "logging.NullHandler"}},
                "loggers": {"someserver": {"handlers": ["a"]}},
            })
        """,
    )
    run = project.run(env={"PYTHONPATH": str(library)})

    noted = [one["nodeid"].rpartition("::")[2] for one in run.notes]
    assert noted == ["test_server", "test_named_by_the_package"], run.text
    leaked = sorted(one["nodeid"].rpartition("::")[2] for one in run.failing)
    assert leaked == ["test_by_the_user", "test_of_the_user"], run.text
    assert {one["origin"]["source"] for one in run.failing} == {"recorded"}


def test_a_file_in_the_tests_own_folder_is_no_singleton(project: Project) -> None:
    """A library's logger keeps the file that it was given: it outlives the folder of the test."""
    library = project.path / "lib" / "site-packages"
    project.write("lib/site-packages/somelog.py", """
        FILES = []
        def add(path): FILES.append(open(path, "a")); return len(FILES) - 1
        def remove(number): FILES.pop(number).close()
        """)  # fmt: skip
    write_suite(
        project,
        """
        import somelog
        def test_leaks(tmp_path): somelog.add(tmp_path / "log")
        def test_closes(tmp_path): somelog.remove(somelog.add(tmp_path / "log"))
        @pytest.fixture(scope="session", autouse=True)
        def log(tmp_path_factory): somelog.add(tmp_path_factory.mktemp("log") / "log")
        """,
    )
    run = project.run(env={"PYTHONPATH": str(library)})

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_leaks"], run.text
    assert [one["owner"]["type"] for one in run.notes] == ["fixture"]


def test_an_exit_callback_that_moves_to_the_end_is_no_new_one(project: Project) -> None:
    """Taken out and registered again in one test it is the old one; in a later test it is new.

    `multiprocessing.get_logger` does so with a callback that may be older than the run.
    """
    project.write("conftest.py", """
        import multiprocessing.util, pytest
        @pytest.fixture(scope="module")
        def logger(): return multiprocessing.get_logger()
        """)  # fmt: skip
    write_suite(
        project,
        """
        import atexit
        def callback(): pass
        atexit.register(callback)
        def test_logger(logger): pass
        def test_moves(): atexit.unregister(callback); atexit.register(callback)
        def test_ends(): atexit.unregister(callback)
        def test_begins(): atexit.register(callback)
        """,
    )
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_begins", run.text
    assert [one["owner"]["name"] for one in run.notes] == ["logger"], run.text


def test_a_leak_is_not_excused_by_a_singleton_of_the_same_call(project: Project) -> None:
    """The first shared memory starts the resource tracker, which stays; the memory is a leak."""
    write_suite(
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
    write_suite(
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
    write_suite(
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


def test_a_librarys_own_logger_may_be_named_by_its_file(project: Project) -> None:
    """As paramiko puts one filter on each of its loggers, the first of them at the first connection."""
    project.write("lib/site-packages/somelib.py", """
        import logging
        class Filter: filter = staticmethod(lambda record: True)
        _filter = Filter()
        def use(name): logging.getLogger(name).addFilter(_filter)
        """)  # fmt: skip
    write_suite(
        project,
        """
        import somelib
        def test_by_name(): somelib.use("somelib.transport")
        def test_by_file(): somelib.use(somelib.__file__)
        def test_of_ours(): somelib.use(__file__)
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    assert [one["nodeid"].rpartition("::")[2] for one in run.failing] == ["test_of_ours"], run.text


def test_a_function_in_c_that_cython_has_wrapped_is_its_modules(project: Project) -> None:
    """As gRPC has one called at exit; what it has opened in C by then goes with it."""
    project.write("lib/site-packages/somelib.py", """
        import atexit, os
        class Wrapped:
            __module__ = "cfunc.to_py"
            __globals__ = globals()
            def __call__(self): pass
        def use(): atexit.register(Wrapped())
        """)  # fmt: skip
    write_suite(
        project,
        """
        import somelib
        def test_librarys(): somelib.use()
        def test_ours(): atexit.register(lambda: None)
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib" / "site-packages")})

    assert [one["nodeid"].rpartition("::")[2] for one in run.notes] == ["test_librarys"], run.text
    assert run.one()["nodeid"].endswith("test_ours")
