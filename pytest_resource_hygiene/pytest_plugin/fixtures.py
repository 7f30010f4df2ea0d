"""The fixture ``resource_hygiene``: checks in the middle of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_resource_hygiene.pytest_plugin.options import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.api import Action, Snapshot, no_leaks
    from pytest_resource_hygiene.leak import Leak

__all__ = ["MidTest"]

_MARKING = "resource_hygiene_mid_test"
_KEY: pytest.StashKey[Any] = pytest.StashKey()


class MidTest:
    """Remembers what is open when the test begins its work."""

    def __init__(self, item: pytest.Item) -> None:
        """Belong to that item."""
        self._item = item
        self._before: Any = None

    def __enter__(self) -> Self:
        """Take the first snapshot."""
        self._item.stash[_KEY] = self
        manager = self._item.config.pluginmanager
        if not manager.has_plugin(_MARKING):
            manager.register(_MarksBeforeCall(), _MARKING)
        self._before = self._snapshot()
        return self

    def __exit__(self, *exc: object) -> None:
        """Let go."""
        self._before.close()
        del self._item.stash[_KEY]

    def _snapshot(self) -> Snapshot:
        from pytest_resource_hygiene.api import Snapshot

        return Snapshot(keepers=self._values_of_fixtures)

    def _values_of_fixtures(self) -> list[Any]:
        """Return what fixtures keep that will end it: a pool of the session may grow here."""
        watcher: Any = self._item.config.pluginmanager.get_plugin("resource_hygiene_watcher")
        checker = watcher.checker if watcher is not None else None
        fixtures = list(checker.fixtures) if checker is not None else []
        kept = [value for one in fixtures if one.value is not None for value in one.value()]
        arguments: dict[str, Any] = getattr(self._item, "funcargs", {})
        return [*kept, *arguments.values()]

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
        self._before.close()
        self._before = self._snapshot()

    def no_leaks(
        self,
        kinds: Iterable[str] | None = None,
        action: Action = "raise",
        *,
        grace: float | None = None,
    ) -> no_leaks:
        """Return a context that checks what happens inside.

        Args:
            kinds: as of `pytest_resource_hygiene.no_leaks`.
            action: the same.
            grace: seconds for suspects to go; None for what the run's settings say.
        """
        from pytest_resource_hygiene.api import no_leaks

        keepers = self._values_of_fixtures
        return no_leaks(kinds=kinds, action=action, grace=self._seconds(grace), keepers=keepers)


class _MarksBeforeCall:
    """Begins anew when all fixtures are set up; registered with the first test that checks."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        checker = item.stash.get(_KEY, None)
        if checker is not None:
            checker.mark()
