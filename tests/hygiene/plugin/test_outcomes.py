"""A test's own failure stays first and whole, and a leak has an outcome of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

# --- a test's own outcome ---


def test_a_test_that_fails_by_itself_keeps_its_failure_first_and_whole(project: Project) -> None:
    """Leaks of a failing test are added to its own failure, and never take its place."""
    write_suite(
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
    write_suite(
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
        def inner():
            own = socket.socket()
            raise OSError("the cause")
        def test_fails_for_a_cause():
            try: inner()
            except OSError as error: cause = error
            raise ValueError("raised where no other is being handled") from cause
        """,
    )
    run = project.run()

    assert run.outcomes == {"failed": 2, "errors": 2}
    assert run.failing == []
    assert "its own failure" in run.out
    assert "kept with its frames" in run.out


def test_a_failing_teardown_keeps_its_error(project: Project) -> None:
    """An error in a fixture's teardown is shown as it is, with the leaks beside it."""
    write_suite(
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
    write_suite(
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
    write_suite(
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
    write_suite(
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


def test_the_outcome_has_a_letter_and_a_word_of_its_own(project: Project) -> None:
    """Progress shows the letter, verbose progress the word, the last line the count."""
    write_suite(
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
    write_suite(
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


def test_a_check_in_the_middle_leaves_to_fixtures_what_is_theirs(project: Project) -> None:
    """What was set up after it, and what a pool begins in the test, whatever the fixture's scope."""
    write_suite(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        @pytest.fixture(scope="session")
        def shared():
            with ThreadPoolExecutor(1) as pool: yield pool
        @pytest.fixture
        def own():
            with ThreadPoolExecutor(1) as pool: yield pool
        @pytest.fixture
        def late(resource_hygiene):
            with open(__file__) as file: yield file
        def test_clean(resource_hygiene, shared, own, late):
            with resource_hygiene.no_leaks(): shared.submit(int).result()
            own.submit(int).result()
            resource_hygiene.check()
        def test_dirty(resource_hygiene, shared):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(int).result()
                resource_hygiene.check(grace=0.01)
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "failed": 1}, run.text
    assert "ThreadPoolExecutor" in run.out


# --- run again ---


def test_confirming_reports_only_what_grows_again(project: Project) -> None:
    """With --resource-hygiene-confirm, what a second run of the test does not repeat is no failure."""
    write_suite(
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
    write_suite(
        project,
        """
        CACHE = {}
        def test_cache(): CACHE.setdefault("x", open(__file__))
        def test_grows(): KEEP.append(open(__file__))
        def test_clean(): pass
        """,
    )
    # The tables of coverage grow with every line of ours that runs for the first time: that is memory.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": None, "COVERAGE_PROCESS_START": None}
    run = project.run("--resource-hygiene-repeat=3", env=unmeasured)

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_grows"}, run.text


def test_a_run_that_is_cut_short_waits_for_no_fixture_after_its_report(project: Project) -> None:
    """What pytest tears down when all is reported would be waited for in vain."""
    project.write(
        "conftest.py",
        """
        def pytest_unconfigure(config):
            watcher = config.pluginmanager.get_plugin("resource_hygiene_watcher")
            summary = config.pluginmanager.get_plugin("resource_hygiene_summary")
            print("unreported:", watcher.checker.settler.waited - summary._results.waited)
        """,
    )
    write_suite(
        project,
        """
        @pytest.fixture(scope="session")
        def wide():
            KEEP.append(socket.socket())
            yield
        def test_leaks(wide): KEEP.append(socket.socket())
        def test_is_not_reached(): pass
        """,
    )
    run = project.run("-x")

    assert run.outcomes == {"leaked": 1}
    assert "unreported: 0.0\n" in run.out


def test_a_check_within_a_test_waits_as_long_as_the_configuration_says(project: Project) -> None:
    """Whoever gives a slow closer three seconds means the checks of the fixture, too."""
    write_suite(
        project,
        """
        def test_check(resource_hygiene):
            threading.Thread(target=time.sleep, args=(0.7,)).start()
            resource_hygiene.check()
            with resource_hygiene.no_leaks():
                threading.Thread(target=time.sleep, args=(0.7,)).start()
        """,
    )

    assert project.run(grace=3).outcomes == {"passed": 1}
