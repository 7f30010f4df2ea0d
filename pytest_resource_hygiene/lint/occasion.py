"""When code runs: once for the whole program, in a process of its own, or whenever somebody calls.

What a program sets up once, at its start and for its whole life, is no leak. Code is taken to be
that if the file itself runs it: from its top level, from ``if __name__ == "__main__"``, or from a
function that is a command's (``main``, a click command); and if a guard lets it happen only once.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_resource_hygiene.lint.facts import Call, Module, Scope

__all__ = ["Occasions"]

_MAIN = re.compile(r"_*(main|cli)(_.*)?")
_COMMANDS = {"command", "group", "callback", "main", "cli"}
_CACHES = {"functools.cache", "functools.lru_cache", "functools.cached_property"}
_OWN_PROCESS = {
    "os._exit",
    "os.fork",
    "os.execv",
    "os.execve",
    "os.execvp",
    "os.execvpe",
    "os.execl",
}
_CHILD_ARGUMENTS = {"target", "initializer", "preexec_fn"}
_NO_CHILD = re.compile(r"(Thread|Timer|ThreadPool|ThreadPoolExecutor)$")
_MISSES = {"AttributeError", "IndexError", "KeyError", "LookupError"}


class Occasions:
    """Answers for one module; what it finds out is kept."""

    def __init__(self, module: Module) -> None:
        """Remember which module; nothing is computed before it is asked for."""
        self._module = module
        self._program: set[Scope] | None = None

    def once(self, call: Call) -> bool:
        """Tell whether a call happens at most once in its process, as far as the file shows."""
        scope = call.scope
        if scope.top_function is None or any(one in self.program for one in _functions(scope)):
            return True
        return _guarded(call, self._module) or any(map(_is_cached, _functions(scope)))

    @property
    def program(self) -> set[Scope]:
        """The functions that the file itself runs, or gives to a process of its own."""
        if self._program is None:
            self._program = self._reached(self._starts())
        return self._program

    def _starts(self) -> set[Scope]:
        module = self._module
        found: set[Scope] = set()
        is_main_file = module.path.rpartition("/")[2] == "__main__.py"
        for scope in module.scopes:
            if scope.kind == "function" and (
                is_main_file or _is_command(scope) or _ends_the_process(scope)
            ):
                found.add(scope)
        for scope in module.scopes:
            if scope.top_function is None:
                found.update(self._called_from(scope))
        found.update(self._children())
        return found

    def _children(self) -> Iterator[Scope]:
        """Yield functions that run in a process of their own."""
        for call in self._module.calls:
            if _NO_CHILD.search(call.text):
                continue
            for keyword in call.node.keywords:
                if keyword.arg in _CHILD_ARGUMENTS:
                    yield from self._named(dotted(keyword.value), call.scope)
                    yield from (one for one in call.scope.children if one.node is keyword.value)
        for scope in self._module.classes:
            bases = getattr(scope.node, "bases", [])
            if any(dotted(base).rpartition(".")[2].endswith("Process") for base in bases):
                yield from (method for method in scope.methods if method.name == "run")

    def _reached(self, starts: Iterable[Scope]) -> set[Scope]:
        reached: set[Scope] = set()
        waiting = list(starts)
        while waiting:
            scope = waiting.pop()
            if scope in reached:
                continue
            reached.add(scope)
            for inner in scope.inwards():
                waiting.extend(self._called_from(inner))
        return reached

    def _called_from(self, scope: Scope) -> Iterator[Scope]:
        for call in scope.calls:
            yield from self._named(call.text, scope)

    def _named(self, text: str, scope: Scope) -> Iterator[Scope]:
        """Yield the functions of this file that a dotted name may mean."""
        first, _, rest = text.partition(".")
        if not rest:
            function = self._module.function_named(first)
            if function is not None:
                yield function
            made = self._module.class_named(first)
            if made is not None:
                yield from (one for one in made.methods if one.name == "__init__")
            return
        attribute = text.rpartition(".")[2]
        owner = scope.owner_class
        if owner is not None and rest == attribute:
            yield from (one for one in owner.methods if one.name == attribute)
        made = self._module.class_named(self._class_of(first, scope))
        if made is not None:
            yield from (one for one in made.methods if one.name == attribute)

    def _class_of(self, name: str, scope: Scope) -> str:
        """Return the class that a local name was made from, or the name itself."""
        for assign in scope.assigns:
            if assign.target == name and isinstance(assign.value, ast.Call):
                return dotted(assign.value.func)
        return name


def _functions(scope: Scope) -> Iterator[Scope]:
    return (one for one in scope.outwards() if one.kind == "function")


def _is_command(scope: Scope) -> bool:
    if scope.parent is None or scope.parent.kind != "module":
        return False
    if _MAIN.fullmatch(scope.name):
        return True
    decorators = getattr(scope.node, "decorator_list", [])
    plain = (one.func if isinstance(one, ast.Call) else one for one in decorators)
    return any(dotted(one).rpartition(".")[2] in _COMMANDS for one in plain)


def _ends_the_process(scope: Scope) -> bool:
    return any(call.name in _OWN_PROCESS for call in scope.calls)


def _is_cached(scope: Scope) -> bool:
    decorators = getattr(scope.node, "decorator_list", [])
    plain = (one.func if isinstance(one, ast.Call) else one for one in decorators)
    names = {dotted(one).rpartition(".")[2] for one in plain}
    return not names.isdisjoint({name.rpartition(".")[2] for name in _CACHES})


def _guarded(call: Call, module: Module) -> bool:
    """Tell whether a test of something that outlives the call lets it happen only once.

    ``global _made`` … ``if _made is None:``, ``if cls._made:  return``, or a look whether the
    callback is there already.
    """
    if any(_is_cache_miss(place.node) for place in call.places() if place.kind == "except"):
        return True
    tests = [place.node.test for place in call.places() if isinstance(place.node, ast.If)]
    tests += call.scope.leaves[: call.leaves]
    return any(_outlives(name, call.scope, module) for test in tests for name in _names_in(test))


def _is_cache_miss(node: ast.AST) -> bool:
    """Recognise ``try: return made[key]``, ``except KeyError:`` and what is made then."""
    handlers = getattr(node, "handlers", [])
    names = {dotted(handler.type) for handler in handlers if handler.type is not None}
    return bool(names) and names <= _MISSES


def _names_in(test: ast.expr) -> set[str]:
    return {
        dotted(node) for node in ast.walk(test) if isinstance(node, (ast.Name, ast.Attribute))
    } - {""}


def _outlives(name: str, scope: Scope, module: Module) -> bool:
    """Tell whether a name is one that this file changes and that outlives the object at hand."""
    first, _, attribute = name.partition(".")
    shared = any(first in one.shared for one in scope.outwards())
    if not attribute:
        inside = set(_functions(scope))
        changed = any(
            assign.scope in inside and (assign.subscript is not None or shared)
            for assign in module.assigns_by_target.get(first, ())
        )
        mutated = first in module.root.bound and any(
            use.base == first and use.attribute in {"add", "append", "setdefault", "update"}
            for use in module.uses_by_tail.get(first, ())
        )
        return (shared and changed) or (first in module.root.bound and changed) or mutated
    owner = scope.owner_class
    if owner is None or "." in attribute:
        return False
    through = ("cls", owner.name) if first in {"self", "cls", owner.name} else ()
    return any(f"{one}.{attribute}" in module.assigns_by_target for one in through)
