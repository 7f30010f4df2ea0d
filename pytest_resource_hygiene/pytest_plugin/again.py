"""Runs tests more than once: to confirm a suspicion, or to hunt leaks too slow for one run."""

from __future__ import annotations

import linecache
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from pytest_resource_hygiene.engine.known.fingerprint import fingerprint, relative
from pytest_resource_hygiene.leak import Leak
from pytest_resource_hygiene.model import Origin, OwnerInfo
from pytest_resource_hygiene.pytest_plugin.delivery import comes_again
from pytest_resource_hygiene.trackers.memory import allocated_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.pytest_plugin.protocol import Watcher

__all__ = ["Confirmer", "Repeater", "is_trend"]

# Below this many blocks a run, growth is the test runner's own bookkeeping.
_NOISE_BLOCKS = 8
_EVENNESS = 4  # what warms up falls off faster; what is kept of each run is much the same
_TREND = 2  # of memory, one step is none: a cache was filled, code was specialised


class _Runner:
    """Runs an item whole, as pytest does, without telling anybody yet."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def run(self, item: Any, nextitem: Any, *, again: bool) -> list[pytest.TestReport]:
        if again:
            self.watcher.results.tests -= 1  # one test, however often it runs
            if hasattr(item, "_initrequest"):  # not every item has fixtures
                item._initrequest()  # noqa: SLF001 - as every plugin that runs tests again does
            _forget_output(item)
        reports = list(runtestprotocol(item, nextitem=nextitem, log=False))
        _forget_finished(item.session)
        return reports

    def trial(self, item: Any, nextitem: Any, *, again: bool) -> tuple[list[Any], list[Leak]]:
        """Run an item, and keep its leaks from failing it."""
        leaks: list[Leak] = []
        self.watcher.delivery().trial = leaks
        try:
            return self.run(item, nextitem, again=again), leaks
        finally:
            self.watcher.delivery().trial = None

    def tell(self, item: pytest.Item, reports: Iterable[pytest.TestReport]) -> None:
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)


def _forget_output(item: pytest.Item) -> None:
    """Have an item forget what earlier runs have written, which pytest only ever adds to."""
    sections: list[Any] = getattr(item, "_report_sections", [])
    sections.clear()


def _forget_finished(session: pytest.Session) -> None:
    """Have wider fixtures forget the ends of narrower ones that are over.

    In each run pytest adds them anew to every fixture that they ask for, and drops none before that
    one ends: memory that grows with each run, and is no test's. There is no public way.
    """
    stack: dict[Any, Any] = getattr(session._setupstate, "stack", {})  # noqa: SLF001
    open_fixtures = [
        _ended_by(finalizer) for finalizers, *_ in stack.values() for finalizer in finalizers
    ]
    for fixture in open_fixtures:
        finalizers = getattr(fixture, "_finalizers", [])
        finalizers[:] = [one for one in finalizers if not _is_over(_ended_by(one))]


def _ended_by(finalizer: Any) -> Any:
    """Return the fixture that pytest's own finalizer ends; of another, anything or None."""
    return getattr(getattr(finalizer, "func", None), "__self__", None)


def _is_over(fixture: Any) -> bool:
    return isinstance(fixture, pytest.FixtureDef) and fixture.cached_result is None


def is_trend(deltas: list[int]) -> bool:
    """Return whether memory grows with every run, rather than less with each, as a cache does."""
    return (
        len(deltas) >= _TREND
        and min(deltas) >= _NOISE_BLOCKS
        and max(deltas) <= _EVENNESS * min(deltas)
    )


def _start(item: pytest.Item) -> None:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)


def _finish(item: pytest.Item) -> None:
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _may_be_rerun(item: pytest.Item) -> bool:
    """Return whether another plugin runs the item again if it fails, and so if it leaks."""
    reruns = getattr(item.config.option, "reruns", None)
    return bool(reruns) or item.get_closest_marker("flaky") is not None


class Confirmer(_Runner):
    """Runs a suspicious test once more; only what grows again is a leak.

    A singleton that a library makes at its first use is there after the first run, and is not made
    again in the second.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run the item, and again if it looks as if it leaked."""
        if _may_be_rerun(item):
            return None
        _start(item)
        reports, leaks = self.trial(item, nextitem, again=False)
        doubtful = [leak for leak in leaks if comes_again(leak, item)]
        suspicious = any(leak.severity == "fail" for leak in doubtful)
        if suspicious and all(report.passed for report in reports):
            delivery = self.watcher.delivery()
            delivery.unconfirmed = {leak.fingerprint: leak for leak in doubtful}
            delivery.certain = [leak for leak in leaks if leak not in doubtful]
            reports = self._confirmed(item, nextitem, reports)
        else:
            reports = self.watcher.delivery().deliver_late(item, reports, leaks)
        self.tell(item, reports)
        _finish(item)
        return True

    def _confirmed(
        self, item: pytest.Item, nextitem: pytest.Item | None, first: list[pytest.TestReport]
    ) -> list[pytest.TestReport]:
        """Run it again; return these reports, or the first if it only cannot run twice."""
        results = self.watcher.results
        told = len(results.findings)
        reports = self.run(item, nextitem, again=True)
        has_grown = any(one["severity"] == "fail" for one in results.findings[told:])
        why = "a second run of the test left nothing more"
        if not has_grown and any(report.failed for report in reports):
            reports, why = first, "a second run of the test failed by itself, and confirms nothing"
        rest, self.watcher.delivery().unconfirmed = self.watcher.delivery().unconfirmed, {}
        results.add([_as_note(leak, why) for leak in rest.values()])
        return reports


