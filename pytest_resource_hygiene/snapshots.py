"""Two moments of a process compared, such as before start-up and after shutdown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.engine.suspects.settle import describe
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.grace import VALID_GRACE, is_grace
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.trackers import built_in_trackers, default_kinds, kind_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.leak import Leak

__all__ = ["Snapshot", "check_grace", "choose", "leaks_since", "snapshot"]


_REPEATED = "memory"


class Snapshot:
    """What the process held at one moment, and the watch that goes on since.

    Use it as a context manager, or `close` it, to unhook the watch.
    """

    def __init__(
        self,
        kinds: Iterable[str] | None = None,
        *,
        grace: float = 0.5,
        keepers: Callable[[], Iterable[Any]] = tuple,
    ) -> None:
        """Look, and go on recording.

        Args:
            kinds: kinds to watch; None for all that are on by default. What is found of a kind that is
                named is a failure, also of those that are notes by default.
            grace: seconds for suspects to go, unless `leaks_since` is told otherwise.
            keepers: returns objects that live on, such as pools; what they keep is no leak.

        Raises:
            SettingsError: an unknown kind, or a grace period that cannot be waited.
        """
        chosen = choose(kinds)
        check_grace(grace)
        # Whoever names a kind wants to hear of it, also of one that is off by default, or a note.
        severity = dict.fromkeys(chosen, "fail") if kinds is not None else {}
        self._checker = LeakChecker(
            built_in_trackers(chosen),
            EngineSettings(severity=severity, grace=grace, restore=False),
        )
        self._checker.start(canary=False)
        self._checker.session.value = lambda: [*_running_loops(), *keepers()]
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
            check_grace(grace)
            self._checker.settings = self._checker.settings._replace(grace=grace)
        found = self._checker.close(self._owner, everything=True)
        self._owner = self._new_owner()
        return tuple(found)

    def has_news(self) -> bool:
        """Return whether something appeared since the snapshot and is there now, without waiting."""
        ledger = self._checker.ledger
        ledger.look_at(ledger.shelves, self._owner, "")
        news = list(self._owner.held)
        session = self._checker.session
        keepers = list(session.value()) if news and session.value is not None else []
        if not keepers:
            return bool(news)
        objects = [ledger.kept_as(entry) for entry in news]
        kept = reachable(keepers, set(map(id, objects)), (), loops=set(map(id, keepers)))
        return any(id(obj) not in kept for obj in objects)

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


def _running_loops() -> list[Any]:
    """Return the loop from within which we are asked: it outlives us, with the workers it keeps."""
    asyncio = sys.modules.get("asyncio")
    loop = asyncio.events._get_running_loop() if asyncio is not None else None  # noqa: SLF001
    return [loop] if loop is not None else []


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


def check_grace(grace: float) -> None:
    """Refuse a grace period that cannot be waited.

    Raises:
        SettingsError: in words.
    """
    if not is_grace(grace):
        raise SettingsError(f"grace {grace!r} is not valid; expected {VALID_GRACE}.")


def choose(kinds: Iterable[str] | None) -> frozenset[str]:
    """Return the kinds to watch: those named, or all that are on by default.

    Raises:
        SettingsError: an unknown kind, or none at all.
    """
    known = kind_names()
    if kinds is None:
        return default_kinds()
    chosen = frozenset([kinds] if isinstance(kinds, str) else kinds)
    if not chosen:
        raise SettingsError("no kinds to watch. Name some, or leave `kinds` out for the default.")
    for kind in sorted(chosen):
        if kind not in known:
            raise SettingsError(f"unknown kind {kind!r}. Kinds: {', '.join(known)}.")
    if _REPEATED in chosen:
        raise SettingsError(
            f"kind {_REPEATED!r} is judged by repetition only, and two moments tell nothing about it. "
            "Leave it out here, and run the test with --resource-hygiene-repeat."
        )
    return chosen
