"""MaxListeners: too many listeners for one event of one emitter, whoever added them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.inventory.entries import Entry
from pytest_resource_hygiene.tracker import Description

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["Limits"]


class Limits:
    """Reports each crossing once, and again only when the number has doubled since."""

    def __init__(self, limit: int) -> None:
        """Allow up to ``limit`` listeners."""
        self._limit = limit
        self._reported: dict[tuple[str, str], int] = {}

    def exceeded(self, ledger: Ledger, owner: Owner, nodeid: str) -> list[Entry]:
        """Return an entry for each emitter and event that has crossed the limit."""
        found = []
        for shelf in ledger.changed:
            if shelf.broken:
                continue
            try:
                counts = list(shelf.tracker.iter_limits())
            except Exception as error:  # noqa: BLE001
                ledger.report(shelf.tracker, "counting", error)
                continue
            for emitter, event, count, creation in counts:
                if not self._is_news(emitter, event, count):
                    continue
                entry = Entry(
                    shelf.tracker,
                    ("exceeded", emitter, event),
                    count,
                    owner=owner,
                    creation=creation,
                    change="exceeded",
                    made_during=nodeid,
                )
                named = f"{event} listeners" if event else "listeners"
                entry.description = Description(
                    summary=f"{count} {named} added to [{emitter}], limit {self._limit}",
                    target=f"{emitter} {event}".rstrip(),
                    details={"emitter": emitter, "event": event, "listeners": count,
                             "limit": self._limit},
                    hint="remove each listener when its component stops, "
                    "or raise resource_hygiene_max_listeners if so many are meant",
                )  # fmt: skip
                found.append(entry)
        return found

    def _is_news(self, emitter: str, event: str, count: int) -> bool:
        key = emitter, event
        if count <= self._limit:
            self._reported.pop(key, None)
            return False
        before = self._reported.get(key)
        news = before is None or count >= 2 * before
        if news:
            self._reported[key] = count
        return news
