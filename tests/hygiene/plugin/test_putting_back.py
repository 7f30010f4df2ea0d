"""What a test has changed is put back once it is reported, so that later tests run undisturbed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


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


def _write_change(project: Project, change: str, check: str) -> None:
    write_suite(
        project,
        f"""
        WAKE = socket.socket(); WAKE.setblocking(False)
        def test_a(): {change}
        def test_b(): assert {check}
        """,
    )


@pytest.mark.parametrize(("change", "check"), _CHANGES)
def test_what_was_changed_is_put_back_after_it_is_reported(
    project: Project, change: str, check: str
) -> None:
    """The next test finds handlers, clocks, mask, wakeup fd and hooks as they were."""
    _write_change(project, change, check)
    run = project.run()

    run.one("test_a")
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


@pytest.mark.parametrize(("change", "check"), _CHANGES)
def test_with_restoring_off_everything_stays_and_is_still_reported_once(
    project: Project, change: str, check: str
) -> None:
    """With --no-resource-hygiene-restore nothing is put back, and no later test is blamed."""
    _write_change(project, change, f"not ({check})")
    run = project.run("--no-resource-hygiene-restore")

    assert [one["nodeid"] for one in run.failing if one["made_during"].endswith("a")] == [
        "test_it.py::test_a"
    ]
    assert "failed" not in run.outcomes, run.text


def test_a_loop_that_puts_back_the_default_is_a_note(project: Project) -> None:
    """In the background of a shell SIGINT is ignored; asyncio does not know that, nor care."""
    write_suite(
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
    write_suite(
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
    write_suite(
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


def test_a_leaked_task_that_another_thread_runs_raises_nothing_in_a_later_test(
    project: Project,
) -> None:
    """Were it cancelled, ``asyncio.run`` would raise in its thread, and pytest tell the next test."""
    write_suite(
        project,
        """
        @pytest.mark.parametrize("new_loop", [None, "uvloop"])
        def test_a(new_loop):
            begun = threading.Event()
            factory = pytest.importorskip(new_loop).new_event_loop if new_loop else None
            async def forever(): begun.set(); await asyncio.sleep(1000)
            def run():
                with asyncio.Runner(loop_factory=factory) as runner:
                    KEEP.append(runner); runner.run(forever())
            KEEP.append(threading.Thread(target=run, daemon=True)); KEEP[-1].start(); begun.wait()
        def test_b():
            for runner in KEEP[1::2]: runner.get_loop().call_soon_threadsafe(noop)
            for thread in KEEP[::2]: thread.join(0.05)
        def test_c(): assert all(thread.is_alive() for thread in KEEP[::2])
        """,
    )
    run = project.run("-Werror")

    assert run.outcomes["passed"] == 2, run.text
    assert run.outcomes["leaked"] == 2 - run.outcomes.get("skipped", 0)


def test_a_wakeup_descriptor_that_is_closed_by_now_is_not_put_back(project: Project) -> None:
    """Its number may be that of a file by then, which is none to be woken by."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def loop():
            loop = asyncio.SelectorEventLoop()
            loop.add_signal_handler(signal.SIGUSR2, noop)
            yield loop
        def test_first(loop): pass
        def test_closes(loop): loop.close()
        def test_next(loop): pass
        """,
    )
    run = project.run()

    assert run.code == 1, run.text
    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_closes"]


def test_a_variable_that_was_there_before_the_first_test_and_is_deleted_comes_back(
    project: Project,
) -> None:
    """However often the environment is looked at until its test is judged."""
    project.write("test_it.py", """
        import os
        os.environ["LEFT_BY_IMPORT"] = "1"
        def test_deletes(): del os.environ["LEFT_BY_IMPORT"]
        def test_after(): assert os.environ["LEFT_BY_IMPORT"] == "1"
        def test_deletes_and_sets():
            del os.environ["LEFT_BY_IMPORT"]
            os.environ["LEFT_BY_IMPORT"] = "1"
        """)  # fmt: skip
    run = project.run("--resource-hygiene-kinds=+environment")

    assert run.outcomes == {"leaked": 1, "passed": 2}, run.text
    found = run.one("test_deletes", kind="environment")
    assert (found["change"], found["origin"]["line"]) == ("removed", 3)


@pytest.mark.skipif(sys.platform == "win32", reason="a pair of sockets as Unix has it")
def test_a_wakeup_descriptor_that_is_closed_before_it_is_taken_back(project: Project) -> None:
    """Nobody can set it again: whoever looks at it takes it away, and has to remember that."""
    write_suite(
        project,
        """
        import contextlib, signal
        def install():
            pair = socket.socketpair()
            pair[0].setblocking(False)
            signal.set_wakeup_fd(pair[0].fileno())
            return pair
        @pytest.fixture
        def pair(resource_hygiene):
            pair = install()
            yield pair
            pair[0].close(); pair[1].close()
            with contextlib.suppress(AssertionError): resource_hygiene.check()  # looks meanwhile
            assert signal.set_wakeup_fd(-1) != -1, "as it would be without us"
        def test_clean(pair): pass
        def test_leaks():
            for one in install(): one.close()
        def test_next(): assert signal.set_wakeup_fd(-1) == -1, "it was put back after it was told"
        """,
    )
    run = project.run()

    assert run.one()["nodeid"].endswith("test_leaks")
    assert "wakeup fd" in run.one()["summary"]
    assert run.outcomes == {"passed": 2, "leaked": 1}
