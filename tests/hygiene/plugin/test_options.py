"""Switching on and off, and every option from every source: the issue's sections 1 and 5."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest
from support.inner import Project, run_inside

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAK = """
    import os
    KEEP = []
    def test_leaks(): KEEP.append(open(__file__))
    def test_clean(): pass
    """


def _ini(project: Project, text: str) -> None:
    lines = "\n".join(line.strip() for line in text.strip().splitlines())
    project.write("pytest.ini", f"[pytest]\n{lines}\n")


def _toml(project: Project, text: str) -> None:
    (project.path / "pytest.ini").unlink()
    project.write("pyproject.toml", f"[tool.pytest.ini_options]\n{text}\n")


# --- activation ---

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
    _ini(project, "addopts = -p resource_hygiene")
    return (), {}


@_way
def _p_in_addopts_of_pyproject(project: Project):  # type: ignore[no-untyped-def]
    _toml(project, 'addopts = ["-p", "resource_hygiene"]')
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
    _ini(project, "resource_hygiene = fail")
    return (), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@_way
def _the_key_in_pyproject(project: Project):  # type: ignore[no-untyped-def]
    _toml(project, 'resource_hygiene = "fail"')
    return (), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@_way
def _the_environment_variable(project: Project):  # type: ignore[no-untyped-def]
    return (), {"RESOURCE_HYGIENE": "fail", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}


@pytest.mark.parametrize("way", _WAYS.values(), ids=list(_WAYS))
def test_it_is_switched_on_by(
    project: Project, way: Callable[[Project], tuple[tuple[str, ...], dict[str, str | None]]]
) -> None:
    """Each documented way of naming the plugin makes a leaking test fail."""
    project.write("test_it.py", _LEAK)
    args, env = way(project)
    quiet = () if args[:1] == ("-p",) or "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in env else (
        "-p", "no:randomly", "-p", "no:xdist")  # fmt: skip
    run = run_inside(project.path, *args, *quiet, env=env, on=False)

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert run.code == 1


def test_merely_installed_it_is_silent(project: Project) -> None:
    """With autoloading on and nobody naming it, a leak stays unseen and nothing is printed."""
    project.write("test_it.py", _LEAK)
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
    project.write("test_it.py", _LEAK)
    _ini(project, ini)
    run = run_inside(project.path, "-p", "resource_hygiene", *args, env=env, on=False)

    assert run.outcomes == {"passed": 2}, run.text
    assert "resource hygiene" not in run.text


def test_report_shows_and_fails_nothing(project: Project) -> None:
    """In report mode the findings are shown and written, and the run passes."""
    project.write("test_it.py", _LEAK)
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
    project.write("test_it.py", _LEAK)
    _ini(project, f"resource_hygiene = {ini}")
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


# --- every option from every source ---

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="orphans come on Linux")

_OPTIONS = [
    # name, value, the file, what must be in the output or the outcomes
    pytest.param("kinds", "threads", _LEAK, {"passed": 2}, id="kinds"),
    pytest.param("kinds", "-fds", _LEAK, {"passed": 2}, id="kinds taken away"),
    pytest.param("grace", "3", """
        import threading, time
        def test_it(): threading.Thread(target=time.sleep, args=(0.8,)).start()
        """, {"passed": 1}, id="grace"),
    pytest.param("strict", "true", """
        import warnings; warnings.simplefilter("ignore")
        def test_it(): open(__file__)
        """, {"leaked": 1}, id="strict"),
    pytest.param("restore", "false", """
        import signal
        def noop(*a): pass
        def test_a(): signal.signal(signal.SIGUSR1, noop)
        def test_b(): assert signal.getsignal(signal.SIGUSR1) is noop
        """, {"leaked": 1, "passed": 1}, id="restore"),
    pytest.param("orphans", "false", """
        import os, psutil, subprocess
        def test_it():
            sleeper = ["sh", "-c", "sleep 0.7 >/dev/null & echo $!"]
            pid = int(subprocess.run(sleeper, stdout=subprocess.PIPE).stdout)
            assert psutil.Process(pid).ppid() != os.getpid()
        """, {"passed": 1}, id="orphans", marks=linux_only),
    pytest.param("max-listeners", "2", """
        import atexit, pytest
        @pytest.mark.allow_leak(match="exit callback", reason="the count is the subject")
        def test_it():
            for _ in range(3): atexit.register(int)
        """, {"leaked": 1}, id="max-listeners"),
    pytest.param("confirm", "true", """
        KEEP = []
        def test_it():
            if not KEEP: KEEP.append(open(__file__))
        """, {"passed": 1}, id="confirm"),
    pytest.param("repeat", "3", """
        KEEP = []
        def test_it():
            if not KEEP: KEEP.append(open(__file__))
        """, {"passed": 1}, id="repeat"),
    pytest.param("allow", "fds: *test_it.py* -- known", _LEAK, {"passed": 2}, id="allow"),
    pytest.param("severity", "fds: note", _LEAK, {"passed": 2}, id="severity"),
    pytest.param("emitters", "bus = registry:LISTENERS", """
        import registry
        def test_it(): registry.LISTENERS.append(int)
        """, {"leaked": 1}, id="emitters"),
]  # fmt: skip


@pytest.mark.parametrize("source", ["flag", "ini", "toml", "environment"])
@pytest.mark.parametrize(("name", "value", "text", "outcomes"), _OPTIONS)
def test_an_option_works_from_every_source(
    project: Project, name: str, value: str, text: str, outcomes: dict[str, int], source: str
) -> None:
    """Each option does the same as flag, in an ini file, in pyproject.toml and in the environment."""
    project.write("test_it.py", text)
    project.write("registry.py", "LISTENERS = []\n")
    key = f"resource_hygiene_{name}".replace("-", "_")
    args: tuple[str, ...] = ()
    env: dict[str, str | None] = {"PYTHONPATH": str(project.path)}
    if source == "flag":
        flag = f"--resource-hygiene-{name}"
        is_switch = value in {"true", "false"}
        off = flag.replace("--", "--no-", 1)
        args = ((flag if value == "true" else off) if is_switch else f"{flag}={value}",)
    elif source == "ini":
        _ini(project, f"{key} = {value}")
    elif source == "toml":
        lines = name in {"allow", "severity", "emitters"}
        _toml(project, f"{key} = {json.dumps([value] if lines else value)}")
    else:
        env[key.upper()] = value
    run = run_inside(project.path, "-p", "resource_hygiene", *args, env=env, on=False)

    assert run.outcomes == outcomes, run.text


@pytest.mark.parametrize("source", ["flag", "ini", "environment"])
def test_the_json_file_can_be_named_from_every_source(project: Project, source: str) -> None:
    """The JSON file is written wherever its name was read."""
    project.write("test_it.py", _LEAK)
    args, env = (), {}
    if source == "flag":
        args = ("--resource-hygiene-json=out/x.json",)
    elif source == "ini":
        _ini(project, "resource_hygiene_json = out/x.json")
    else:
        env = {"RESOURCE_HYGIENE_JSON": "out/x.json"}
    run_inside(project.path, "-p", "resource_hygiene", *args, env=env, on=False)
    document = json.loads((project.path / "out" / "x.json").read_text(encoding="utf-8"))

    assert document["summary"]["leaked_tests"] == 1


def test_lines_of_allowances_add_up(project: Project) -> None:
    """Allowances of the file, the environment and the command line hold together."""
    project.write("test_it.py", """
        import socket, os
        KEEP = []
        def test_it(): KEEP.extend([open(__file__), socket.socket(), os.pipe()])
        """)  # fmt: skip
    _ini(project, "resource_hygiene_allow = sockets: * -- from the file")
    run = project.run(
        "--resource-hygiene-allow=fds: *test_it.py, open* -- from the flag",
        env={"RESOURCE_HYGIENE_ALLOW": "fds: pipe* -- from the environment"},
    )
    run.assert_clean()

    assert {one["reason"] for one in run.findings} == {
        "from the file", "from the flag", "from the environment"}  # fmt: skip


# --- mistakes ---

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
    project.write("test_it.py", _LEAK)
    run = project.run(argument, grace=None)

    assert run.code == 4, run.text
    assert words in run.text
    assert "Traceback" not in run.text
    assert "INTERNALERROR" not in run.text


@pytest.mark.parametrize("source", ["ini", "environment"])
def test_a_mistake_elsewhere_names_its_place(project: Project, source: str) -> None:
    """The message says where the wrong value was read."""
    project.write("test_it.py", _LEAK)
    env: dict[str, str] = {}
    if source == "ini":
        _ini(project, "resource_hygiene_grace = soon")
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
    project.write("test_it.py", _LEAK)
    _ini(project, line)
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

    foreign = {"RESOURCE_HYGIENE_TOKEN": "1", "RESOURCE_HYGIENE_DEBUG": "1"}
    assert project.run(env=foreign).code == 0
    assert (
        project.run("-p", "no:cacheprovider", env={"RESOURCE_HYGIENE_GRAC": "1"}, on=False).code
        == 0
    )


_BAD_MARKERS = [
    pytest.param('allow_leak("threads")', "reason", id="no reason"),
    pytest.param('allow_leak("threads", reason="")', "reason", id="empty reason"),
    pytest.param('allow_leak("thread", reason="x")', "unknown kind 'thread'", id="unknown kind"),
    pytest.param('allow_leak("threads", reson="x")', "reson", id="typo"),
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


# --- allowing ---


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ('"fds", reason="x"', True),
        ('reason="x"', True),
        ('"threads", reason="x"', False),
        ('"threads", "fds", reason="x"', True),
        ('"fds", match="test_it.py", reason="x"', True),
        ('"fds", match="other.py", reason="x"', False),
        ('"fds", match="in test_leaks", reason="x"', True),
        ('"fds", match="file*open for read", reason="x"', True),
    ],
)
def test_a_marker_allows_what_it_matches(project: Project, arguments: str, allowed: bool) -> None:
    """Kinds restrict, and the glob is held against summary, target and creation site."""
    project.write(
        "test_it.py",
        f"""
        import pytest
        KEEP = []
        @pytest.mark.allow_leak({arguments})
        def test_leaks():
            KEEP.append(open(__file__))
        """,
    )
    run = project.run()

    assert ("leaked" not in run.outcomes) == allowed, run.text


def test_an_allowance_shows_reason_and_issue(project: Project) -> None:
    """An allowed finding carries the reason and the issue into the JSON."""
    project.write(
        "test_it.py",
        """
        import pytest
        KEEP = []
        @pytest.mark.allow_leak("fds", reason="a cache", issue="#7")
        def test_it(): KEEP.append(open(__file__))
        """,
    )
    run = project.run()
    run.assert_clean()
    (finding,) = run.findings

    assert (finding["severity"], finding["reason"], finding["issue"]) == (
        "allowed",
        "a cache",
        "#7",
    )
    assert run.summary["allowed"] == 1


def test_an_allowance_that_matched_nothing_is_named(project: Project) -> None:
    """Unused allowances stand in the closing section and in the JSON, and fail a strict run."""
    project.write(
        "test_it.py",
        """
        import pytest
        @pytest.mark.allow_leak("threads", reason="long gone")
        def test_it(): pass
        """,
    )
    _ini(project, "resource_hygiene_allow = sockets: *pool* -- was once here")
    run = project.run()

    assert run.code == 0
    assert run.document is not None
    unused = run.document["unused_allowances"]
    assert len(unused) == 2, unused
    assert any("was once here" in line for line in unused)
    assert any("long gone" in line for line in unused)
    assert run.out.count("was once here") == 1
    assert project.run("--resource-hygiene-strict").code == 1


def test_a_severity_of_off_switches_a_kind_off(project: Project) -> None:
    """``kind: off`` leaves not even a note; ``kind: fail`` makes a note a failure."""
    project.write("test_it.py", _LEAK)
    run = project.run("--resource-hygiene-severity=fds: off")
    run.assert_clean(notes=False)

    assert run.findings == []


@pytest.mark.parametrize(
    ("kind", "leak"),
    [
        ("environment", "os.environ['RH_LEFT'] = '1'"),
        ("environment", "os.chdir('/')"),
        ("environment", "sys.path.append('/nowhere')"),
        ("temp_paths", "tempfile.mkdtemp()"),
    ],
)
def test_kinds_that_are_off_are_one_flag_away(project: Project, kind: str, leak: str) -> None:
    """Silent by default; found with ``--resource-hygiene-kinds=+kind``."""
    project.write("test_it.py", f"import os, sys, tempfile\ndef test_it(): {leak}\n")
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's own temporary folders
        env = {"TMPDIR": folder}

        assert project.run(env=env).outcomes == {"passed": 1}

        run = project.run(f"--resource-hygiene-kinds=+{kind}", env=env)

    assert run.outcomes == {"leaked": 1}, run.text


def test_a_conftest_may_expect_a_leak(project: Project) -> None:
    """The hook pytest_resource_hygiene_expected gives a reason, and the leak is allowed."""
    project.write(
        "conftest.py",
        """
        def pytest_resource_hygiene_expected(item, leak):
            return "known here" if leak.kind == "fds" else None
        """,
    )
    project.write("test_it.py", _LEAK)
    run = project.run()
    run.assert_clean()

    assert [one["reason"] for one in run.findings] == ["known here"]


_TRACKER = """
    from pytest_resource_hygiene.tracker import Description, Tracker
    import app
    class Handles(Tracker):
        kind = "handles"
        title = "application handle"
        def list_resources(self, moment): return {one: one for one in app.OPEN}
        def describe(self, key, value, old=None): return Description(summary=f"handle {value}")
    def pytest_resource_hygiene_trackers(): return [Handles()]
    """


def test_a_conftest_adds_a_kind(project: Project) -> None:
    """A project's own kind is judged, shown, allowed and chosen like any other."""
    project.write("app.py", "OPEN = set()\n")
    project.write("conftest.py", _TRACKER)
    project.write(
        "test_it.py",
        """
        import app, pytest
        def test_leaks(): app.OPEN.add("one")
        @pytest.mark.allow_leak("handles", reason="x")
        def test_allowed(): app.OPEN.add("two")
        def test_clean(): app.OPEN.add("three"); app.OPEN.remove("three")
        """,
    )
    env = {"PYTHONPATH": str(project.path)}
    run = project.run(env=env)

    assert run.one()["summary"] == "handle one"
    assert run.one()["kind"] == "handles"
    assert run.outcomes == {"passed": 2, "leaked": 1}
    assert project.run("--resource-hygiene-kinds=-handles", env=env).code == 0


