"""From findings to the failure of a test, or to none: allowed, confirmed, recorded, put on its report.

Loaded with the first finding: a clean run never needs it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_resource_hygiene.pytest_plugin.outcome import LeakedError, Outcome, failing_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.pytest_plugin.markers import ItemRules
    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["Delivery", "comes_again"]


class Delivery:
    """Delivers what was found when a test, and what ended with it, was judged.

    Args:
        results: takes the findings.
        rules_of: returns what markers say of a test.

    Attributes:
        trial: while a test is run on trial, its leaks go here and fail nothing.
        unconfirmed: what the first of two runs has left, by its fingerprint.
        certain: what the first has left and the second would not leave again.
    """

    def __init__(
        self, results: Results, rules_of: Callable[[pytest.Item], ItemRules | None]
    ) -> None:
        """Have delivered nothing yet."""
        self._results = results
        self._rules_of = rules_of
        self._outcome = Outcome(results)
        self._lasting: tuple[pytest.Item, list[Leak]] | None = None
        self.trial: list[Leak] | None = None
        self.unconfirmed: dict[str, Leak] = {}
        self.certain: list[Leak] = []

    @property
    def has_more(self) -> bool:
        """Whether an attempt at a test before this one has left what would not come again in this."""
        return self._lasting is not None or bool(self.certain)

    def conclude(self, item: pytest.Item, leaks: list[Leak], *, failed: bool) -> None:
        """Fail the teardown of a test, or add to the report of one that has failed by itself.

        Raises:
            LeakedError: it has not failed by itself.
        """
        leaks = self._expected(item, leaks)
        if self.trial is not None:
            self.trial += leaks
            return
        if self.unconfirmed:
            leaks = self._confirmed(leaks)
        leaks, self.certain = [*self.certain, *leaks], []
        before = self._take_lasting(item)
        text = self._deliver(item, leaks, before) if leaks or before else ""
        if text and failed:
            item.add_report_section("teardown", "resource hygiene", text)
        elif text:
            raise LeakedError(text)

    def deliver_late(
        self, item: pytest.Item, reports: list[pytest.TestReport], leaks: list[Leak]
    ) -> list[pytest.TestReport]:
        """Put the findings of a finished run on its last report, as `conclude` would have done."""
        if leaks:
            last = reports[-1]
            text = self._deliver(item, leaks)
            self._outcome.put_on(last, item)
            if text and not last.failed:
                last.outcome, last.longrepr = "failed", text
            elif text:
                last.sections.append(("resource hygiene", text))
        return reports

    def _expected(self, item: pytest.Item, leaks: list[Leak]) -> list[Leak]:
        """Ask the conftest files whether a leak is expected."""
        result = []
        for leak in leaks:
            reason = None
            if leak.severity == "fail":
                try:
                    reason = item.ihook.pytest_resource_hygiene_expected(item=item, leak=leak)
                except Exception as error:  # noqa: BLE001 - a conftest's, and no reason to lose leaks
                    self._results.fail(error, f"asking conftest files about {item.nodeid}")
            result.append(replace(leak, severity="allowed", reason=str(reason)) if reason else leak)
        return result

    def _confirmed(self, leaks: list[Leak]) -> list[Leak]:
        """Keep what grew in both runs of a test; the rest of the second run is new to us: a note."""
        result = []
        for leak in leaks:
            again = self.unconfirmed.pop(leak.fingerprint, None) is not None
            once = leak.severity == "fail" and not again
            result.append(replace(leak, severity="note") if once else leak)
        return result

    def _take_lasting(self, item: pytest.Item) -> Sequence[Leak]:
        """Return what failed an earlier attempt at a test, and would not come again in this one.

        Of a fixture that is torn down with its module, and that the test does not ask for.
        """
        lasting, self._lasting = self._lasting, None
        return lasting[1] if lasting is not None and lasting[0] is item else ()

    def _deliver(self, item: pytest.Item, leaks: list[Leak], before: Sequence[Leak] = ()) -> str:
        """Record findings; return the text of a failure, or nothing if the test stays passed.

        Args:
            item: the test.
            leaks: its findings.
            before: what was recorded already, and fails it as well.
        """
        rules = self._rules_of(item)
        mode = (rules.mode if rules is not None else None) or self._results.mode
        if mode == "off":
            return ""
        if mode != self._results.mode:
            leaks = [replace(leak, details={**leak.details, "marker_mode": mode}) for leak in leaks]
        leaks = self._results.without_known(leaks)
        failing = [leak for leak in (*before, *leaks) if leak.severity == "fail"]
        fails = mode == "fail" and bool(failing)
        self._results.add(leaks)
        self._outcome.attach(item, leaks, fails=fails)
        lasting = [leak for leak in failing if fails and not comes_again(leak, item)]
        self._lasting = (item, lasting) if lasting else None
        return failing_text(failing, item.config) if fails else ""


def comes_again(leak: Leak, item: pytest.Item) -> bool:
    """Return whether a leak would be made once more if the test were run again."""
    name = leak.owner.name
    names = getattr(item, "fixturenames", ())
    is_xunit = name.startswith(("setup", "setUp", "teardown"))
    return leak.owner.type == "test" or name in names or is_xunit
