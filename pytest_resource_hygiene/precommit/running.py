"""Runs pytest within a time box, and knows afterwards what was run and what was not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_resource_hygiene.precommit.selection import Selection

__all__ = ["EXTRA_SECONDS", "Outcome", "run_tests"]

#: How long the test that is running may still take when the time is up, before all is ended.
EXTRA_SECONDS = 5.0
_PLUGIN = "pytest_resource_hygiene.pytest_plugin.timebox"
#: Set by git for hooks; a test that uses git in a folder of its own must not meet them.
_OF_GIT = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        status: pytest's exit status; negative if it was ended.
        timed_out: whether the time was up before all had been run.
        failed: whether a test had failed by then.
        collected: whether pytest got so far as to know its tests.
        not_run: the tests that were not run to their end.
    """

    status: int
    timed_out: bool
    failed: bool
    collected: bool
    not_run: list[str]


def run_tests(
    selection: Selection, arguments: Sequence[str], root: Path, *, seconds: float
) -> Outcome:
    """Run the chosen tests under the plugin.

    Args:
        selection: what to run.
        arguments: for pytest.
        root: the folder to run in.
        seconds: after which no further test is begun.

    Raises:
        OSError: pytest cannot be started, or there is no room for a temporary file.
    """
    with tempfile.TemporaryDirectory(prefix="resource-hygiene-") as folder:
        progress = Path(folder, "progress")
        plan = {
            "seconds": seconds,
            "whole": selection.whole,
            "tests": sorted(selection.tests),
            "progress": str(progress),
        }
        Path(folder, "plan").write_text(json.dumps(plan), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if key not in _OF_GIT}
        environment["RESOURCE_HYGIENE_TIMEBOX"] = str(Path(folder, "plan"))
        command = [sys.executable, "-m", "pytest", "-q", "-p", _PLUGIN, "-p", "resource_hygiene"]
        command += ["--resource-hygiene=fail", *arguments, *selection.arguments]
        began = time.monotonic()
        status = _run(command, environment, root, seconds + EXTRA_SECONDS)
        is_late = time.monotonic() - began >= seconds
        return _outcome(status, list(_read(progress)), is_late=is_late)


def _run(command: list[str], environment: dict[str, str], root: Path, seconds: float) -> int:
    sys.stdout.flush()
    with _ends_when_asked():
        child = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)  # pytest then says what it knows
            try:
                return child.wait(EXTRA_SECONDS)
            except subprocess.TimeoutExpired:
                return -signal.SIGTERM
            finally:
                _end(child)
        except BaseException:
            _end(child)
            raise


@contextlib.contextmanager
def _ends_when_asked() -> Iterator[None]:
    """Turn a request to end into an exception: pytest is in a session of its own, and must not stay.

    CI services send SIGTERM, a terminal that is closed sends SIGHUP.
    """

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End pytest and what its tests have started; some of it may have outlived pytest itself."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _read(progress: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError):
        for line in progress.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):  # the last line of a run that was killed
                yield json.loads(line)


def _outcome(status: int, steps: list[dict[str, Any]], *, is_late: bool) -> Outcome:
    known = [name for step in steps for name in step.get("collected", ())]
    done = {step["done"] for step in steps if "done" in step}
    failed = any(step.get("failed") for step in steps)
    stopped = any(step.get("stopped") for step in steps)
    not_run = [name for name in dict.fromkeys(known) if name not in done]
    timed_out = stopped or (is_late and (bool(not_run) or not known) and status != 0)
    return Outcome(status, timed_out, failed, bool(known), not_run)
