"""Takes a sample after every test; registered only where a report is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.inventory.samples import Samples
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._rss import ResidentMemory

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_resource_hygiene.pytest_plugin.protocol import Watcher
    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["Timeline"]


class Timeline:
    """Samples from outside the whole protocol of a test, when even its reports are made."""

    def __init__(self, config: pytest.Config, watcher: Watcher, results: Results) -> None:
        """Wait for the first test."""
        self._worker: str = getattr(config, "workerinput", {}).get("workerid", "main")
        self._watcher = watcher
        self._results = results
        self._memory = ResidentMemory()
        self._samples: Samples | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Hold the file open from before the baseline until after the last look."""
        self._memory.measure()
        try:
            return (yield)
        finally:
            self._memory.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Sample when everything is said about a test."""
        start, began = System.time(), System.perf_counter()
        result = yield
        self._take(item.nodeid, start, began)
        return result

    def _take(self, nodeid: str, start: float, began: float) -> None:
        ended = System.perf_counter()
        checker = self._watcher.checker
        if checker is None:
            return
        if self._samples is None:
            self._samples = Samples(self._worker, checker.ledger, self._memory.measure)
            self._results.samples.append(self._samples.to_dict())
        self._samples.take(nodeid, start, ended - began)
        checker.has_taken(System.perf_counter() - ended)
