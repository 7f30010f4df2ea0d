"""What a rule is, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_resource_hygiene.lint.occasion import Occasions

if TYPE_CHECKING:
    import ast
    import re
    from collections.abc import Callable, Iterator

    from pytest_resource_hygiene.lint.facts import Module

__all__ = ["Case", "Finding", "Hit", "Rule"]


class Hit(NamedTuple):
    """What a rule has found in a tree: where, and the sentence that says it and its mending."""

    node: ast.AST
    message: str


class Case:
    """A module as rules see it."""

    def __init__(self, module: Module) -> None:
        """Take the facts; more is worked out when a rule asks."""
        self.module = module

    @cached_property
    def occasions(self) -> Occasions:
        """When its code runs."""
        return Occasions(self.module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; its words are the documentation, its examples are tests.

    Attributes:
        code: ``RH`` and three digits.
        name: in a few words, with dashes.
        what: the pattern.
        why: what happens at run time.
        mend: how to write it instead.
        bad: a module in which it finds something.
        good: the same, mended.
        triggers: texts of which one must stand in a file, or it need not be parsed.
        pattern: if given, it must match as well.
        check: yields what it finds.
    """

    code: str
    name: str
    what: str
    why: str
    mend: str
    bad: str
    good: str
    triggers: tuple[str, ...]
    pattern: re.Pattern[str] | None = None
    check: Callable[[Case], Iterator[Hit]]

    def may_find(self, text: str) -> bool:
        """Tell whether a source text is worth parsing for this rule: most are not."""
        if not any(trigger in text for trigger in self.triggers):
            return False
        return self.pattern is None or self.pattern.search(text) is not None


class Finding(NamedTuple):
    """One finding of the lint.

    Attributes:
        path: of the file, as it was given or found.
        line, column: where, counted from 1.
        end_line: the last line of it, where a ``noqa`` may stand as well.
        code: of the rule.
        message: what was found and how to mend it.
    """

    path: str
    line: int
    column: int
    end_line: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.code} {self.message}"
