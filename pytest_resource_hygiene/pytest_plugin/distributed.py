"""The half that runs in xdist's controller: it runs no tests, and collects what workers found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.pytest_plugin.outcome import ATTRIBUTE, Status
from pytest_resource_hygiene.pytest_plugin.worker_errors import OUTPUT

if TYPE_CHECKING:
    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["Controller"]


class Controller(Status):
    """Takes findings from reports, and figures from the workers' last words."""

    def __init__(self, results: Results) -> None:
        """Collect into these results."""
        super().__init__()
        self._results = results

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the findings of a report."""
        carried = getattr(report, ATTRIBUTE, None)
        if carried is not None:
            self._results.findings += carried["findings"]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take the figures of a worker that has ended.

        Raises:
            pytest.UsageError: it has ended for that, before any test.
        """
        told = getattr(node, "workeroutput", {})
        if OUTPUT in told:
            raise pytest.UsageError(told[OUTPUT])
        output = told.get("resource_hygiene")
        if output is not None:
            self._results.add_worker_output(output)