@pytest.mark.parametrize("method", ["list_resources", "describe", "creation", "anchor", "reading"])
def test_a_fault_in_a_tracker_is_its_own(project: Project, method: str) -> None:
    """A tracker that raises is named in one line, the run ends with 3, and no test is blamed."""
    project.write("app.py", "OPEN = set()\n")
    project.write(
        "conftest.py",
        f"""{_TRACKER}
    def broken(self, *args, **kwargs): raise RuntimeError("my own fault")
    Handles.{method} = broken
    """,
    )
    project.write(
        "test_it.py",
        """
        import app
        def test_a(): pass
        def test_b(): app.OPEN.add("one")
        def test_c(): pass
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path)})

    assert run.code == 3, run.text
    lines = [line for line in run.out.splitlines() if "my own fault" in line]
    assert len(lines) == 1, run.text
    assert "handles" in lines[0]
    assert "Traceback" not in run.text
    assert run.outcomes.get("passed", 0) >= 2


# --- the document ---


def test_the_document_has_exactly_the_promised_keys(project: Project) -> None:
    """Keys and types of the JSON are those of the issue, and its schema accepts it."""
    import jsonschema

    from pytest_resource_hygiene.reports.document import SCHEMA_FILE

    project.write("test_it.py", """
        import os, signal, socket, asyncio, pytest
        KEEP = []
        def test_a(): KEEP.extend([open(__file__), os.pipe(), socket.socket()])
        def test_b(): signal.signal(signal.SIGUSR1, print)
        @pytest.fixture(scope="module")
        def wide(): KEEP.append(asyncio.new_event_loop()); return 1
        def test_c(wide): open(__file__)
        @pytest.mark.allow_leak(reason="x")
        def test_d(): KEEP.append(os.dup(0))
        """)  # fmt: skip
    run = project.run("-W", "ignore")
    document = run.document
    assert document is not None

    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    assert document["schema"] == "resource-hygiene/1"
    assert set(document) >= {"schema", "tool", "environment", "summary", "findings"}
    assert set(document["tool"]) == {"name", "version"}
    assert set(document["environment"]) == {"python", "platform", "pytest", "blind_spots"}
    assert set(document["summary"]) == {
        "tests", "leaked_tests", "findings", "notes", "allowed", "overhead_seconds",
        "gc_collections"}  # fmt: skip
    assert len(document["findings"]) >= 6
    for finding in document["findings"]:
        assert set(finding) == {
            "kind", "severity", "change", "count", "summary", "details", "nodeid", "made_during",
            "owner", "origin", "stack", "held_by", "waited_seconds", "hint", "fingerprint",
            "reason", "issue"}  # fmt: skip
        assert set(finding["owner"]) == {"type", "name", "scope"}
        assert finding["origin"] is None or set(finding["origin"]) == {
            "file", "line", "function", "source"}  # fmt: skip
    assert run.summary["tests"] == 4
    assert run.summary["findings"] == len(run.failing)
    assert run.summary["allowed"] == 1


def test_the_schema_refuses_what_is_not_promised() -> None:
    """The schema is not so wide that anything passes."""
    import jsonschema

    from pytest_resource_hygiene.reports.document import SCHEMA_FILE

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": "resource-hygiene/2"}, schema)


def test_origins_are_relative_to_the_project(project: Project) -> None:
    """Files of the project are written as in the issue's example, not as on this machine."""
    project.write("sub/test_it.py", _LEAK)
    finding = project.run().one()

    assert finding["origin"]["file"] == "sub/test_it.py"


def test_a_file_that_cannot_be_written_is_told(project: Project) -> None:
    """A JSON path below a file ends the run with 3 and one line, not a traceback."""
    project.write("test_it.py", _LEAK)
    run = project.run("--resource-hygiene-json=pytest.ini/x.json")

    assert run.code == 3
    assert "cannot write --resource-hygiene-json=pytest.ini/x.json" in run.out
    assert "Traceback" not in run.text


def test_the_closing_line_states_the_cost(project: Project) -> None:
    """One line says tests, seconds, microseconds per test, and runs of the collector."""
    project.write("test_it.py", "def test_it(): pass\n")
    out = project.run().out

    assert re.search(
        r"resource hygiene: 1 tests?, \d+\.\d+ s .*\d+ (us|µs) per test.*collector", out
    ), out


def test_notes_are_shown_only_when_asked_for(project: Project) -> None:
    """At default verbosity no note is printed; with -v and with -rA it is."""
    project.write("test_it.py", "def test_it(): open(__file__)\n")

    assert "dropped without being closed" not in project.run("-W", "ignore").out
    assert "dropped without being closed" in project.run("-W", "ignore", "-v").out
    assert "dropped without being closed" in project.run("-W", "ignore", "-rA").out


def test_names_of_neighbours_are_not_taken(project: Project) -> None:
    """No flag, ini key or marker of another leak checker is ours."""
    run = run_inside(project.path, "-p", "resource_hygiene", "--help", on=False)
    flags = set(re.findall(r"^\s+(?:-\w, )?(--[\w-]+)", run.out, re.MULTILINE))

    assert "--resource-hygiene-kinds" in flags
    assert not flags & {"--hygiene", "--hygiene-strict", "--leaks", "--threadleak", "--open-files"}
