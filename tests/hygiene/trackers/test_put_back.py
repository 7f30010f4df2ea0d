"""Who has set a slot, if others have set it since and put it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hygiene.plugin.suites import write_suite

from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.trackers._put_back import Settings

if TYPE_CHECKING:
    from support.inner import Project


def _made_in(name: str, file: str = "a.py") -> Creation:
    names: dict[str, Any] = {}
    exec(compile(f"def {name}(): pass", file, "exec"), names)
    return Creation((names[name].__code__, 0), None, None, None, None)


TEST, FIXTURE, OTHER = (
    _made_in("test"), _made_in("fixture", "conftest.py"), _made_in("other", "conftest.py")
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ([], None),
        ([(0, 1, TEST)], TEST),
        ([(0, 1, TEST), (1, 0, TEST)], None),
        ([(0, 1, TEST), (1, 2, FIXTURE), (2, 1, OTHER)], TEST),
        ([(0, 1, TEST), (1, 2, FIXTURE), (2, 3, FIXTURE), (3, 2, OTHER), (2, 1, OTHER)], TEST),
        ([(0, 1, TEST), (1, 0, FIXTURE), (0, 1, OTHER)], TEST),  # stopped for a moment
        ([(0, 1, TEST), (1, 0, TEST), (0, 1, FIXTURE)], FIXTURE),  # undone, and set by another
        ([(0, 1, TEST), (1, 0, FIXTURE), (0, 1, TEST)], TEST),
        ([(0, 1, TEST), (1, 0, FIXTURE), (0, 2, OTHER)], OTHER),
        ([(0, 9.0, TEST), (8.5, 3.0, FIXTURE), (2.9, 8.5, FIXTURE)], TEST),  # a clock that runs
    ],
)  # fmt: skip
def test_whoever_puts_an_older_value_back_has_not_set_it(
    changes: list[tuple[Any, Any, Creation]], last: Creation | None
) -> None:
    """By the value that is put there, and by whose code has taken it out."""
    settings = Settings()
    for before, value, made in changes:
        settings.note("slot", before, value, made)

    assert settings.last("slot") is last
    settings.forget()
    assert settings.last("slot") is None


def test_what_is_set_again_and_again_is_not_kept() -> None:
    """A tool may set a clock for each test, to another time, and never stop it."""
    settings = Settings()
    for number in range(1_000):
        settings.note("slot", number, number + 1, TEST)

    assert len(settings._stacks["slot"]) <= 101


def test_a_teardown_that_swaps_is_not_told_of_what_the_test_left(project: Project) -> None:
    """The mask, the wakeup descriptor, and clocks: none of them is an object with a maker."""
    write_suite(
        project,
        """
        WAKE = socket.socket(); WAKE.setblocking(False)
        @pytest.fixture
        def swaps():
            yield
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            wakeup = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(wakeup)
            timer = signal.setitimer(signal.ITIMER_REAL, 100)
            signal.setitimer(signal.ITIMER_REAL, *timer)
            timer = signal.setitimer(signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_REAL, *timer)
        def test_mask(swaps): signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        def test_wakeup(swaps): signal.set_wakeup_fd(WAKE.fileno())
        def test_timer(swaps): signal.setitimer(signal.ITIMER_REAL, 200)
        def test_alarm(swaps): signal.alarm(200)
        def test_clean(swaps): pass
        def test_blocks_in_a_thread(swaps):
            mask = [signal.SIGUSR1]
            thread = threading.Thread(target=signal.pthread_sigmask, args=(signal.SIG_BLOCK, mask))
            thread.start(); thread.join()
        """,
    )
    run = project.run()

    found = {(one["owner"]["name"], one["origin"]["function"]) for one in run.failing}
    names = {"test_mask", "test_wakeup", "test_timer", "test_alarm"}
    assert found == {(f"test_it.py::{name}", name) for name in names}, run.text


def test_what_a_loop_has_unset_with_our_help_is_set_anew(project: Project) -> None:
    """The handler that is taken from a loop of the session takes the wakeup descriptor with it."""
    write_suite(
        project,
        """
        @pytest.mark.parametrize("number", [1, 2, 3])
        @pytest.mark.asyncio(loop_scope="session")
        async def test_leaves(number):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, print)
        """,
    )
    run = project.run(plugins=["asyncio"])

    found = [(one["nodeid"].partition("[")[2], one["kind"]) for one in run.failing]
    assert found == [(f"{number}]", "signals") for number in (1, 2, 3)], run.text
