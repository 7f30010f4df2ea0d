"""Show the plugin at work: ``python3 examples/run.py`` installs it and runs every example.

Needs nothing but Python 3.11 or later. The environment is made in a temporary folder, and is gone
afterwards. Exit status 0 means that everything was found that should be, and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent

# Test, kind, severity: everything that a run of this folder has to find, and nothing else.
EXPECTED = {
    ("custom_kind/test_pool.py::test_leaks_a_connection", "connections", "fail"),
    ("custom_kind/test_pool.py::test_leaks_a_subscriber", "listeners", "fail"),
    ("leaks/test_atexit.py::test_leaks_an_exit_callback", "atexit", "fail"),
    ("leaks/test_environment.py::test_leaks_a_variable", "environment", "fail"),
    ("leaks/test_fds.py::test_leaks_one_end_of_a_pipe", "fds", "fail"),
    ("leaks/test_listeners.py::test_leaks_a_log_handler", "listeners", "fail"),
    ("leaks/test_loops.py::test_leaks_a_loop", "loops", "fail"),
    ("leaks/test_memory.py::test_remembers_every_session", "memory", "fail"),
    ("leaks/test_native_threads.py::test_leaves_a_native_thread", "native_threads", "note"),
    ("leaks/test_processes.py::test_leaks_a_process", "processes", "fail"),
    ("leaks/test_signals.py::test_leaks_a_handler", "signals", "fail"),
    ("leaks/test_sockets.py::test_whose_fixture_leaks_a_socket", "sockets", "fail"),
    ("leaks/test_tasks.py::test_leaks_a_task", "tasks", "fail"),
    ("leaks/test_temp_paths.py::test_leaves_a_file_on_disk", "temp_paths", "fail"),
    ("leaks/test_threads.py::test_leaks_a_thread", "threads", "fail"),
    ("leaks/test_timers.py::test_leaks_a_timer", "timers", "fail"),
    ("leaks/test_unclosed.py::test_drops_an_open_file", "unclosed", "note"),
    ("listeners_21/test_components.py::test_one_component_starts_and_stops", "atexit", "fail"),
    ("listeners_21/test_components.py::test_one_component_starts_and_stops", "signals", "fail"),
    ("listeners_21/test_components.py::test_all_21_components_start_and_stop", "atexit", "fail"),
    ("listeners_21/test_components.py::test_all_21_components_start_and_stop", "signals", "fail"),
}
EVENTS = ("exit", "SIGINT", "SIGTERM")
LIMITS = {f"{event} listeners added to [process], limit 10" for event in EVENTS}
ONLY_LINUX = {"native_threads"}


def main() -> int:
    """Install, run, compare."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever tries this may have any Python
        print(f"Python 3.11 or later is needed; this is {sys.version.split()[0]}.")
        return 2
    with tempfile.TemporaryDirectory(prefix="hygiene-demo-", ignore_cleanup_errors=True) as folder:
        python = install(Path(folder))
        findings = run_all(python, Path(folder, "findings.json"))
    problems = differences(findings)
    show(findings, problems)
    return 1 if problems else 0


def install(folder: Path) -> str:
    """Make an environment with pytest and the plugin; return its interpreter."""
    print("installing the plugin into a fresh environment ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    subprocess.run([python, "-m", "pip", "install", "--quiet", EXAMPLES.parent], check=True)
    return python


def run_all(python: str, file: Path) -> list[dict]:
    """Run all examples once, and the slow leak several times; return all findings."""
    return [
        *run(python, file, "."),
        *run(python, file, "leaks/test_memory.py", "--resource-hygiene-repeat=3"),
    ]


def run(python: str, file: Path, *args: str) -> list[dict]:
    """Run examples; return what the plugin wrote for machines."""
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", f"--resource-hygiene-json={file}"]
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # no neighbours, wherever this runs
    print(f"\n$ pytest {' '.join(args)}", flush=True)
    done = subprocess.run([*command, *args], cwd=EXAMPLES, env=env, check=False)
    if done.returncode != 1:
        sys.exit(f"pytest ended with status {done.returncode}; that of a run with leaks is 1")
    return json.loads(file.read_text(encoding="utf-8"))["findings"]


def differences(findings: list[dict]) -> list[str]:
    """Return how the findings differ from `EXPECTED`, in words."""
    found = {(one["nodeid"], one["kind"], one["severity"]) for one in findings}
    expected = {
        row for row in EXPECTED if row[1] not in ONLY_LINUX or sys.platform.startswith("linux")
    }
    exceeded = {
        one["summary"].partition(" ")[2]  # how many comes first; leaks of earlier tests add up
        for one in findings
        if one["change"] == "exceeded"
    }
    return [
        *(f"not found: {' '.join(row)}" for row in sorted(expected - found)),
        *(f"unexpected: {' '.join(row)}" for row in sorted(found - expected)),
        *(f"not found: {text}" for text in sorted(LIMITS - exceeded)),
    ]


def show(findings: list[dict], problems: list[str]) -> None:
    """Print one line for each kind, and the verdict."""
    print("\nwhat the demonstration found, notes included:")
    for one in sorted(findings, key=lambda one: (one["kind"], one["nodeid"])):
        print(f"  {one['severity']:<5}{one['kind']:<16}{one['nodeid']}")
    for problem in problems:
        print(f"  {problem}")
    verdict = "differs from this" if problems else "every leak found, no clean twin touched"
    print(f"demonstration: {verdict}")


if __name__ == "__main__":
    sys.exit(main())
