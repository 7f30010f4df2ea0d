"""Which of several lines has made what is left, where they have all made the same."""

from __future__ import annotations

import os
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


def test_a_loop_is_one_place(project: Project) -> None:
    """Python 3.11 runs the calls of a loop at two instructions; it is one line, and one finding."""
    write_suite(
        project,
        """
        def test_it():
            for _ in range(20):
                KEEP.append(open("/dev/zero"))
        """,
    )
    finding = project.run().one()

    assert finding["count"] == 20
    assert finding["origin"]["source"] == "recorded"


def test_two_openings_of_one_file_have_a_line_each(project: Project) -> None:
    """A fixture and its test that both leave the same file open are told apart."""
    write_suite(
        project,
        """
        @pytest.fixture
        def settings():
            file = open("/dev/zero")
            KEEP.append(file)
        def test_it(settings):
            KEEP.append(open("/dev/zero"))
        """,
    )
    run = project.run()

    found = {
        one["owner"]["name"].partition("::")[2] or one["owner"]["name"]: one for one in run.failing
    }
    assert sorted(found) == ["settings", "test_it"]
    assert _texts(project, run, "test_it") == [
        'file = open("/dev/zero")', 'KEEP.append(open("/dev/zero"))',
    ]  # fmt: skip


def test_files_that_have_another_name_by_now_keep_their_line(project: Project) -> None:
    """Renamed, opened through a link, by a folder's file, or without a name at all."""
    write_suite(
        project,
        """
        import tempfile
        def test_renamed(tmp_path):
            KEEP.append((tmp_path / "new").open("w"))
            os.rename(tmp_path / "new", tmp_path / "old")
        def test_renamed_number(tmp_path):
            KEEP.append(os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT))
            os.rename(tmp_path / "new", tmp_path / "old")
        def test_link(tmp_path):
            (tmp_path / "link").symlink_to("/dev/zero")
            KEEP.append((tmp_path / "link").open())
        def test_folder():
            KEEP.append(os.open(".", os.O_RDONLY))
        def test_nameless():
            KEEP.append(tempfile.TemporaryFile())
        """,
    )
    run = project.run()

    for name, line in {
        "renamed": 'KEEP.append((tmp_path / "new").open("w"))',
        "renamed_number": 'KEEP.append(os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT))',
        "link": 'KEEP.append((tmp_path / "link").open())',
        "folder": 'KEEP.append(os.open(".", os.O_RDONLY))',
        "nameless": "KEEP.append(tempfile.TemporaryFile())",
    }.items():
        assert _texts(project, run, f"test_{name}") == [line]


def test_two_raw_threads_have_a_line_each(project: Project) -> None:
    """Both wait in C, where nothing tells what they run; one that has ended does not count."""
    write_suite(
        project,
        """
        import _thread
        def test_it():
            first, second, done = (_thread.allocate_lock() for _ in range(3))
            for lock in (first, second, done): lock.acquire()
            KEEP.extend([first, second])
            _thread.start_new_thread(lambda: done.release(), ())
            done.acquire()
            _thread.start_new_thread(first.acquire, ())
            _thread.start_new_thread(second.acquire, ())
        """,
    )
    run = project.run()

    assert sorted(_texts(project, run, "test_it")) == [
        "_thread.start_new_thread(first.acquire, ())",
        "_thread.start_new_thread(second.acquire, ())",
    ]


