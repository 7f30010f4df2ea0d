"""The half that stays in the parent where pytest-forked runs each test in a child of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.pytest_plugin.outcome import ATTRIBUTE, Status

if TYPE_CHECKING:
    from pytest_resource_hygiene.pytest_plugin.protocol import Watcher

__all__ = ["ForkedReports"]


class ForkedReports(Status):
    """Takes findings from the reports of children; what was found here is known already.

    Args:
        watcher: of this process.
    """

    def __init__(self, watcher: Watcher) -> None:
        """Note which process this is."""
        super().__init__()
        self._watcher = watcher
        self._pid = os.getpid()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the findings of a report, and count its test."""
        carried = getattr(report, ATTRIBUTE, None)
        if carried is not None and carried["pid"] != self._pid:
            self._watcher.results.findings += carried["findings"]
        if report.when == "setup" and not self._watcher.has_run(report.nodeid):
            self._watcher.results.tests += 1
