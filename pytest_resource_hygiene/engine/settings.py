"""What the engine can be told; hosts make this from flags, files or arguments."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_resource_hygiene.engine.known.allowances import Allowance
    from pytest_resource_hygiene.engine.known.baseline import Baseline

__all__ = ["EngineSettings"]


class EngineSettings(NamedTuple):
    """Validated settings.

    Attributes:
        severity: kind to ``fail``, ``note`` or ``off``, for those that differ from their default.
        grace: seconds that a suspect has to go by itself.
        repeat_grace: seconds for a creation site that has once cost the full grace.
        known_grace: seconds for what the baseline knows: waiting was in vain in every run before, and
            whatever comes of it fails nothing.
        strict: what only the collector freed, and what was dropped unclosed, fails too.
        restore: put signals, clocks, hooks and filters back after they are reported.
        max_listeners: more listeners than this on one event of one emitter are a finding.
        allowances: leaks allowed everywhere.
        known: the baseline of known leaks, if there is one.
        root: the project's folder, for paths that are the same on every machine.
        scratch: returns the folder in which tests have folders of their own; empty if none has.
    """

    severity: Mapping[str, str] = MappingProxyType({})
    grace: float = 0.5
    repeat_grace: float = 0.15
    known_grace: float = 0.02
    strict: bool = False
    restore: bool = True
    max_listeners: int = 10
    allowances: tuple[Allowance, ...] = ()
    known: Baseline | None = None
    root: str = ""
    scratch: Callable[[], str] = str
