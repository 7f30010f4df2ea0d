"""What is too much, and the alerts that follow from a sample. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.monitoring.alerts import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_wrapper.monitoring.system import SystemSample

__all__ = ["Thresholds", "breaches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The largest values that are still well.

    Attributes:
        response_seconds: Mean time until an answer begins, over five minutes.
        error_percent: Share of failed requests over five minutes.
        memory_percent: Resident memory of the server, of `memory_limit`.
        memory_limit: Bytes; 0 turns the check off.
        cpu_percent: Of all CPUs that the machine has, over one sample.
        cpus: How many these are.
        disk_percent: Fill level of the disk with the state folder.
    """

    response_seconds: float = 5.0
    error_percent: float = 5.0
    memory_percent: float = 80.0
    memory_limit: int = 0
    cpu_percent: float = 80.0
    cpus: int = 1
    disk_percent: float = 90.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all alerts that may follow."""
        return ("response_time", "error_rate", "memory", "cpu", "disk")


def breaches(sample: SystemSample, limits: Thresholds) -> tuple[Alert, ...]:
    """One alert for every value above its threshold; a value on it is still well."""
    return tuple(
        Alert(
            name=name,
            message=f"{what} is {value:.1f} {unit}, more than {threshold:g} {unit}",
            value=value,
            threshold=threshold,
            unit=unit,
            at=sample.at,
        )
        for name, what, value, threshold, unit in _measured(sample, limits)
        if value > threshold
    )


def _measured(
    sample: SystemSample, limits: Thresholds
) -> Iterator[tuple[str, str, float, float, str]]:
    process, requests = sample.process, sample.requests
    memory = 100.0 * process.rss / limits.memory_limit if limits.memory_limit else 0.0
    cpu = process.cpu_percent / max(1, limits.cpus)
    yield (
        "response_time", "the mean time until an answer begins",
        requests.average_response_seconds, limits.response_seconds, "s",
    )  # fmt: skip
    yield (
        "error_rate", "the share of failed requests",
        100.0 * requests.error_rate, limits.error_percent, "%",
    )  # fmt: skip
    yield "memory", "the server's share of its memory limit", memory, limits.memory_percent, "%"
    yield "cpu", "the server's share of the CPUs", cpu, limits.cpu_percent, "%"
    yield "disk", "the disk with the state folder", process.disk_percent, limits.disk_percent, "%"
