"""Settings and markers that cannot be used: told in one line, with the place and what is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import LEAK, write_ini

if TYPE_CHECKING:
    from support.inner import Project

_MISTAKES = [
    pytest.param("--resource-hygiene=on", "one of fail, report, off", id="mode"),
    pytest.param("--resource-hygiene-kinds=thread", "unknown kind 'thread'", id="kind"),
    pytest.param("--resource-hygiene-grace=soon", "seconds from 0 to 3600", id="grace in words"),
    pytest.param("--resource-hygiene-grace=-1", "seconds from 0 to 3600", id="negative grace"),
    pytest.param("--resource-hygiene-grace=nan", "seconds from 0 to 3600", id="grace not a number"),
    pytest.param("--resource-hygiene-max-listeners=0", "whole number from 1", id="no listeners"),
    pytest.param("--resource-hygiene-repeat=often", "whole number from 0", id="repeat"),
    pytest.param("--resource-hygiene-allow=fds: *", "reason", id="allowance without reason"),
    pytest.param("--resource-hygiene-allow=fd: * -- x", "fd", id="allowance of an unknown kind"),
    pytest.param("--resource-hygiene-severity=fds: loud", "fail, note, off", id="severity"),
    pytest.param("--resource-hygiene-severity=fd: note", "fds", id="severity of an unknown kind"),
    pytest.param("--resource-hygiene-emitters=bus", "bus", id="emitter without a module"),
    pytest.param("--resource-hygiene-emitters=bus = nowhere:X", "nowhere", id="emitter not there"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "words"), _MISTAKES)
def test_a_mistake_on_the_command_line_is_told_in_one_line(
    project: Project, argument: str, words: str
) -> None:
    """A value that cannot be used stops pytest with status 4, the valid ones, and no traceback."""
    project.write("test_it.py", LEAK)
    run = project.run(argument, grace=None)

    assert run.code == 4, run.text
    assert words in run.text
    assert "Traceback" not in run.text
    assert "INTERNALERROR" not in run.text


@pytest.mark.parametrize("source", ["ini", "environment"])
def test_a_mistake_elsewhere_names_its_place(project: Project, source: str) -> None:
    """The message says where the wrong value was read."""
    project.write("test_it.py", LEAK)
    env: dict[str, str] = {}
    if source == "ini":
        write_ini(project, "resource_hygiene_grace = soon")
        place = "resource_hygiene_grace in "
    else:
        env = {"RESOURCE_HYGIENE_GRACE": "soon"}
        place = "environment variable RESOURCE_HYGIENE_GRACE"
    run = project.run(env=env, grace=None)

    assert run.code == 4, run.text
    assert place in run.text
    assert "Traceback" not in run.text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("resource_hygiene_kinds = thread", "resource_hygiene_kinds in "),
        ("resource_hygiene_emitters = bus", "resource_hygiene_emitters: 'bus' is no emitter"),
    ],
)
def test_a_mistake_in_the_file_is_not_told_of_the_command_line(
    project: Project, line: str, words: str
) -> None:
    """Of kinds and emitters as well, which are understood only after collection."""
    project.write("test_it.py", LEAK)
    write_ini(project, line)
    run = project.run()

    assert run.code == 4, run.text
    assert words in run.text
    assert "ERROR: --resource-hygiene-" not in run.text


def test_a_misspelt_variable_is_told_and_a_foreign_one_is_not(project: Project) -> None:
    """A variable that nobody reads would be missed by nobody."""
    project.write("test_it.py", "def test_it(): pass\n")
    run = project.run(env={"RESOURCE_HYGIENE_GRAC": "1"})

    assert run.code == 4, run.text
    assert "RESOURCE_HYGIENE_GRAC is not known; did you mean RESOURCE_HYGIENE_GRACE?" in run.text

    for wrong in ("RESOURCE_HYGEINE_GRACE", "RESOURCE_HYGINE_GRACE"):
        text = project.run(env={wrong: "1"}).text
        assert f"{wrong} is not known; did you mean RESOURCE_HYGIENE_GRACE?" in text
    assert "did you mean RESOURCE_HYGIENE?" in project.run(env={"RESOURCE_HYGEINE": "off"}).text

    foreign = {"RESOURCE_HYGIENE_TOKEN": "1", "RESOURCE_HYGIENE_DEBUG": "1", "RESOURCE_HYDRATE": ""}
    assert project.run(env=foreign).code == 0
    assert (
        project.run("-p", "no:cacheprovider", env={"RESOURCE_HYGIENE_GRAC": "1"}, on=False).code
        == 0
    )


_BAD_MARKERS = [
    pytest.param("resource_hygiene()", "says nothing", id="says nothing"),
    pytest.param('allow_leak("threads")', "reason", id="no reason"),
    pytest.param('allow_leak("threads", reason="")', "reason", id="empty reason"),
    pytest.param('allow_leak("thread", reason="x")', "unknown kind 'thread'", id="unknown kind"),
    pytest.param('allow_leak("threads", reson="x")', "reson", id="typo"),
    pytest.param('allow_leak(["threads"], reason="x")', "one after the other", id="list of kinds"),
    pytest.param('resource_hygiene(["off"])', "fail, report, off", id="list of modes"),
    pytest.param('allow_leak("threads", match=3, reason="x")', "match", id="match of a number"),
    pytest.param('resource_hygiene("loud")', "fail, report, off", id="unknown mode"),
    pytest.param("resource_hygiene(graze=1)", "graze", id="unknown argument"),
    pytest.param('resource_hygiene(grace="long")', "grace", id="grace in words"),
]  # fmt: skip


@pytest.mark.parametrize("where", ["test", "class", "module"])
@pytest.mark.parametrize(("marker", "words"), _BAD_MARKERS)
def test_a_marker_that_cannot_be_used_is_an_error_at_collection(
    project: Project, marker: str, words: str, where: str
) -> None:
    """A typo in a marker stops the run with its place and what is valid; it never allows silently."""
    mark = f"pytest.mark.{marker}"
    project.write("test_it.py", {
        "test": f"import pytest\n@{mark}\ndef test_it(): pass\n",
        "class": f"import pytest\n@{mark}\nclass TestIt:\n    def test_it(self): pass\n",
        "module": f"import pytest\npytestmark = {mark}\ndef test_it(): pass\n",
    }[where])  # fmt: skip
    run = project.run()

    assert run.code == 4, run.text
    assert words in run.text
    assert "test_it.py" in run.text
    assert "Traceback" not in run.text
    assert "INTERNALERROR" not in run.text


@pytest.mark.parametrize(
    ("option", "file", "text", "words"),
    [
        pytest.param(
            "", "test_it.py",
            "import pytest\n@pytest.mark.allow_leak('threds', reason='x')\ndef test_it(): pass\n",
            "unknown kind 'threds'", id="marker",
        ),
        pytest.param("--resource-hygiene-kinds=threds", "", "", "unknown kind 'threds'", id="kind"),
        pytest.param("--resource-hygiene-grace=soon", "", "", "seconds from 0", id="grace"),
        pytest.param(
            "--resource-hygiene-severity=fd: note", "", "", "'fd: note' is not valid", id="severity",
        ),
        pytest.param(
            "", "conftest.py", "def pytest_resource_hygiene_trackers(): return [3]\n",
            "Return a list of trackers", id="hook",
        ),
        pytest.param(
            "", "conftest.py", "def pytest_resource_hygiene_emitters(): return {'bus': 3}\n",
            "cannot list the listeners of 3", id="emitter",
        ),
    ],
)  # fmt: skip
def test_a_mistake_under_xdist_is_told_by_the_controller(
    project: Project, option: str, file: str, text: str, words: str
) -> None:
    """Markers and kinds are understood in the workers; xdist by itself has an assertion for each."""
    project.write("test_it.py", "def test_it(): pass\n")
    if file:
        project.write(file, text)
    run = project.run(*filter(None, [option]), "-n", "2", plugins=["xdist"])

    assert run.code == 4, run.text
    assert words in run.text
    assert "INTERNALERROR" not in run.text
