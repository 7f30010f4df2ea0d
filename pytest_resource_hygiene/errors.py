"""Every exception that this package raises on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_resource_hygiene.leak import Leak

__all__ = ["HygieneError", "LeaksFoundError", "SettingsError", "TrackerError"]


class HygieneError(Exception):
    """Base of all errors of this package."""


class SettingsError(HygieneError):
    """A setting, marker or declaration cannot be used as it was written.

    The text names the setting, the value, what is valid, and where it was read.
    """


class TrackerError(HygieneError):
    """A tracker failed: the fault is in the tracker, never in the code under test.

    Attributes:
        kind: that of the tracker.
        action: what it was asked for, such as ``listing``.
        cause: what it raised.
    """

    def __init__(self, kind: str, action: str, cause: BaseException) -> None:
        """Remember which tracker failed, at what, and why."""
        self.kind = kind
        self.action = action
        self.cause = cause
        super().__init__(f"tracker {kind!r} failed while {action}: {type(cause).__name__}: {cause}")


class LeaksFoundError(HygieneError, AssertionError):
    """``no_leaks(action="raise")`` found something.

    Attributes:
        leaks: what it found.
    """

    def __init__(self, text: str, leaks: Sequence[Leak]) -> None:
        """Keep the rendered text and the leaks behind it."""
        self.leaks = tuple(leaks)
        super().__init__(text)
