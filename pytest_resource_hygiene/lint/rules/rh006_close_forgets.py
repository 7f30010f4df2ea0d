"""RH006: a class can be closed, and closing forgets what it has started."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.kept import ENDINGS, Kept, is_ended, kept_by
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule
from pytest_resource_hygiene.lint.rules.rh004_kept_without_end import has_unknown_base
from pytest_resource_hygiene.lint.words import ends_an_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Module, Scope

__all__ = ["RULE"]

_KINDS = {"timer", "pool", "executor", "child process"}


def check(case: Case) -> Iterator[Hit]:
    """Yield what is kept by classes with a closing method, and touched by no such method."""
    module = case.module
    for owner in module.classes:
        closers = _closers(owner, module)
        if not closers or has_unknown_base(owner, module):
            continue
        for kept in kept_by(owner, module):
            if kept.kind in _KINDS and not is_ended(kept, module) and not _touched(kept, module):
                message = (
                    f"{owner.name}.{closers[0].name} forgets the {kept.kind} in {kept.attribute}: it "
                    f"goes on when the object is closed; let it do what {ENDINGS[kept.kind]}"
                )
                yield Hit(kept.call.node, message.replace("let it do what calls", "let it call"))


def _closers(owner: Scope, module: Module) -> list[Scope]:
    return [
        method
        for member in module.relatives(owner)
        for method in member.methods
        if ends_an_object(method.name) and not _is_for_others(method)
    ]


def _is_for_others(method: Scope) -> bool:
    """Tell whether it must be told what to end: ``terminate(names)`` does not end the object."""
    arguments = getattr(method.node, "args", None)
    if method.name.startswith("__") or not isinstance(arguments, ast.arguments):
        return False
    return len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults) > 1


def _touched(kept: Kept, module: Module) -> bool:
    """Tell whether a closing method so much as looks at it: at its pipes, at its queue."""
    tail = "." + kept.attribute
    return any(
        use.base.endswith(tail) or tail + "." in use.base
        for closer in _closers(kept.owner, module)
        for scope in closer.inwards()
        for use in module.uses_by_scope.get(scope, ())
    )


_BAD = """\
from concurrent.futures import ThreadPoolExecutor


class Server:
    def __init__(self):
        self._workers = ThreadPoolExecutor(4)
        self._is_running = True

    def handle(self, request):
        self._workers.submit(print, request)

    def stop(self):
        self._is_running = False
"""

RULE = Rule(
    code="RH006",
    name="close-forgets",
    what="A class keeps a `Timer`, a pool, an executor or a child process, has a `close()` or `stop()`, "
    "and no method ever ends what is kept.",
    why="Whoever closes the object believes that all is gone. The timer fires on a closed object, the "
    "workers and children stay.",
    mend="End in the closing method whatever the class has started.",
    triggers=("Timer", "Popen", "PoolExecutor", "Pool(", "create_subprocess_"),
    check=check,
    bad=_BAD,
    good=_BAD + "        self._workers.shutdown()\n",
)