def test_what_a_with_statement_opens_is_not_what_is_left(project: Project) -> None:
    """The classic: ``mkstemp()`` returns a descriptor, and its file is opened again by its path."""
    write_suite(
        project,
        """
        import contextlib, linecache, pathlib, tempfile
        def through(path):
            with open(path, "w") as file: file.write("x")
            with path.open() as file: return path.read_text()
        def test_mkstemp(tmp_path):
            fd, path = tempfile.mkstemp(dir=tmp_path)
            through(pathlib.Path(path))
        def test_mkstemp_read(tmp_path):
            fd, path = tempfile.mkstemp(dir=tmp_path)
            linecache.getlines(path)
            assert open(path).read() == ""
        def test_mkstemp_closed(tmp_path):
            fd, path = tempfile.mkstemp(dir=tmp_path)
            os.close(fd)
            KEEP.append(open(path))
        def test_same_mode(tmp_path):
            KEEP.append(open(tmp_path / "file", "a"))
            with contextlib.nullcontext(), open(tmp_path / "file", "a") as file: pass
        def test_two(tmp_path):
            KEEP.append(open(tmp_path / "file", "w"))
            through(tmp_path / "file")
            KEEP.append(open(tmp_path / "file", "r"))
        def test_all_in_with(tmp_path):
            def work():
                with open(tmp_path / "file", "w"): yield
            KEEP.append(work()); next(KEEP[-1])
        """,
    )
    run = project.run()

    assert _texts(project, run, "test_mkstemp") == ["fd, path = tempfile.mkstemp(dir=tmp_path)"]
    assert _texts(project, run, "mkstemp_read") == ["fd, path = tempfile.mkstemp(dir=tmp_path)"]
    assert _texts(project, run, "mkstemp_closed") == ["KEEP.append(open(path))"]
    assert _texts(project, run, "test_same_mode") == ['KEEP.append(open(tmp_path / "file", "a"))']
    assert _texts(project, run, "test_two") == [
        'KEEP.append(open(tmp_path / "file", "w"))', 'KEEP.append(open(tmp_path / "file", "r"))',
    ]  # fmt: skip
    assert _texts(project, run, "test_all_in_with") == ['with open(tmp_path / "file", "w"): yield']
    assert run.one("test_mkstemp")["origin"]["source"] == "inferred", "another line opened it, too"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_forks_of_several_threads_are_told_apart(project: Project) -> None:
    """A pool that replaces its workers forks in a thread of its own, while the test forks as well."""
    write_suite(
        project,
        """
        import multiprocessing
        @pytest.fixture(scope="module")
        def pool():
            pool = multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1)
            yield pool
            pool.terminate(); pool.join()
        @pytest.mark.parametrize("number", range(10))
        def test_clean(pool, number):
            child = os.fork()
            if not child: os._exit(0)
            for _ in range(3): pool.apply(abs, (1,))
            os.waitpid(child, 0)
        """,
    )
    run = project.run(
        "-W", "ignore::DeprecationWarning", "-W", "error::pytest.PytestUnraisableExceptionWarning"
    )

    assert run.outcomes == {"passed": 10}, run.text


@pytest.mark.skipif(sys.platform != "linux", reason="epolls")
def test_what_no_event_tells_of_is_of_the_function_that_names_it(project: Project) -> None:
    """A class written in C cannot be wrapped; of two functions that name it, neither is shown."""
    write_suite(project, """
        import ctypes, fcntl, select, selectors
        @pytest.fixture
        def poll():
            KEEP.append(select.epoll())
            yield
        @pytest.fixture
        def selector():
            yield
            KEEP.append(selectors.DefaultSelector())
        @pytest.fixture
        def watched():
            return ctypes.CDLL(None).inotify_init()
        def test_setup(poll): pass
        def test_teardown(selector): pass
        def test_value(watched): pass
        def test_duplicate():
            r, w = os.pipe()
            os.close(w)
            fcntl.fcntl(r, fcntl.F_DUPFD_CLOEXEC, w)
            os.close(r)
        def test_both(poll): KEEP.append(select.epoll())
        """)  # fmt: skip
    run = project.run()

    found = [
        (one["owner"]["name"], one["origin"]["function"], one["origin"]["source"])
        for one in run.failing
    ]
    assert found == [
        ("poll", "poll", "inferred"),
        ("selector", "selector", "inferred"),
        ("watched", "watched", "inferred"),
        ("test_it.py::test_duplicate", "test_duplicate", "inferred"),
        ("test_it.py::test_both", "test_both", "inferred"),
    ], run.text
    assert _texts(project, run, "test_duplicate") == ["fcntl.fcntl(r, fcntl.F_DUPFD_CLOEXEC, w)"]


