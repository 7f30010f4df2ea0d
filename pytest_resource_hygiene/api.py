"""The engine for scripts and servers: no test runner needed.

``no_leaks`` checks a block or a function. ``snapshot`` and ``leaks_since`` compare two moments that
lie further apart, such as before start-up and after shutdown.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import warnings
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast, get_args

from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.owners import Owner
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.engine.settle import describe
from pytest_resource_hygiene.errors import LeaksFoundError, SettingsError
from pytest_resource_hygiene.grace import VALID_GRACE, is_grace
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.reports.terminal_report import finding_lines
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers import built_in_trackers, default_kinds, kind_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from pytest_resource_hygiene.leak import Leak

__all__ = ["Action", "Snapshot", "leaks_since", "no_leaks", "raise_leaks", "snapshot"]

P = ParamSpec("P")
R = TypeVar("R")
Action = Literal["raise", "warn", "return"]

_ACTIONS = get_args(Action)


class Snapshot:
    """What the process held at one moment, and the watch that goes on since.

    Use it as a context manager, or `close` it, to unhook the watch.
    """

    def __init__(self, kinds: Iterable[str] | None = None, *, grace: float = 0.5) -> None:
        """Look, and go on recording.

        Args:
            kinds: kinds to watch; None for all that are on by default.
            grace: seconds for suspects to go, unless `leaks_since` is told otherwise.

        Raises:
            SettingsError: an unknown kind, or a grace period that cannot be waited.
        """
        chosen = _chosen(kinds)
        _check_grace(grace)
        self._checker = LeakChecker(
            built_in_trackers(chosen), EngineSettings(grace=grace, restore=False)
        )
        self._checker.start(canary=False)
        self._owner = self._new_owner()

    def _new_owner(self) -> Owner:
        owner = Owner(OwnerInfo("session", "since the snapshot", "session"))
        self._checker.open(owner)
        return owner

    def leaks(self, *, grace: float | None = None) -> tuple[Leak, ...]:
        """Return what appeared since the snapshot and is still there, failures and notes.

        What was returned once is taken as given from then on.

        Raises:
            SettingsError: a grace period that cannot be waited.
        """
        if grace is not None:
            _check_grace(grace)
            self._checker.settings = self._checker.settings._replace(grace=grace)
        found = self._checker.close(self._owner, everything=True)
        self._owner = self._new_owner()
        return tuple(found)

    def has_news(self) -> bool:
        """Return whether something appeared since the snapshot and is there now, without waiting."""
        ledger = self._checker.ledger
        ledger.look_at(ledger.shelves, self._owner, "")
        return bool(self._owner.held)

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong in our own trackers, in words."""
        return tuple(map(str, self._checker.failures))

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return what the process holds *now*, kind by kind: summaries and JSON-safe details."""
        ledger = self._checker.ledger
        ledger.look_at(ledger.shelves, self._owner, "")
        held: dict[str, list[dict[str, Any]]] = {}
        for shelf in ledger.shelves:
            rows = held.setdefault(shelf.tracker.kind, [])
            if shelf.tracker.slots:
                continue  # every slot has a value; only a change says something
            for entry in list(shelf.entries.values()):
                entry.description = None  # it may look different now
                words = describe(entry, ledger)
                rows.append({"summary": words.summary, "details": dict(words.details)})
        return held

    def close(self) -> None:
        """Unhook the watch; may be called twice."""
        self._checker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def snapshot(kinds: Iterable[str] | None = None) -> Snapshot:
    """Take a `Snapshot` of the given kinds, or of all that are on by default.

    Raises:
        SettingsError: an unknown kind.
    """
    return Snapshot(kinds)


def leaks_since(before: Snapshot, *, grace: float = 0.5) -> tuple[Leak, ...]:
    """Return the leaks that fail among what appeared since a snapshot.

    Args:
        before: the snapshot.
        grace: seconds for suspects to go; this blocks that long at most, and not at all if nothing
            looks leaked.

    Raises:
        SettingsError: a grace period that cannot be waited.
    """
    return tuple(leak for leak in before.leaks(grace=grace) if leak.severity == "fail")


def raise_leaks(leaks: Iterable[Leak]) -> None:
    """Raise if there are any.

    Raises:
        LeaksFoundError: with all of them in words.
    """
    found = tuple(leaks)
    if found:
        raise LeaksFoundError(_text(found), found)


def _text(leaks: Iterable[Leak]) -> str:
    lines: list[str] = []
    for leak in leaks:
        lines += finding_lines(leak.to_dict(), "")
    return "\n".join(lines)


class no_leaks:  # noqa: N801 - used like a function
    """Check that a block, or each call of a function, leaves nothing behind.

    It is a context manager and a decorator, both also for ``async``::

        with no_leaks(kinds=["threads"]):
            ...

        @no_leaks(action="warn")
        async def main(): ...

    One object may be used again, also within its own block. The whole process is looked at: of blocks
    that overlap in two threads, each sees what the other has open.

    Args:
        kinds: kinds to watch; None for all that are on by default.
        action: ``raise`` a `LeaksFoundError`, ``warn`` with a ``ResourceWarning``, or ``return``:
            only fill `leaks`.
        grace: seconds for suspects to go.

    Attributes:
        leaks: what was found, after the block.

    Raises:
        SettingsError: an unknown kind or action, a grace period that cannot be waited, or something
            decorated whose body does not run in the call: a generator function, a class.
    """

    def __init__(
        self,
        kinds: Iterable[str] | None = None,
        action: Action = "raise",
        *,
        grace: float = 0.5,
    ) -> None:
        """Check the arguments; nothing is watched before the block begins."""
        if action not in _ACTIONS:
            raise SettingsError(
                f"no_leaks: action {action!r} is not valid; use {', '.join(_ACTIONS)}."
            )
        if callable(kinds):
            raise SettingsError("no_leaks: write @no_leaks() above a function, with parentheses.")
        chosen = _chosen(kinds)
        _check_grace(grace)
        self._kinds = None if kinds is None else chosen
        self._action = action
        self._grace = grace
        self._entered: list[Snapshot] = []  # the innermost block last
        self.leaks: tuple[Leak, ...] = ()

    def __enter__(self) -> Self:
        self._entered.append(Snapshot(self._kinds, grace=self._grace))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._entered.pop() as before:
            self.leaks = leaks_since(before, grace=self._grace)
        if error is None:  # an exception of the block itself comes first
            self._act()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._let_tasks_end()
        self.__exit__(kind, error, traceback)

    async def _let_tasks_end(self) -> None:
        """Give tasks of the running loop their time: a loop cannot be run from within itself."""
        before = self._entered[-1]
        deadline, pause = System.monotonic() + self._grace, 0.0
        while before.has_news() and System.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, 0.001), 0.05)

    def _act(self) -> None:
        if self._action == "raise":
            raise_leaks(self.leaks)
        elif self._action == "warn" and self.leaks:
            warnings.warn(_text(self.leaks), ResourceWarning, stacklevel=3)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Check each call of a function; a fresh check for each, so that calls may overlap."""
        _require_body(function)
        if _is_async(function):
            coroutine_function: Any = function

            @functools.wraps(function)
            async def checked_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self._again():
                    return await coroutine_function(*args, **kwargs)

            return cast("Callable[P, R]", checked_async)

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return checked

    def _again(self) -> no_leaks:
        return no_leaks(self._kinds, self._action, grace=self._grace)


def _is_async(function: Any) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - its code is asked for, not if it is
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _require_body(function: Any) -> None:
    """Refuse what would be called without being checked: nobody would ever notice."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise SettingsError(
            f"no_leaks: {function!r} is a generator function: its body runs after the call. "
            "Write `with no_leaks():` into the body instead."
        )
    if isinstance(function, (type, staticmethod, classmethod)) or not callable(function):
        raise SettingsError(
            f"no_leaks: {function!r} is not a function. Decorate functions and methods, below "
            "@classmethod or @staticmethod."
        )


def _check_grace(grace: float) -> None:
    if not is_grace(grace):
        raise SettingsError(f"grace {grace!r} is not valid; expected {VALID_GRACE}.")


def _chosen(kinds: Iterable[str] | None) -> frozenset[str]:
    known = kind_names()
    if kinds is None:
        return default_kinds()
    chosen = frozenset([kinds] if isinstance(kinds, str) else kinds)
    if not chosen:
        raise SettingsError("no kinds to watch. Name some, or leave `kinds` out for the default.")
    for kind in sorted(chosen):
        if kind not in known:
            raise SettingsError(f"unknown kind {kind!r}. Kinds: {', '.join(known)}.")
    return chosen
