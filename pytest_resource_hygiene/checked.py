"""`no_leaks`: a block, or each call of a function, checked for what it leaves behind."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast, get_args

from pytest_resource_hygiene.errors import LeaksFoundError, SettingsError
from pytest_resource_hygiene.reports.terminal_report import finding_lines
from pytest_resource_hygiene.snapshots import Snapshot, check_grace, choose, leaks_since
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType, TracebackType

    from pytest_resource_hygiene.leak import Leak

__all__ = ["Action", "no_leaks", "raise_leaks"]

P = ParamSpec("P")
R = TypeVar("R")
Action = Literal["raise", "warn", "return"]

_IGNORED_BY_DEFAULT = ("ignore", None, ResourceWarning, None, 0)
_ACTIONS = get_args(Action)
_FILE = (lambda: None).__code__.co_filename


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
        kinds: kinds to watch; None for all that are on by default. What is found of a kind that is
            named is a failure, also of those that are notes by default.
        action: ``raise`` a `LeaksFoundError`, ``warn`` with a ``ResourceWarning``, which is shown
            unless a filter of the user's ignores these, or ``return``: only fill `leaks`.
        grace: seconds for suspects to go.
        keepers: returns objects that live on, such as pools; what they keep is no leak.

    Attributes:
        leaks: what was found, after the block.

    Raises:
        SettingsError: an unknown kind, ``memory``, an unknown action, a grace period that cannot be
            waited, or something decorated whose body does not run in the call: a generator
            function, a class.
    """

    def __init__(
        self,
        kinds: Iterable[str] | None = None,
        action: Action = "raise",
        *,
        grace: float = 0.5,
        keepers: Callable[[], Iterable[Any]] = tuple,
    ) -> None:
        """Check the arguments; nothing is watched before the block begins."""
        if action not in _ACTIONS:
            raise SettingsError(
                f"no_leaks: action {action!r} is not valid; use {', '.join(_ACTIONS)}."
            )
        if callable(kinds):
            raise SettingsError("no_leaks: write @no_leaks() above a function, with parentheses.")
        chosen = choose(kinds)
        check_grace(grace)
        self._kinds = None if kinds is None else chosen
        self._action = action
        self._grace = grace
        self._keepers = keepers
        self._entered: list[Snapshot] = []  # the innermost block last
        self.leaks: tuple[Leak, ...] = ()

    def __enter__(self) -> Self:
        self._entered.append(Snapshot(self._kinds, grace=self._grace, keepers=self._keepers))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None, waited: float = 0.0) -> None:
        with self._entered.pop() as before:
            found = leaks_since(before, grace=max(self._grace - waited, 0.0))
        self.leaks = tuple(
            replace(one, waited_seconds=one.waited_seconds + waited) for one in found
        )
        if error is None:
            self._act()
        elif self._action != "return" and self.leaks and isinstance(error, Exception):
            # The block's own failure comes first; what it left is added.
            error.add_note(f"It has left behind as well:\n{_text(self.leaks)}")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(error, await self._let_tasks_end())

    async def _let_tasks_end(self) -> float:
        """Give tasks of the running loop their time: a loop cannot be run from within itself.

        Returns:
            How many seconds that took.
        """
        before = self._entered[-1]
        began, waited, pause = System.monotonic(), 0.0, 0.0
        while waited < self._grace and before.has_news():
            await asyncio.sleep(min(pause, self._grace - waited))
            waited = System.monotonic() - began
            pause = min(max(pause * 2, 0.001), 0.05)
        return waited

    def _act(self) -> None:
        if self._action == "raise":
            raise_leaks(self.leaks)
        elif self._action == "warn" and self.leaks:
            with _unless_ignored_on_purpose():
                warnings.warn(_text(self.leaks), ResourceWarning, stacklevel=_level_of_user())

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
        return no_leaks(self._kinds, self._action, grace=self._grace, keepers=self._keepers)


@contextmanager
def _unless_ignored_on_purpose() -> Iterator[None]:
    """Drop the filter by which Python ignores all resource warnings, where nobody has set another.

    Whoever writes ``action="warn"`` wants to see one.
    """
    if sys.warnoptions or list(warnings.filters)[-1:] != [_IGNORED_BY_DEFAULT]:
        yield
        return
    with warnings.catch_warnings():
        warnings.filters = warnings.filters[:-1]
        yield


def _level_of_user() -> int:
    """Return how many frames the caller is below the code that is checked.

    A warning is the user's, who may have filtered warnings by the name of his module.
    """
    frame: FrameType | None = System.getframe(1)
    level = 1
    while frame is not None and frame.f_code.co_filename == _FILE:
        frame, level = frame.f_back, level + 1
    return level


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
