"""Every option from every source: the issue's sections 1 and 5."""

from __future__ import annotations

import json
import re
import sys

import pytest
from hygiene.plugin.suites import LEAK, write_ini, write_toml
from support.inner import Project, run_inside

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="orphans come on Linux")

_OPTIONS = [
    # name, value, the file, what must be in the output or the outcomes
    pytest.param("kinds", "threads", LEAK, {"passed": 2}, id="kinds"),
    pytest.param("kinds", "-fds", LEAK, {"passed": 2}, id="kinds taken away"),
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
            sleeper = ["sh", "-c", "sleep 0.2 >/dev/null & echo $!"]
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
    pytest.param("allow", "fds: *test_it.py* -- known", LEAK, {"passed": 2}, id="allow"),
    pytest.param("severity", "fds: note", LEAK, {"passed": 2}, id="severity"),
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
        write_ini(project, f"{key} = {value}")
    elif source == "toml":
        lines = name in {"allow", "severity", "emitters"}
        write_toml(project, f"{key} = {json.dumps([value] if lines else value)}")
    else:
        env[key.upper()] = value
    run = run_inside(project.path, "-p", "resource_hygiene", *args, env=env, on=False)

    assert run.outcomes == outcomes, run.text


@pytest.mark.parametrize("source", ["flag", "ini", "environment"])
def test_the_json_file_can_be_named_from_every_source(project: Project, source: str) -> None:
    """The JSON file is written wherever its name was read."""
    project.write("test_it.py", LEAK)
    args, env = (), {}
    if source == "flag":
        args = ("--resource-hygiene-json=out/x.json",)
    elif source == "ini":
        write_ini(project, "resource_hygiene_json = out/x.json")
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
    write_ini(project, "resource_hygiene_allow = sockets: * -- from the file")
    run = project.run(
        "--resource-hygiene-allow=fds: *test_it.py, open* -- from the flag",
        env={"RESOURCE_HYGIENE_ALLOW": "fds: pipe* -- from the environment"},
    )
    run.assert_clean()

    assert {one["reason"] for one in run.findings} == {
        "from the file", "from the flag", "from the environment"}  # fmt: skip


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
