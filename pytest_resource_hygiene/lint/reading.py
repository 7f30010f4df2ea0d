"""The walk over a syntax tree that gathers the facts. One pass; rules never walk again."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import (
    Assign,
    Call,
    FunctionNode,
    Module,
    Place,
    Scope,
    Use,
    dotted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["read_module"]

_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def read_module(tree: ast.Module, path: str) -> Module:
    """Gather the facts of one file.

    Raises:
        RecursionError: expressions are nested too deeply.
    """
    root = Scope("module", "", tree, None)
    reader = _Reader(Module(path, root, [root], [], [], []))
    for statement in tree.body:
        reader.visit(statement, root, None)
    reader.resolve()
    return reader.module


class _Reader:
    def __init__(self, module: Module) -> None:
        self.module = module
        self._visitors: dict[type[ast.AST], Callable[..., None]] = {
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.ClassDef: self._class,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.Try: self._try,
            ast.If: self._if,
            ast.While: self._while,
            ast.For: self._for,
            ast.AsyncFor: self._for,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.Assign: self._assign,
            ast.AnnAssign: self._assign_one,
            ast.AugAssign: self._assign_one,
            ast.NamedExpr: self._assign_one,
            ast.Call: self._call,
            ast.Attribute: self._attribute,
            ast.Name: self._name,
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
            ast.Global: self._global,
            ast.Nonlocal: self._global,
            ast.Assert: self._assert,
            ast.IfExp: self._if_expression,
            ast.Delete: self._delete,
            ast.comprehension: self._comprehension,
        }
        if hasattr(ast, "TryStar"):
            self._visitors[ast.TryStar] = self._try

    def visit(self, node: ast.AST, scope: Scope, place: Place | None) -> None:
        visitor = self._visitors.get(type(node))
        if visitor is not None:
            visitor(node, scope, place)
        else:
            self._parts(node, scope, place)

    def _parts(self, node: ast.AST, scope: Scope, place: Place | None) -> None:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.visit(value, scope, place)
            elif isinstance(value, list):
                self._all(value, scope, place)

    def _all(self, nodes: Iterable[object], scope: Scope, place: Place | None) -> None:
        for node in nodes:
            if isinstance(node, ast.AST):
                self.visit(node, scope, place)

    # Names

    def _import(self, node: ast.Import, scope: Scope, _place: Place | None) -> None:
        for alias in node.names:
            first = alias.name.partition(".")[0]
            scope.aliases[alias.asname or first] = alias.name if alias.asname else first

    def _import_from(self, node: ast.ImportFrom, scope: Scope, _place: Place | None) -> None:
        origin = "." * node.level + (node.module or "")
        for alias in node.names:
            scope.aliases[alias.asname or alias.name] = f"{origin}.{alias.name}"

    def _global(self, node: ast.Global | ast.Nonlocal, scope: Scope, _place: Place | None) -> None:
        scope.shared.update(node.names)

    # Scopes

    def _enter(self, kind: str, name: str, node: ast.AST, scope: Scope) -> Scope:
        inner = Scope("class" if kind == "class" else "function", name, node, scope)
        scope.children.append(inner)
        self.module.scopes.append(inner)
        return inner

    def _class(self, node: ast.ClassDef, scope: Scope, place: Place | None) -> None:
        scope.bound.add(node.name)
        self._all(node.decorator_list + node.bases, scope, place)
        self._all(node.keywords, scope, place)
        self._all(node.body, self._enter("class", node.name, node, scope), None)

    def _function(self, node: FunctionNode, scope: Scope, place: Place | None) -> None:
        scope.bound.add(node.name)
        for decorator in node.decorator_list:
            self._decorator(decorator, scope, place)
        self._all([*node.args.defaults, *node.args.kw_defaults], scope, place)
        inner = self._enter("function", node.name, node, scope)
        inner.bound.update(_parameters(node.args))
        self._all(node.body, inner, None)

    def _decorator(self, node: ast.expr, scope: Scope, place: Place | None) -> None:
        """``@register`` calls it, like ``register(function)``; ``@register(...)`` is a call anyway."""
        if isinstance(node, ast.Call):
            self.visit(node, scope, place)
            return
        call = ast.copy_location(ast.Call(func=node, args=[], keywords=[]), node)
        self._call(call, scope, place)

    def _lambda(self, node: ast.Lambda, scope: Scope, place: Place | None) -> None:
        self._all([*node.args.defaults, *node.args.kw_defaults], scope, place)
        inner = self._enter("function", "<lambda>", node, scope)
        inner.bound.update(_parameters(node.args))
        self.visit(node.body, inner, None)

    # Places

    def _try(self, node: ast.Try, scope: Scope, place: Place | None) -> None:
        self._all(node.body, scope, place)
        for handler in node.handlers:
            if handler.name:
                scope.bound.add(handler.name)
            if handler.type is not None:
                self.visit(handler.type, scope, place)
            self._all(handler.body, scope, Place("except", node, place))
        self._all(node.orelse, scope, place)
        self._all(node.finalbody, scope, Place("finally", node, place))

    def _if(self, node: ast.If, scope: Scope, place: Place | None) -> None:
        self._test(node.test, scope, place)
        self._all(node.body, scope, Place("if", node, place))
        self._all(node.orelse, scope, Place("else", node, place))
        if isinstance(node.body[-1], _LEAVING):
            scope.leaves.append(node.test)

    def _while(self, node: ast.While, scope: Scope, place: Place | None) -> None:
        self._test(node.test, scope, place)
        inside = Place("loop", node, place)
        self._all(node.body, scope, inside)
        self._all(node.orelse, scope, place)

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope, place: Place | None) -> None:
        self.visit(node.iter, scope, place)
        self._bind(node.target, node.iter, scope, node)
        self._all(node.body, scope, Place("loop", node, place))
        self._all(node.orelse, scope, place)

    def _comprehension(self, node: ast.comprehension, scope: Scope, place: Place | None) -> None:
        self._bind(node.target, node.iter, scope, node)
        self._parts(node, scope, place)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope, place: Place | None) -> None:
        inside = Place("with", node, place)
        for item in node.items:
            self.visit(item.context_expr, scope, inside)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, None, scope, node)
        self._all(node.body, scope, inside)

    # Values

    def _assign(self, node: ast.Assign, scope: Scope, place: Place | None) -> None:
        targets = [dotted(target) for target in node.targets]
        self._value(node.value, next(filter(None, targets), ""), scope, place)
        for target in node.targets:
            self._bind(target, node.value, scope, node)
            if not isinstance(target, ast.Name):
                self._stored(target, scope, place)

    def _assign_one(
        self, node: ast.AnnAssign | ast.AugAssign | ast.NamedExpr, scope: Scope, place: Place | None
    ) -> None:
        if node.value is not None:
            self._value(node.value, dotted(node.target), scope, place)
        self._bind(node.target, node.value, scope, node)
        if not isinstance(node.target, ast.Name):
            self._stored(node.target, scope, place)

    def _value(self, node: ast.expr, target: str, scope: Scope, place: Place | None) -> None:
        """Visit a value that is bound to a name: a call in it remembers to which."""
        if target and isinstance(node, ast.Call):
            self._call(node, scope, place, target=target)
        elif target and isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            self._call(node.value, scope, place, target=target)
        else:
            self.visit(node, scope, place)

    def _bind(self, target: ast.AST, value: ast.expr | None, scope: Scope, node: ast.AST) -> None:
        if isinstance(target, ast.Name):
            scope.bound.add(target.id)
        if isinstance(target, (ast.Tuple, ast.List)):
            values: list[ast.expr | None] = [value] * len(target.elts)
            if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
                values = list(value.elts)
            for one, part in zip(target.elts, values, strict=True):
                self._bind(one, part, scope, node)
            return
        subscript = target.slice if isinstance(target, ast.Subscript) else None
        while isinstance(target, ast.Subscript):
            target = target.value
        name = dotted(target)
        if name:
            found = Assign(name, value, scope, node, subscript)
            scope.assigns.append(found)
            self.module.assigns.append(found)

    def _stored(self, target: ast.AST, scope: Scope, place: Place | None) -> None:
        """Visit what a target reads: the object whose attribute is set, the key of an item."""
        if isinstance(target, ast.Attribute):
            self._base(target.value, target.attr, scope, place, node=target)
        elif isinstance(target, ast.Subscript):
            self._base(target.value, "__setitem__", scope, place, node=target)
            self.visit(target.slice, scope, place)
        else:
            self._parts(target, scope, place)

    def _call(
        self,
        node: ast.Call,
        scope: Scope,
        place: Place | None,
        *,
        target: str = "",
    ) -> None:
        call = Call(node, dotted(node.func), scope, place, target, scope.has_yielded)
        call.leaves = len(scope.leaves)
        scope.calls.append(call)
        self.module.calls.append(call)
        self.visit(node.func, scope, place)
        self._all(node.args, scope, place)
        for keyword in node.keywords:
            self.visit(keyword.value, scope, place)

    def _yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope, place: Place | None) -> None:
        self._parts(node, scope, place)
        scope.has_yielded = True

    # Uses

    def _use(self, base: str, attribute: str, scope: Scope, node: ast.AST, tested: bool) -> None:
        self.module.uses.append(
            Use(base, attribute, scope, node, tested, after_yield=scope.has_yielded)
        )

    def _base(
        self, base: ast.expr, attribute: str, scope: Scope, place: Place | None, node: ast.AST
    ) -> None:
        """Record that an attribute of something is read, and of what that is an attribute."""
        text = dotted(base)
        self._use(text, attribute, scope, node, tested=False)
        if isinstance(base, ast.Attribute):
            self._base(base.value, base.attr, scope, place, base)
        elif not isinstance(base, ast.Name):
            self.visit(base, scope, place)

    def _attribute(self, node: ast.Attribute, scope: Scope, place: Place | None) -> None:
        self._base(node.value, node.attr, scope, place, node)
        text = dotted(node)
        if text:
            self._use(text, "", scope, node, tested=False)

    def _delete(self, node: ast.Delete, scope: Scope, place: Place | None) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self._base(target.value, "__delitem__", scope, place, target)
                self.visit(target.slice, scope, place)
            elif isinstance(target, ast.Attribute):
                self._base(target.value, target.attr, scope, place, target)

    def _name(self, node: ast.Name, scope: Scope, _place: Place | None) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id, "", scope, node, tested=False)

    def _assert(self, node: ast.Assert, scope: Scope, place: Place | None) -> None:
        self._test(node.test, scope, place)

    def _if_expression(self, node: ast.IfExp, scope: Scope, place: Place | None) -> None:
        self._test(node.test, scope, place)
        self.visit(node.body, scope, place)
        self.visit(node.orelse, scope, place)

    def _test(self, node: ast.expr, scope: Scope, place: Place | None) -> None:
        """Visit a condition: asking whether there is something does not hand it on."""
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self._test(value, scope, place)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._test(node.operand, scope, place)
        elif isinstance(node, ast.Compare) and dotted(node.left):
            self._test(node.left, scope, place)
            self._all(node.comparators, scope, place)
        elif isinstance(node, ast.Attribute) and dotted(node):
            self._base(node.value, node.attr, scope, place, node)
            self._use(dotted(node), "", scope, node, tested=True)
        elif isinstance(node, ast.Name):
            self._use(node.id, "", scope, node, tested=True)
        else:
            self.visit(node, scope, place)

    # After the walk

    def resolve(self) -> None:
        """Follow imports and aliases, now that all of them are known."""
        imported = {name for scope in self.module.scopes for name in scope.aliases}
        for call in self.module.calls:
            is_imported = call.text.partition(".")[0] in imported
            call.name = (is_imported and _resolved(call.text, call.scope)) or call.text
        for use in self.module.uses:
            if use.base.partition(".")[0] in imported:
                text = f"{use.base}.{use.attribute}" if use.attribute else use.base
                use.name = _resolved(text, use.scope)


def _resolved(text: str, scope: Scope) -> str:
    """Return what a dotted name stands for, or an empty text if no import says so."""
    first, dot, rest = text.partition(".")
    for one in scope.outwards():
        if one.kind == "class" and one is not scope:
            continue  # names of a class are not seen by the functions in it
        if first in one.aliases:
            return one.aliases[first] + dot + rest
        if first in one.bound and first not in one.shared:
            return ""
    return ""


def _parameters(arguments: ast.arguments) -> set[str]:
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    given += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return {one.arg for one in given}
