"""Limits of listeners, in the words of Node: who has added too many, and where."""

from __future__ import annotations

import re

from hygiene.plugin.suites import write_suite
from support.inner import Project, brief

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


def test_listeners_that_pile_up_fail_the_first_test(project: Project) -> None:
    """21 components that add signal and exit listeners fail at the first test, in familiar words."""
    write_suite(project, _COMPONENTS)
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
    write_suite(
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
    write_suite(
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


def test_a_limit_that_the_setup_of_a_wider_fixture_crosses_is_told_of_the_fixture(
    project: Project,
) -> None:
    """Its teardown takes all of them off again; so it is told in the first test that asked for it."""
    write_suite(project, """
        import atexit, logging
        @pytest.fixture(scope="class")
        def exits():
            callbacks = [(lambda i=i: i) for i in range(11)]
            for one in callbacks: atexit.register(one)
            yield
            for one in callbacks: atexit.unregister(one)
        @pytest.fixture(scope="class")
        def chain():
            before = signal.getsignal(signal.SIGTERM)
            for i in range(11):
                def handler(*args, inner=signal.getsignal(signal.SIGTERM)): inner(*args)
                signal.signal(signal.SIGTERM, handler)
            yield
            signal.signal(signal.SIGTERM, before)
        @pytest.fixture(scope="class")
        def handlers():
            logger = logging.getLogger("many")
            for i in range(11): logger.addHandler(logging.NullHandler())
            yield
            logger.handlers.clear()
        class TestExits:
            def test_first(self, exits): pass
            def test_second(self, exits): pass
        class TestChain:
            def test_first(self, chain): pass
            def test_second(self, chain): pass
        class TestHandlers:
            def test_first(self, handlers): pass
            def test_second(self, handlers): pass
        """)  # fmt: skip
    run = project.run()

    assert run.outcomes == {"passed": 3, "leaked": 3}, run.text
    assert [(one["kind"], one["change"], one["owner"]["name"]) for one in run.failing] == [
        ("atexit", "exceeded", "exits"),
        ("signals", "exceeded", "chain"),
        ("listeners", "exceeded", "handlers"),
    ]
    assert all(one["nodeid"].endswith("test_first") for one in run.failing)
