"""The fixture ``resource_hygiene``: checks in the middle of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pytest_resource_hygiene.pytest_plugin.options import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_resource_hygiene.api import Action, no_leaks
    from pytest_resource_hygiene.leak import Leak

__all__ = ["MidTest"]


class MidTest:
    """Remembers what is open when the test begins its work."""

    def __init__(self, item: pytest.Item) -> None:
        """Belong to that item."""
        self._item = item
        self._before: Any = None

    def __enter__(self) -> Self:
        """Take the first snapshot."""
        from pytest_resource_hygiene.api import snapshot

        self._before = snapshot()
        return self

    def __exit__(self, *exc: object) -> None:
        """Let go."""
        self._before.close()

    def leaks(self, *, grace: float | None = None) -> tuple[Leak, ...]:
        """Return what appeared since the beginning, or since `mark`, and is still there.

        Args:
            grace: seconds to wait for it to go; None for those of ``resource_hygiene_grace``.
        """
        from pytest_resource_hygiene.api import leaks_since

        return leaks_since(self._before, grace=self._seconds(grace))

    def _seconds(self, grace: float | None) -> float:
        configured: float = value_of(self._item.config, "grace")
        return configured if grace is None else grace

    def check(self, *, grace: float | None = None) -> None:
        """Fail the test here if anything is left.

        Args:
            grace: as in `leaks`.

        Raises:
            LeaksFoundError: says what, and how to close it.
        """
        from pytest_resource_hygiene.api import raise_leaks

        raise_leaks(self.leaks(grace=grace))

    def mark(self) -> None:
        """Take what is open now as given."""
        from pytest_resource_hygiene.api import snapshot

        self._before.close()
        self._before = snapshot()

    def no_leaks(self, kinds: Iterable[str] | None = None, action: Action = "raise") -> no_leaks:
        """Return a context that checks what happens inside."""
        from pytest_resource_hygiene.api import no_leaks

        return no_leaks(kinds=kinds, action=action, grace=self._seconds(None))
