"""What is known of a module after one walk over its syntax tree: the records that rules judge."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Assign", "Call", "FunctionNode", "Module", "Place", "Scope", "Use", "dotted"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What a statement stands in, from the inside outwards, up to its function.

    Attributes:
        kind: ``finally``, ``except``, ``if``, ``else``, ``loop`` or ``with``.
        node: the statement itself.
        outer: the next one outwards.
    """

    kind: str
    node: ast.AST
    outer: Place | None

    def outwards(self) -> Iterator[Place]:
        """Yield this place and all that it stands in."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.outer


@dataclass(slots=True, eq=False)
class Scope:
    """A module, a class or a function (a lambda counts as one).

    Attributes:
        aliases: names bound by imports here, and what they stand for.
        bound: names bound in any other way.
        shared: names declared ``global`` or ``nonlocal``.
        leaves: tests of ``if``s that leave the function, in the order of the source.
        has_yielded: whether a ``yield`` has been met so far.
    """

    kind: Literal["module", "class", "function"]
    name: str
    node: ast.AST
    parent: Scope | None
    children: list[Scope] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    assigns: list[Assign] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    leaves: list[ast.expr] = field(default_factory=list)
    has_yielded: bool = False

    def outwards(self) -> Iterator[Scope]:
        """Yield this scope and all that enclose it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def inwards(self) -> Iterator[Scope]:
        """Yield this scope and all within it."""
        yield self
        for child in self.children:
            yield from child.inwards()

    @property
    def owner_class(self) -> Scope | None:
        """The nearest class around it."""
        return next((one for one in self.outwards() if one.kind == "class"), None)

    @property
    def top_function(self) -> Scope | None:
        """The outermost function around it: a method, or one at the top of the module."""
        found = None
        for one in self.outwards():
            if one.kind == "function":
                found = one
        return found

    @property
    def parameters(self) -> list[str]:
        """The names of a function's parameters, those with stars left out."""
        arguments = getattr(self.node, "args", None)
        if not isinstance(arguments, ast.arguments):
            return []
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        return [one.arg for one in given]

    @property
    def methods(self) -> list[Scope]:
        """The functions written directly in this class."""
        return [child for child in self.children if child.kind == "function"]

    @property
    def title(self) -> str:
        """``Class.method`` or ``function``, as people say it."""
        names = [one.name for one in self.outwards() if one.kind != "module"]
        return ".".join(reversed(names)) or "the module"


@dataclass(slots=True, eq=False)
class Call:
    """One call.

    Attributes:
        text: the called expression as a dotted name in the source; empty if it is none.
        name: the same with imports and aliases followed, filled in after the walk.
        attribute: the last part of it: ``start`` of ``self.thread.start()``.
        target: what its value is bound to, if that is one dotted name.
        after_yield: whether its function has yielded before.
        leaves: how many tests before it may have left the function.
    """

    node: ast.Call
    text: str
    scope: Scope
    place: Place | None
    target: str = ""
    after_yield: bool = False
    leaves: int = 0
    name: str = ""
    attribute: str = ""

    def __post_init__(self) -> None:
        """Work out the last part of what is called."""
        function = self.node.func
        if isinstance(function, ast.Attribute):
            self.attribute = function.attr
        elif isinstance(function, ast.Name):
            self.attribute = function.id

    def places(self) -> Iterator[Place]:
        """Yield what it stands in, from the inside outwards, within its function."""
        if self.place is not None:
            yield from self.place.outwards()

    def argument(self, position: int, name: str = "") -> ast.expr | None:
        """Return an argument by its position or its name."""
        for keyword in self.node.keywords:
            if name and keyword.arg == name:
                return keyword.value
        return self.node.args[position] if position < len(self.node.args) else None


@dataclass(slots=True, eq=False)
class Assign:
    """One binding of a dotted name (``self.x``, ``x``, and ``x`` of ``x[key]``)."""

    target: str
    value: ast.expr | None
    scope: Scope
    node: ast.AST
    subscript: ast.expr | None = None


