"""The closing section: complete, fitted to a terminal that somebody watches, and never raw."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hygiene.plugin.suites import LEAK, write_suite
from support import documents
from support.inner import run_inside

from pytest_resource_hygiene.pytest_plugin.closing import ClosingSection

if TYPE_CHECKING:
    from support.inner import Project


class Screen:
    """Takes what is written to a terminal of some width."""

    def __init__(self, width: int | None) -> None:
        self.isatty = width is not None
        self._tw = SimpleNamespace(fullwidth=width or 80)
        self.text = ""

    def write(self, text: str, **markup: bool) -> None:
        self.text += text

    def write_line(self, text: str, **markup: bool) -> None:
        self.text += f"{text}\n"


def section(screen: Screen, verbosity: int = 0) -> ClosingSection:
    config: Any = SimpleNamespace(
        rootpath="/project",
        invocation_params=SimpleNamespace(dir="/project"),
        get_verbosity=lambda: verbosity,
    )
    return ClosingSection(screen, config, "fail")


def findings(count: int) -> list[dict[str, Any]]:
    """Return findings that fail, each of a place of its own."""
    [one] = documents.make(1, 1)["findings"]
    origins = [{**one["origin"], "line": number + 1} for number in range(count)]
    return [{**one, "severity": "fail", "origin": origin} for origin in origins]


def test_of_very_many_places_the_later_ones_have_a_line_each() -> None:
    """300 leaks are no wall of text, and none is left out."""
    screen = Screen(None)
    section(screen).show_findings(findings(300))

    assert screen.text.count("  fix ") == 20
    assert "280 more places, a line each (-v shows them whole)\n" in screen.text
    assert all(f".py:{number}" in screen.text for number in range(1, 301))
    assert len(screen.text.splitlines()) < 600


def test_verbose_shows_every_place_whole() -> None:
    """Who asks for more gets all of it, stacks as well."""
    screen = Screen(None)
    section(screen, verbosity=1).show_findings(findings(30))

    assert screen.text.count("  fix ") == screen.text.count("  stack ") == 30


def test_lines_fit_a_terminal_and_break_at_spaces() -> None:
    """No line is wider than the terminal unless it is one word."""
    screen = Screen(60)
    [finding] = findings(1)
    finding["hint"] = "close it " * 30
    section(screen).show_findings([finding])
    section(screen).show_tests([{**finding, "nodeid": "tests/test_a.py::test_short"}])

    lines = screen.text.splitlines()
    assert max(len(line) for line in lines if " " in line.strip()) < 90
    assert all(len(line) <= 60 for line in lines if "close it" in line)
    assert "LEAKED tests/test_a.py::test_short - " in lines[-1]
    assert lines[-1].endswith("...")


def test_the_mark_of_a_source_line_stays_with_the_line() -> None:
    """Also where its first word alone fills the row."""
    screen = Screen(60)
    [finding] = findings(1)
    call = f"threading.Thread(target={'long_name.' * 4}serve, args=(1,)).start()"
    finding["details"] = {**finding["details"], "source_line": call}
    section(screen).show_findings([finding])

    rows = [line.strip() for line in screen.text.splitlines()]
    assert ">" not in rows
    first = next(position for position, row in enumerate(rows) if row.startswith("> threading"))
    assert " ".join(rows[first : first + 2]).removeprefix("> ") == call


def test_a_log_keeps_lines_whole() -> None:
    """In a file nothing is cut or wrapped: node ids and paths are to be found by searching."""
    screen = Screen(None)
    [finding] = findings(1)
    finding["hint"] = "close it " * 30
    section(screen).show_findings([finding])

    assert finding["hint"] in screen.text


def test_several_tests_of_a_place_are_listed(project: Project) -> None:
    """A row for each of the first five, and how many more there are."""
    project.write("test_it.py", """
        import os, pytest
        kept = []
        @pytest.mark.parametrize("number", range(7))
        def test_it(number): kept.append(os.open(os.devnull, os.O_RDONLY))
    """)  # fmt: skip
    run = project.run()

    assert "  by       7 tests:\n           test_it.py::test_it[0]\n" in run.out
    assert "           and 2 more\n" in run.out


def test_nothing_raw_reaches_the_terminal(project: Project) -> None:
    """Control characters in a thread's name are written as escapes."""
    project.write("test_it.py", """
        import threading
        def test_it():
            global stop
            stop = threading.Event()
            name = "a\\x1b[2Jb\\nc"
            threading.Thread(target=stop.wait, name=name, daemon=True).start()
    """)  # fmt: skip
    run = project.run()

    assert "\x1b" not in run.text
    assert r"a\x1b[2Jb" in run.out