def _as_note(leak: Leak, why: str) -> Leak:
    if leak.severity != "fail":
        return leak
    return replace(leak, severity="note", details={**leak.details, "why": why})


def _of_ended_fixtures(earlier: Iterable[Leak], leaks: list[Leak]) -> list[Leak]:
    """Return what wider fixtures have left that end with a test, in its first run only.

    Those for which the next run has not asked are not set up again.
    """
    told = Counter(leak.fingerprint for leak in leaks)
    ended = []
    for leak in earlier:
        if leak.owner.type != "fixture" or leak.owner.scope == "function":
            continue
        if told[leak.fingerprint]:  # once for each of its params
            told[leak.fingerprint] -= 1
        else:
            ended.append(leak)
    return ended


class Repeater(_Runner):
    """Runs each test once to warm up and then N times; what grows every single time is a leak.

    Args:
        watcher: the watcher of this process.
        times: how often after the warm-up.
    """

    def __init__(self, watcher: Watcher, times: int) -> None:
        """Have measured nothing yet."""
        super().__init__(watcher)
        self._times = times

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run the item N + 1 times and tell the last run."""
        _start(item)
        reports, leaks = self.trial(item, nextitem, again=False)
        counts = [self._counts()]
        if all(report.passed or report.skipped for report in reports):
            for _ in range(self._times):
                earlier = leaks
                reports, leaks = self.trial(item, nextitem, again=True)
                leaks = [*_of_ended_fixtures(earlier, leaks), *leaks]
                counts.append(self._counts())
                if any(report.failed for report in reports):
                    break
        # What may be left in each run grows with the runs, and so does what hangs on it.
        if not any(leak.severity in {"fail", "allowed"} for leak in leaks):
            leaks = [*leaks, *self._growth(item, counts)]
        self.tell(item, self.watcher.delivery().deliver_late(item, reports, leaks))
        _finish(item)
        return True

    def _counts(self) -> dict[str, int]:
        checker = self.watcher.checker
        assert checker is not None
        ledger = checker.ledger
        ledger.look_at(ledger.shelves, checker.session, checker.nodeid)
        counts = {
            shelf.tracker.kind: len(shelf.entries)
            for shelf in ledger.shelves
            if not shelf.tracker.slots
        }
        return {**counts, "memory": allocated_blocks()}

    def _growth(self, item: pytest.Item, counts: list[dict[str, int]]) -> list[Leak]:
        found = []
        if len(counts) <= self._times:
            return []
        assert self.watcher.checker is not None
        severities = self.watcher.checker.settings.severity
        for kind in counts[0]:
            severity = severities.get(kind, "fail")
            if severity == "off":
                continue
            deltas = [b[kind] - a[kind] for a, b in pairwise(counts)]
            if kind == "memory" and not is_trend(deltas):
                continue
            if min(deltas) >= 1:
                leak = self._leak(item, kind, deltas)
                found.append(replace(leak, severity="note") if severity == "note" else leak)
        return found

    def _leak(self, item: pytest.Item, kind: str, deltas: list[int]) -> Leak:
        unit = "blocks of memory" if kind == "memory" else kind
        path, line, _ = item.reportinfo()
        owner = OwnerInfo("test", item.nodeid, "function")
        root = str(item.config.rootpath)
        number = (line or 0) + 1
        text = linecache.getline(str(path), number).strip()
        origin = Origin(relative(str(path), root), number, item.name, "inferred", text)
        return Leak(
            kind=kind,
            severity="fail",
            change="added",
            count=1,
            summary=f"{min(deltas)} more {unit} after each of {len(deltas)} runs ("
            + ", ".join(f"+{delta}" for delta in deltas)
            + ")",
            details={"deltas": deltas},
            nodeid=item.nodeid,
            made_during=item.nodeid,
            owner=owner,
            origin=origin,
            stack=(),
            held_by=(),
            present_stack=(),
            waited_seconds=0.0,
            hint="look for what each run adds to: a cache, a registry, a list at module level",
            fingerprint=fingerprint(kind, "added", owner, origin, unit, root),
        )
