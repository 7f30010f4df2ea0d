"""Switching on and off: by whom, in which mode, and which source of the mode wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import LEAK, write_ini, write_toml
from support.inner import Project, run_inside

if TYPE_CHECKING:
    from collections.abc import Callable


_LOAD = ("-p", "pytest_resource_hygiene.pytest_plugin")
_WAYS: dict[str, Callable[[Project], tuple[tuple[str, ...], dict[str, str | None]]]] = {}


def _way(function: Callable[[Project], tuple[tuple[str, ...], dict[str, str | None]]]) -> None:
    _WAYS[function.__name__.strip("_")] = function


@_way
def _p_on_the_command_line(project: Project):  # type: ignore[no-untyped-def]
    return ("-p", "resource_hygiene"), {}


@_way
def _p_without_a_space(project: Project):  # type: ignore[no-untyped-def]
    return ("-presource_hygiene",), {}


@_way
def _p_with_the_module_name(project: Project):  # type: ignore[no-untyped-def]
    return _LOAD, {}


@_way
def _p_in_addopts(project: Project):  # type: ignore[no-untyped-def]
    write_ini(project, "addopts = -p resource_hygiene")
    return (), {}


@_way
def _p_in_addopts_of_pyproject(project: Project):  # type: ignore[no-untyped-def]
    write_toml(project, 'addopts = ["-p", "resource_hygiene"]')
    return (), {}


@_way
def _pytest_addopts_in_the_environment(project: Project):  # type: ignore[no-untyped-def]
    return (), {"PYTEST_ADDOPTS": "-p resource_hygiene"}


@_way
def _pytest_plugins_in_the_environment(project: Project):  # type: ignore[no-untyped-def]
    return (), {"PYTEST_PLUGINS": "pytest_resource_hygiene.pytest_plugin"}


@_way
def _pytest_plugins_of_a_conftest(project: Project):  # type: ignore[no-untyped-def]
    project.write("conftest.py", 'pytest_plugins = ["pytest_resource_hygiene.pytest_plugin"]\n')
    return (), {}


@_way
def _the_flag(project: Project):  # type: ignore[no-untyped-def]
    return ("--resource-hygiene=fail",), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@_way
def _the_ini_key(project: Project):  # type: ignore[no-untyped-def]
    write_ini(project, "resource_hygiene = fail")
    return (), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@_way
def _the_key_in_pyproject(project: Project):  # type: ignore[no-untyped-def]
    write_toml(project, 'resource_hygiene = "fail"')
    return (), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@_way
def _the_environment_variable(project: Project):  # type: ignore[no-untyped-def]
    return (), {"RESOURCE_HYGIENE": "fail", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@pytest.mark.parametrize("way", _WAYS.values(), ids=list(_WAYS))
def test_it_is_switched_on_by(
    project: Project, way: Callable[[Project], tuple[tuple[str, ...], dict[str, str | None]]]
) -> None:
    """Each documented way of naming the plugin makes a leaking test fail."""
    project.write("test_it.py", LEAK)
    args, env = way(project)
    quiet = () if args[:1] == ("-p",) or "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in env else (
        "-p", "no:randomly", "-p", "no:xdist")  # fmt: skip
    run = run_inside(project.path, *args, *quiet, env=env, on=False)

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert run.code == 1


def test_merely_installed_it_is_silent(project: Project) -> None:
    """With autoloading on and nobody naming it, a leak stays unseen and nothing is printed."""
    project.write("test_it.py", LEAK)
    run = run_inside(project.path, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}, on=False)

    assert run.outcomes == {"passed": 2}
    assert "resource hygiene" not in run.text
    assert run.code == 0


def test_merely_installed_it_imports_nothing_of_the_engine(project: Project) -> None:
    """Off, neither the engine nor a tracker nor psutil is loaded."""
    project.write("test_it.py", """
        import sys
        def test_it():
            assert "pytest_resource_hygiene" in sys.modules
            heavy = [name for name in sys.modules if name.startswith((
                "pytest_resource_hygiene.engine", "pytest_resource_hygiene.trackers",
                "pytest_resource_hygiene.recorder", "psutil"))]
            assert heavy == []
        """)  # fmt: skip
    run = run_inside(project.path, *_LOAD, "--resource-hygiene=off", on=False)

    assert run.outcomes == {"passed": 1}, run.text


@pytest.mark.parametrize(
    ("args", "env", "ini"),
    [
        pytest.param(("--resource-hygiene=off",), {}, "", id="flag"),
        pytest.param((), {"RESOURCE_HYGIENE": "off"}, "", id="environment"),
        pytest.param((), {}, "resource_hygiene = off", id="ini"),
    ],
)
def test_off_wins_over_naming_it(
    project: Project, args: tuple[str, ...], env: dict[str, str], ini: str
) -> None:
    """An explicit off beats -p, wherever it is written."""
    project.write("test_it.py", LEAK)
    write_ini(project, ini)
    run = run_inside(project.path, "-p", "resource_hygiene", *args, env=env, on=False)

    assert run.outcomes == {"passed": 2}, run.text
    assert "resource hygiene" not in run.text


def test_report_shows_and_fails_nothing(project: Project) -> None:
    """In report mode the findings are shown and written, and the run passes."""
    project.write("test_it.py", LEAK)
    run = project.run("--resource-hygiene=report")

    assert run.code == 0
    assert run.outcomes == {"passed": 2}, run.text
    assert "fds: file" in run.out
    assert [one["severity"] for one in run.findings] == ["fail"]


@pytest.mark.parametrize(
    ("flag", "env", "ini", "mode"),
    [
        ("off", "report", "fail", "off"),
        ("fail", "off", "report", "fail"),
        (None, "off", "fail", "off"),
        (None, "report", "off", "report"),
        (None, None, "report", "report"),
    ],
)
def test_the_command_line_beats_the_environment_beats_the_file(
    project: Project, flag: str | None, env: str | None, ini: str, mode: str
) -> None:
    """Of the sources of the mode, the strongest that says anything decides."""
    project.write("test_it.py", LEAK)
    write_ini(project, f"resource_hygiene = {ini}")
    args = (f"--resource-hygiene={flag}",) if flag else ()
    run = run_inside(
        project.path, "-p", "resource_hygiene", *args, env={"RESOURCE_HYGIENE": env}, on=False
    )
    seen = "fail" if "leaked" in run.outcomes else "report" if "fds: file" in run.out else "off"

    assert seen == mode, run.text


@pytest.mark.parametrize(
    ("marker", "flag", "leaked"),
    [
        ("off", "fail", False),
        ("report", "fail", False),
        ("fail", "report", True),
    ],
)
def test_a_marker_beats_the_command_line(
    project: Project, marker: str, flag: str, leaked: bool
) -> None:
    """``@pytest.mark.resource_hygiene`` decides for its test."""
    project.write(
        "test_it.py",
        f"""
        import pytest
        KEEP = []
        @pytest.mark.resource_hygiene("{marker}")
        def test_it(): KEEP.append(open(__file__))
        """,
    )
    run = project.run(f"--resource-hygiene={flag}")

    assert ("leaked" in run.outcomes) == leaked, run.text


def test_nobody_waits_for_what_a_test_that_is_off_has_left(project: Project) -> None:
    """The thread would end within the grace; the next test still finds it alive."""
    project.write("test_it.py", """
        import threading, pytest
        GO_ON = threading.Event()
        THREAD = threading.Thread(target=GO_ON.wait, args=(10,))
        @pytest.mark.resource_hygiene("off")
        def test_one(): THREAD.start()
        def test_two():
            assert THREAD.is_alive()
            GO_ON.set()
            THREAD.join()
        """)  # fmt: skip
    run = project.run("--resource-hygiene-grace=60")

    assert run.outcomes == {"passed": 2}, run.text


def test_a_tests_marker_beats_its_class_beats_its_module(project: Project) -> None:
    """The nearest marker wins."""
    project.write("test_it.py", """
        import pytest
        KEEP = []
        pytestmark = pytest.mark.resource_hygiene("off")
        def leak(): KEEP.append(open(__file__))
        def test_module(): leak()
        @pytest.mark.resource_hygiene("fail")
        class TestOne:
            def test_class(self): leak()
            @pytest.mark.resource_hygiene("off")
            def test_own(self): leak()
        """)  # fmt: skip
    run = project.run()

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::TestOne::test_class"}