def test_what_a_with_statement_has_closed_casts_no_doubt_on_the_other(project: Project) -> None:
    """The same path written before by `Path.write_text`, or within a `with` statement."""
    write_suite(
        project,
        """
        def test_written(tmp_path):
            (tmp_path / "it").write_text("text")
            KEEP.append(open(tmp_path / "it"))  # this one
        def test_entered(tmp_path):
            with open(tmp_path / "it", "w") as file:
                file.write("text")
            KEEP.append((tmp_path / "it").open())  # this one
        def test_twice(tmp_path):
            open(tmp_path / "it", "w").close()
            KEEP.append(open(tmp_path / "it"))
        """,
    )
    origins = {one["nodeid"].rpartition("::")[2]: one["origin"] for one in project.run().failing}

    text = project.path.joinpath("test_it.py").read_text().splitlines()
    for name in ("test_written", "test_entered"):
        assert "# this one" in text[origins[name]["line"] - 1]
        assert origins[name]["source"] == "recorded"
    assert origins["test_twice"]["source"] == "inferred", "who knows which of them is open"


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd here")
def test_a_number_that_was_another_things_tells_nothing(project: Project) -> None:
    """An epoll has the number of an eventfd that was closed, and the inode of all of them."""
    write_suite(
        project,
        """
        import select
        @pytest.fixture
        def closes(): os.close(os.eventfd(0))
        def test_poll(closes): KEEP.append(select.epoll())
        def test_both():
            os.close(os.eventfd(0))
            KEEP.append(select.epoll())  # this one
        """,
    )
    run = project.run()

    found = {one["nodeid"].rpartition("::")[2]: one for one in run.failing}
    assert found["test_poll"]["owner"]["type"] == "test"
    assert found["test_both"]["origin"]["line"] == project.line("test_it.py", "# this one")
    assert {one["origin"]["source"] for one in found.values()} == {"inferred"}


def test_a_file_without_a_name_is_not_the_named_one_that_was_closed(project: Project) -> None:
    """Both open the folder: one to make a file in it that has no name, the other to find one."""
    write_suite(
        project,
        """
        import tempfile
        @pytest.fixture
        def spool(): KEEP.append(tempfile.TemporaryFile())
        def test_of_fixture(spool): tempfile.NamedTemporaryFile().close()
        def test_of_test():
            KEEP.append(tempfile.TemporaryFile())
            tempfile.NamedTemporaryFile().close()
        """,
    )
    run = project.run()

    owners = [one["owner"]["name"] for one in run.failing]
    assert sorted(owners) == ["spool", "test_it.py::test_of_test"], run.text


def test_a_finalizer_is_its_fixtures(project: Project) -> None:
    """It is written within the fixture, as what a test calls may be: that is the test's."""
    write_suite(
        project,
        """
        @pytest.fixture
        def finalizes(request):
            request.addfinalizer(lambda: KEEP.append(os.dup(0)))
        @pytest.fixture
        def opens():
            return lambda: KEEP.append(os.dup(0))
        def test_finalized(finalizes): pass
        def test_opens(opens): opens()
        """,
    )
    run = project.run()

    assert {one["owner"]["name"] for one in run.failing} == {
        "finalizes",
        "test_it.py::test_opens",
    }, run.text


def test_a_selector_has_been_made_by_whoever_names_its_class(project: Project) -> None:
    """And not by who names a way to duplicate: a duplicate has no object."""
    write_suite(
        project,
        """
        import fcntl, selectors
        @pytest.fixture
        def selects():
            yield
            KEEP.append(selectors.DefaultSelector())
        def test_both(selects):
            null = os.open(os.devnull, os.O_RDONLY)
            KEEP.append(fcntl.fcntl(null, fcntl.F_DUPFD, 0))
            os.close(null)
        """,
    )
    run = project.run()

    owners = {one["details"]["form"]: one["owner"]["name"] for one in run.failing}
    assert owners == {"eventpoll": "selects", "character device": "test_it.py::test_both"}, run.text


def test_a_fixture_that_waits_has_not_the_number_that_it_has_closed(project: Project) -> None:
    """``fd, path = mkstemp(); os.close(fd)``: the next descriptor gets that number."""
    write_suite(
        project,
        """
        import tempfile
        @pytest.fixture(scope="module")
        def path():
            fd, path = tempfile.mkstemp()
            os.close(fd)
            yield path
            os.unlink(path)
        @pytest.fixture(scope="module")
        def factory():
            ends = os.pipe()
            for end in ends: os.close(end)
            made = []
            yield lambda: made.append(os.dup(0))
            for number in made: os.close(number)
        def test_closed(path): KEEP.append(os.dup(0))
        def test_made(factory): factory()
        """,
    )
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_closed", run.text
    assert run.one()["owner"]["type"] == "test"
