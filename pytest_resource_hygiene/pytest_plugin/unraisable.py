"""What finalizers raise while we have the collector run: it must not fail whichever test comes next.

Since 8.4 pytest keeps such exceptions until it next looks, and where warnings are errors they then
fail the test that it is at. Our collection comes when a test is over, and what it frees may be
older than that test: these errors wait for the end of the run, where pytest collects itself.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import unraisableexception

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HeldErrors"]

_KEY = getattr(unraisableexception, "unraisable_exceptions", None)


class HeldErrors:
    """Keeps the errors of our collections apart.

    Args:
        config: pytest keeps its own there.
    """

    def __init__(self, config: pytest.Config) -> None:
        """Hold none."""
        self._stash = config.stash
        self._held: list[Any] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Warn of what comes up inside, with the test that is being judged; hold it if it is an error."""
        waiting = self._waiting()
        before = len(waiting) if waiting is not None else 0
        try:
            yield
        finally:
            new = []
            while waiting is not None and len(waiting) > before:
                new.append(waiting.pop())
            self._held += [one for one in reversed(new) if not _is_warned_of(one)]

    def give_back(self) -> None:
        """Let pytest have them, at the end of the run."""
        waiting = self._waiting()
        if waiting is not None:
            waiting.extend(self._held)
        self._held.clear()

    def _waiting(self) -> Any:
        return self._stash.get(_KEY, None) if _KEY is not None else None


def _is_warned_of(error: Any) -> bool:
    message = getattr(error, "msg", None)  # none of an error in pytest's own hook
    if not isinstance(message, str):
        return False
    try:
        warnings.warn(pytest.PytestUnraisableExceptionWarning(message), stacklevel=2)
    except pytest.PytestUnraisableExceptionWarning:
        return False
    return True
