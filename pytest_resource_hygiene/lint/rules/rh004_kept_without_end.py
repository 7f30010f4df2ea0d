"""RH004: a class starts a thread, a process, a pool or a task and has nothing that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.facts import dotted
from pytest_resource_hygiene.lint.kept import ENDINGS, is_ended, kept_by, may_run_for_ever
from pytest_resource_hygiene.lint.rule import Case, Hit, Rule
from pytest_resource_hygiene.lint.words import is_closing_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Module, Scope

__all__ = ["RULE", "has_unknown_base"]

_INERT_BASES = {
    "object",
    "ABC",
    "Generic",
    "Protocol",
    "Exception",
    "dict",
    "list",
    "NamedTuple",
    "Enum",
}


def check(case: Case) -> Iterator[Hit]:
    """Yield what is kept by classes that have no method which could end it."""
    module = case.module
    for owner in module.classes:
        if _can_be_closed(owner, module) or has_unknown_base(owner, module):
            continue
        for kept in kept_by(owner, module):
            if is_ended(kept, module) or not may_run_for_ever(kept, module):
                continue
            if not case.occasions.once(kept.call):
                article = "an" if kept.kind[0] in "aeiou" else "a"
                message = (
                    f"{owner.name} starts {article} {kept.kind} and keeps it in {kept.attribute}, and "
                    f"has nothing that ends it: add a method (close, stop, __exit__) that "
                    f"{ENDINGS[kept.kind]}"
                )
                yield Hit(kept.call.node, message)


def _can_be_closed(owner: Scope, module: Module) -> bool:
    return any(
        is_closing_name(method.name)
        for member in module.relatives(owner)
        for method in member.methods
    )


def has_unknown_base(owner: Scope, module: Module) -> bool:
    """Tell whether a class inherits from one that is not in this file: it may be closed there."""
    # Classes of one name, each a base of the next, look like a circle: each is looked at once.
    seen = {owner}
    waiting = [owner]
    while waiting:
        for base in getattr(waiting.pop().node, "bases", []):
            name = dotted(getattr(base, "value", base) if not dotted(base) else base)
            if name.rpartition(".")[2] in _INERT_BASES:
                continue
            inner = module.class_named(name)
            if inner is None:
                return True
            if inner not in seen:
                seen.add(inner)
                waiting.append(inner)
    return False


RULE = Rule(
    code="RH004",
    name="started-and-never-ended",
    what="A class starts a `Thread`, `Timer`, `Process`, `Popen`, executor, pool or asyncio task, keeps "
    "it on `self`, and has no method that could end it (`stop`, `close`, `__exit__`, …).",
    why="Whoever makes such an object cannot get rid of it: each one leaves a thread or a child behind, "
    "in tests as in a server.",
    mend="Give the class a `close()` that ends it, and `__enter__`/`__exit__` that call it.",
    triggers=(
        "Thread",
        "Timer",
        "Process",
        "Popen",
        "PoolExecutor",
        "Pool(",
        "create_task",
        "ensure_future",
        "create_subprocess_",
    ),
    check=check,
    bad="""\
import threading


class Sampler:
    def __init__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            self.sample()
""",
    good="""\
import threading


class Sampler:
    def __init__(self):
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ended.wait(1.0):
            self.sample()

    def close(self):
        self._ended.set()
        self._thread.join()
""",
)
