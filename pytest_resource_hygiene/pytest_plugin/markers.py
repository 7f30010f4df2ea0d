"""Markers, read at collection: a typo must not silently allow nothing, or everything.

A fixture or a test may add one to its item later; see `has_late_markers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest

from pytest_resource_hygiene.engine.known.fingerprint import relative
from pytest_resource_hygiene.grace import VALID_GRACE, is_grace
from pytest_resource_hygiene.pytest_plugin.options import MODES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_resource_hygiene.engine.known.allowances import Allowance

__all__ = ["ItemRules", "has_late_markers", "names_ours", "read_markers"]

N = TypeVar("N")  # an item, or what it is in

_ALLOW = "allow_leak"
_MODE = "resource_hygiene"
_OURS = frozenset({_ALLOW, _MODE})


class ItemRules(NamedTuple):
    """What the markers of an item, its class and its module say; the nearest first.

    Attributes:
        allowances: of all its markers.
        mode: ``fail``, ``report`` or ``off``; None if none says.
        grace: seconds; None if none says.
        strict: None if none says.
        own: how many of our markers the item itself had when they were read.
    """

    allowances: tuple[Allowance, ...]
    mode: str | None
    grace: float | None
    strict: bool | None
    own: int = 0


def read_markers(items: Iterable[N], kinds: Collection[str]) -> dict[N, ItemRules]:
    """Return the rules of those items, modules or classes that have any.

    Raises:
        pytest.UsageError: names every marker that cannot be used, and why.
    """
    reader = _Reader(kinds)
    rules = {}
    for item in items:
        marks = reader.marks(item)
        if marks:
            rules[item] = reader.rules(marks)._replace(own=_count(item))
    if reader.problems:
        raise pytest.UsageError("\n".join(dict.fromkeys(reader.problems)))
    return rules


def has_late_markers(item: pytest.Item, rules: ItemRules | None) -> bool:
    """Return whether the item has been given a marker of ours since its markers were read."""
    return _count(item) > (rules.own if rules is not None else 0)


def names_ours(item: pytest.Item) -> bool:
    """Return whether the item itself has a marker of ours by now."""
    # In each test that has a marker of anybody's, where a generator would cost as much again.
    for mark in item.own_markers:  # noqa: SIM110
        if mark.name in _OURS:
            return True
    return False


def _count(item: Any) -> int:
    return sum(mark.name in _OURS for mark in item.own_markers)


class _Reader:
    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = kinds
        self._of_parents: dict[Any, tuple[tuple[pytest.Mark, str], ...]] = {None: ()}
        self.problems: list[str] = []

    def marks(self, node: Any) -> tuple[tuple[pytest.Mark, str], ...]:
        own: list[tuple[pytest.Mark, str]] = [
            (mark, _where(node)) for mark in node.own_markers if mark.name in _OURS
        ]
        parent = node.parent
        if parent not in self._of_parents:
            self._of_parents[parent] = self.marks(parent)
        inherited = self._of_parents[parent]
        return (*own, *inherited) if own else inherited

    def rules(self, marks: Iterable[tuple[pytest.Mark, str]]) -> ItemRules:
        allowances = []
        mode: str | None = None
        grace: float | None = None
        strict: bool | None = None
        for mark, where in marks:
            try:
                if mark.name == _ALLOW:
                    allowances.append(self._allowance(mark, where))
                else:
                    said = _mode_of(mark)
                    mode = mode or said.mode
                    grace = said.grace if grace is None else grace
                    strict = said.strict if strict is None else strict
            except ValueError as error:
                self.problems.append(f"{where}: @pytest.mark.{mark.name}: {error}")
        return ItemRules(tuple(allowances), mode, grace, strict)

    def _allowance(self, mark: pytest.Mark, where: str) -> Allowance:
        unknown = sorted(set(mark.kwargs) - {"match", "reason", "issue"})
        if unknown:
            raise ValueError(
                f"unknown argument {unknown[0]!r}; valid are kinds, then match, reason, issue."
            )
        for kind in mark.args:
            if not isinstance(kind, str):
                raise ValueError(  # noqa: TRY004
                    f"kinds are names, not {kind!r}; write them one after the other: "
                    "allow_leak('threads', 'fds', reason='...')."
                )
            if kind not in self._kinds:
                raise ValueError(f"unknown kind {kind!r}. Kinds: {', '.join(sorted(self._kinds))}.")
        reason = mark.kwargs.get("reason")
        if reason is not None and not isinstance(reason, str):
            raise ValueError(f"the reason must be a text, not {reason!r}.")
        if reason is None or not reason.strip():
            raise ValueError("the reason is required: say reason='why this may leak'.")
        match, issue = mark.kwargs.get("match"), mark.kwargs.get("issue")
        if match is not None and (not isinstance(match, str) or not match.strip()):
            raise ValueError(f"match must be a glob, not {match!r}; leave it out to allow all.")
        from pytest_resource_hygiene.engine.known.allowances import Allowance  # few suites have any

        return Allowance(
            kinds=frozenset(mark.args),
            match=match or "",
            reason=reason,
            issue=None if issue is None else str(issue),
            source=where,
        )


def _mode_of(mark: pytest.Mark) -> ItemRules:
    unknown = sorted(set(mark.kwargs) - {"mode", "grace", "strict"})
    if unknown:
        raise ValueError(f"unknown argument {unknown[0]!r}; valid are mode, grace, strict.")
    if not mark.args and not mark.kwargs:
        raise ValueError("it says nothing; give a mode (fail, report or off), grace= or strict=.")
    mode = mark.args[0] if mark.args else mark.kwargs.get("mode")
    if len(mark.args) > 1 or mode not in (*MODES, None):
        raise ValueError(f"mode is {', '.join(MODES)}, not {mark.args or mode!r}.")
    grace, strict = mark.kwargs.get("grace"), mark.kwargs.get("strict")
    if grace is not None and not is_grace(grace):
        raise ValueError(f"grace is {VALID_GRACE}, not {grace!r}.")
    if strict is not None and not isinstance(strict, bool):
        raise ValueError(f"strict is True or False, not {strict!r}.")
    return ItemRules((), mode, grace, strict)


def _where(node: Any) -> str:
    path, line, name = node.reportinfo() if hasattr(node, "reportinfo") else (node.path, None, "")
    shown = relative(str(path), str(node.config.rootpath))
    number = f":{line + 1}" if isinstance(line, int) else ""
    return f"{shown}{number} ({node.name})" if name or node.name else shown
