"""Everything that was found, in this process or sent by workers, ready for the reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.pytest_plugin.baseline import BaselineKeeper

__all__ = ["Results"]

_DEFECT = "resource hygiene: own fault, not the tests': "


class Results:
    """Findings as JSON-safe dicts, and our own figures."""

    def __init__(self, config: pytest.Config, mode: str) -> None:
        """Begin empty.

        Args:
            config: for verbosity and paths.
            mode: ``fail`` or ``report``.
        """
        self.config = config
        self.mode = mode
        self.findings: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.unused_allowances: list[str] = []
        self.is_narrow = False  # less ran than there is
        self.used_allowances: list[str] = []
        self.blind_spots: list[dict[str, str]] = []
        self.tests = 0
        self.seconds = 0.0
        self.waited = 0.0  # of these seconds, those in which suspects had time to go
        self.collections = 0
        self.late_failure = False
        self.baseline: BaselineKeeper | None = None
        self.samples: list[dict[str, Any]] = []  # columns, one set of each process

    def add(self, leaks: list[Leak]) -> None:
        """Add findings of this process."""
        self.findings += [leak.to_dict() for leak in leaks]

    def without_known(self, leaks: list[Leak]) -> list[Leak]:
        """Return the leaks, those of the baseline as ``known``."""
        return leaks if self.baseline is None else self.baseline.sorted_out(leaks)

    def fail(self, problem: BaseException, where: str) -> None:
        """Remember a fault of our own."""
        self.failures.append(f"{_DEFECT}{where}: {type(problem).__name__}: {problem}")

    def to_worker_output(self) -> dict[str, Any]:
        """Return what a worker tells the controller at its end; findings travel on reports."""
        return {
            "failures": self.failures,
            "unused": self.unused_allowances,
            "used": self.used_allowances,
            "blind_spots": self.blind_spots,
            "tests": self.tests,
            "seconds": self.seconds,
            "waited": self.waited,
            "collections": self.collections,
            "late": [one for one in self.findings if one.get("late")],
            "late_failure": self.late_failure,
            "samples": self.samples,
        }

    def add_worker_output(self, output: dict[str, Any]) -> None:
        """Add up what the workers say."""
        self.failures += output["failures"]
        self.used_allowances += output["used"]
        self.unused_allowances += output["unused"]
        self.blind_spots += [spot for spot in output["blind_spots"] if spot not in self.blind_spots]
        self.tests += output["tests"]
        self.seconds += output["seconds"]
        self.waited += output["waited"]
        self.collections += output["collections"]
        self.findings += output["late"]
        self.late_failure |= output["late_failure"]
        self.samples += output["samples"]

    @property
    def idle_allowances(self) -> list[str]:
        """Allowances that matched nothing in any process, if the run was whole."""
        if self.is_narrow:
            return []
        used = set(self.used_allowances)
        return sorted({line for line in self.unused_allowances if line not in used})

    def leaked_tests(self) -> set[str]:
        """Return the tests with findings that fail."""
        return {one["nodeid"] for one in self.findings if one["severity"] == "fail"}