@dataclass(slots=True, eq=False)
class Use:
    """One reading of a dotted name: of an attribute of it, or (attribute empty) of itself.

    Attributes:
        only_tested: it is merely asked whether there is something.
    """

    base: str
    attribute: str
    scope: Scope
    node: ast.AST
    only_tested: bool = False
    after_yield: bool = False
    name: str = ""


@dataclass(eq=False)
class Module:
    """A file that has been read.

    Attributes:
        path: as the user gave it or as it was found.
        root: its outermost scope.
    """

    path: str
    root: Scope
    scopes: list[Scope]
    calls: list[Call]
    assigns: list[Assign]
    uses: list[Use]

    @cached_property
    def classes(self) -> list[Scope]:
        """All classes, nested ones too."""
        return [scope for scope in self.scopes if scope.kind == "class"]

    @cached_property
    def assigns_by_target(self) -> dict[str, list[Assign]]:
        """The bindings of each dotted name."""
        return _grouped(self.assigns, lambda one: one.target)

    @cached_property
    def uses_by_attribute(self) -> dict[str, list[Use]]:
        """The uses of each attribute, whatever it is an attribute of."""
        return _grouped(self.uses, lambda one: one.attribute)

    @cached_property
    def uses_by_tail(self) -> dict[str, list[Use]]:
        """The uses of each name, by its last part."""
        return _grouped(self.uses, lambda one: one.base.rpartition(".")[2])

    @cached_property
    def uses_by_name(self) -> dict[str, list[Use]]:
        """The uses of each name that imports resolve to."""
        return _grouped(self.uses, lambda one: one.name)

    @cached_property
    def uses_by_scope(self) -> dict[Scope, list[Use]]:
        """The uses in each scope, those in scopes within it left out."""
        return _grouped(self.uses, lambda one: one.scope)

    @cached_property
    def called(self) -> set[ast.AST]:
        """The expressions that are called."""
        return {call.node.func for call in self.calls}

    @cached_property
    def _classes_by_name(self) -> dict[str, list[Scope]]:
        return _grouped(self.classes, lambda one: one.name)

    @cached_property
    def _functions_by_name(self) -> dict[str, list[Scope]]:
        functions = (one for one in self.root.children if one.kind == "function")
        return _grouped(functions, lambda one: one.name)

    def class_named(self, name: str) -> Scope | None:
        """Return a class of this file by its plain name."""
        found = self._classes_by_name.get(name)
        return found[0] if found else None

    def function_named(self, name: str) -> Scope | None:
        """Return a function at the top level of this file by its name."""
        found = self._functions_by_name.get(name)
        return found[0] if found else None

    def relatives(self, scope: Scope) -> frozenset[Scope]:
        """Return a class with its bases and its subclasses, as far as they are in this file."""
        return self._families.get(scope) or frozenset((scope,))

    @cached_property
    def _families(self) -> dict[Scope, frozenset[Scope]]:
        """All classes, put into families that inherit from each other."""
        families: dict[Scope, frozenset[Scope]] = {one: frozenset((one,)) for one in self.classes}
        for one in self.classes:
            for base in getattr(one.node, "bases", []):
                related = self.class_named(dotted(base).rpartition(".")[2])
                if related is not None:
                    united = families[one] | families[related]
                    families.update(dict.fromkeys(united, united))
        return families


_T = TypeVar("_T")
_K = TypeVar("_K")


def _grouped(things: Iterable[_T], key: Callable[[_T], _K]) -> dict[_K, list[_T]]:
    groups: dict[_K, list[_T]] = {}
    for one in things:
        groups.setdefault(key(one), []).append(one)
    return groups


def dotted(node: ast.AST | None) -> str:
    """Return ``a.b.c`` for such an expression, and an empty text for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))
