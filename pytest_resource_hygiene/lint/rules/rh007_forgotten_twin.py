"""RH007: two mappings are filled with one key, and it is deleted from one of them only."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule
from pytest_resource_hygiene.lint.words import ends_an_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Assign, Module, Scope

__all__ = ["RULE"]

_EMPTY_CALLS = {"dict", "defaultdict", "Counter", "OrderedDict"}
_SHRINKING = {"__delitem__", "clear", "pop", "popitem", "remove", "discard"}


def check(case: Case) -> Iterator[Hit]:
    """Yield mappings of a class that only grow, beside one with the same keys that shrinks."""
    for owner in case.module.classes:
        mappings = _mappings(owner)
        growing = {name for name in mappings if not _shrinks(name, owner, case.module)}
        keyed = _keys(owner, mappings)
        bounded = _bounded_keys(owner, keyed)
        for name in sorted(growing):
            if not bounded.isdisjoint(keyed.get(name, ())):
                continue
            twin = _twin(name, growing, keyed, owner, case.module)
            if name in keyed and twin:
                node = next(iter(keyed[name].values())).node
                message = (
                    f"{name} of {owner.name} only grows, while {twin}, which is filled with the same "
                    f"keys, has them deleted: delete the key from both"
                )
                yield Hit(node, message)


def _mappings(owner: Scope) -> set[str]:
    """Return the names of attributes that begin as an empty mapping, once."""
    found: list[str] = []
    others: set[str] = set()
    for method in owner.methods:
        for assign in method.assigns:
            first, _, name = assign.target.partition(".")
            if first != "self" or not name or assign.subscript is not None:
                continue
            if method.name == "__init__" and _is_empty_mapping(assign.value):
                found.append(name)
            else:
                others.add(name)
    return set(found) - others


def _is_empty_mapping(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in _EMPTY_CALLS


def _shrinks(name: str, owner: Scope, module: Module) -> bool:
    """Tell whether a mapping ever loses a key, or is given to somebody who may see to that."""
    for use in module.uses_by_tail.get(name, ()):
        if use.base == f"self.{name}" and use.scope.owner_class is owner:
            if use.attribute in _SHRINKING:
                return True
            if not use.attribute and not use.only_tested and _is_handed_on(use.node, owner):
                return True
        elif use.base.endswith(f".{name}") and use.attribute in _SHRINKING:
            return True
    return False


def _is_handed_on(node: ast.AST, owner: Scope) -> bool:
    """Reading an item of it, or asking for a key, is no handing on; anything else may be."""
    for outer in ast.walk(owner.node):
        if isinstance(outer, ast.Subscript) and outer.value is node:
            return False
        if isinstance(outer, ast.Compare) and node in outer.comparators:
            return False
        if isinstance(outer, ast.Call) and node in outer.args:
            return dotted(outer.func) not in {"len", "sorted", "sum", "list", "set", "bool"}
        if isinstance(outer, (ast.For, ast.comprehension)) and outer.iter is node:
            return False
    return True


def _keys(owner: Scope, mappings: set[str]) -> dict[str, dict[str, Assign]]:
    """Return for each mapping the expressions by which something is put into it."""
    found: dict[str, dict[str, Assign]] = {}
    for method in owner.methods:
        for assign in method.assigns:
            name = assign.target.partition(".")[2]
            key = assign.subscript
            if name in mappings and key is not None and not isinstance(key, ast.Constant):
                found.setdefault(name, {})[f"{method.name}:{ast.unparse(key)}"] = assign
    return found


def _bounded_keys(owner: Scope, keyed: dict[str, dict[str, Assign]]) -> set[str]:
    """Return the keys of mappings whose size is compared with something: it has a bound."""
    sizes = {
        dotted(inner.args[0]).partition(".")[2]
        for node in ast.walk(owner.node)
        if isinstance(node, ast.Compare)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and dotted(inner.func) == "len" and inner.args
    }
    return {key for name in sizes for key in keyed.get(name, ())}


def _twin(
    name: str, growing: set[str], keyed: dict[str, dict[str, Assign]], owner: Scope, module: Module
) -> str:
    """Return a mapping with the same keys, from which one is deleted by that key."""
    for other in sorted(set(keyed) - growing):
        shared = set(keyed.get(name, {})) & set(keyed[other])
        if shared and _deletes_keys(other, owner, module):
            return other
    return ""


def _deletes_keys(name: str, owner: Scope, module: Module) -> bool:
    return any(
        use.base == f"self.{name}"
        and use.attribute in {"__delitem__", "pop"}
        and use.scope.owner_class is owner
        and not any(ends_an_object(one.name) for one in use.scope.outwards())
        for use in module.uses_by_tail.get(name, ())
    )


_BAD = """\
class Sessions:
    def __init__(self):
        self._sessions = {}
        self._touched = {}

    def add(self, key, session):
        self._sessions[key] = session
        self._touched[key] = 0

    def touch(self, key):
        self._touched[key] += 1

    def expire(self, key):
        del self._sessions[key]
"""

RULE = Rule(
    code="RH007",
    name="forgotten-twin",
    what="A class puts the same key into two mappings of its own, and deletes it from one of them only.",
    why="The other one grows by an entry for every key that ever was: in a server that runs for weeks "
    "that is the memory.",
    mend="Delete the key from both in the same place; or keep one mapping of records.",
    triggers=("del self.", ".pop("),
    pattern=re.compile(r"del self\.\w+\[|self\.\w+\.pop\([^)]"),
    check=check,
    bad=_BAD,
    good=_BAD + "        del self._touched[key]\n",
)
