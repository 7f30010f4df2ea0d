"""For the pre-commit hook: begins no test once the time is up, and notes what has been run.

Loaded by name, by the hook only. What to do stands in a file that an environment variable names,
which reaches the workers of xdist as well.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ["pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count, if the hook has asked for it."""
    plan = os.environ.get("RESOURCE_HYGIENE_TIMEBOX")
    if plan:
        config.pluginmanager.register(
            TimeBox(json.loads(Path(plan).read_text(encoding="utf-8")), config), "timebox"
        )


class TimeBox:
    """Chooses tests, stops the run, keeps the notes.

    Args:
        plan: ``seconds``, ``whole`` (paths), ``tests`` (ids), ``progress`` (a file to append to).
        config: pytest's; a worker of xdist chooses as well, but keeps no notes.
    """

    def __init__(self, plan: dict[str, Any], config: pytest.Config) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + plan["seconds"]
        self._tests = set(plan["tests"])
        self._whole = [
            (Path(config.invocation_params.dir) / one).resolve() for one in plan["whole"]
        ]
        self._progress = Path(plan["progress"])
        self._base = Path(config.invocation_params.dir).resolve()
        self._is_worker = hasattr(config, "workerinput")
        self._failed: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out the tests beside those that were asked for."""
        unwanted = [item for item in items if not self._is_wanted(item)]
        if unwanted:
            config.hook.pytest_deselected(items=unwanted)
            items[:] = [item for item in items if item not in set(unwanted)]

    def _is_wanted(self, item: pytest.Item) -> bool:
        path = item.path.resolve()
        if any(path == one or one in path.parents for one in self._whole):
            return True
        name = item.nodeid.partition("::")[2]
        file = path.relative_to(self._base).as_posix() if self._base in path.parents else ""
        plain = f"{file}::{name}"
        return plain in self._tests or plain.partition("[")[0] in self._tests

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is going to be run."""
        self._note(collected=[item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Note it in the process that gives out the work, which collects nothing itself."""
        del node
        self._note(collected=ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember failures of each phase."""
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note that a test is done."""
        self._note(done=nodeid, failed=nodeid in self._failed)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        """Begin no further test when the time is up."""
        if time.monotonic() < self._deadline:
            return None
        self._note(stopped=True)
        item.session.shouldstop = "the time box is used up"
        return True

    def _note(self, **step: object) -> None:
        if not self._is_worker or "stopped" in step:
            with self._progress.open("a", encoding="utf-8") as file:
                file.write(json.dumps(step) + "\n")