def test_from_a_folder_of_the_project_paths_lead_from_there(project: Project) -> None:
    """As pytest's own node ids do; what is written to files names them from the project's folder."""
    project.write("sub/test_it.py", LEAK)
    run = run_inside(project.path / "sub", "--resource-hygiene-grace=0.1")

    assert run.one()["nodeid"] == "sub/test_it.py::test_leaks"
    assert run.one()["origin"]["file"] == "sub/test_it.py"
    assert "  made     test_it.py:3 in test_leaks\n" in run.out
    assert "  by       test test_it.py::test_leaks\n" in run.out
    assert "LEAKED test_it.py::test_leaks - fds: file fd" in run.out
    assert str(project.path / "sub") not in run.out.partition("resource hygiene ===")[2]


def test_a_leak_is_counted_in_red(project: Project) -> None:
    """Pytest's own colour for an outcome that it does not know is yellow, as for a warning."""
    project.write("test_it.py", LEAK)
    out = project.run("--color=yes", env={"NO_COLOR": None}).out

    assert "\x1b[31m\x1b[1m1 leaked\x1b[0m" in out.splitlines()[-1], out


def test_the_time_spent_waiting_is_told_apart(project: Project) -> None:
    """Who reads what we cost must not take the grace period of a leak for the price of a test."""
    project.write("test_it.py", LEAK)
    leaking = project.run(grace=0.3).out
    project.write("test_it.py", "def test_clean(): pass\n")
    clean = project.run().out

    waited = re.search(r"own \((\d+\.\d+) s of it waiting, else \d+ us per test\)", leaking)
    assert waited is not None, leaking
    assert float(waited[1]) >= 0.3
    assert "of it waiting" not in clean


def test_a_test_in_report_mode_is_not_called_leaked_beside_those_that_are(project: Project) -> None:
    """A marker may say what becomes of one test; the closing section says it as well."""
    write_suite(
        project,
        """
        @pytest.mark.resource_hygiene("report")
        def test_is_reported(): KEEP.append(socket.socket())
        def test_fails(): KEEP.append(socket.socket())
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}
    assert "leaked (report only) test_it.py::test_is_reported - " in run.out
    assert "LEAKED test_it.py::test_fails - " in run.out
    assert "LEAKED test_it.py::test_is_reported" not in run.out


def test_everybody_who_leaks_by_one_line_is_named(project: Project) -> None:
    """Two fixtures and a test: else the reader looks for the leak in a test that has none."""
    write_suite(
        project,
        """
        def helper(): KEEP.append(os.open(__file__, os.O_RDONLY))
        @pytest.fixture
        def first(): helper()
        @pytest.fixture(scope="module")
        def second(): helper()
        def test_first(first): pass
        def test_again(first): pass
        def test_itself(): helper()
        def test_last(second): pass
        """,
    )
    text = project.run().text

    by = text[text.index("  by ") : text.index("  waited")]
    assert by.count("fixture 'first' (function scope) at test_it.py:") == 1
    assert by.count("fixture 'second' (module scope) at test_it.py:") == 1
    assert "           test test_it.py::test_itself" in by
    assert "  in       4 tests:" in by


def test_several_tests_beside_a_fixture_are_counted(project: Project) -> None:
    write_suite(
        project,
        """
        def helper(): KEEP.append(os.open(__file__, os.O_RDONLY))
        @pytest.fixture
        def first(): helper()
        def test_first(first): pass
        def test_one(): helper()
        def test_two(): helper()
        """,
    )
    assert "           2 of the tests themselves" in project.run().text
