"""One sample a test of what is open, kept in columns: 50,000 tests must stay small.

What is counted is what the ledger holds when the test has been judged, so that the numbers agree
with the findings, and a sample costs a few look-ups instead of a listing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_resource_hygiene.engine.inventory.entries import Shelf
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger

__all__ = ["LEVELS", "Samples", "make_timeline"]

LEVELS = ("fds", "sockets", "threads", "tasks", "children", "rss_kib")
"""The names of the levels, in the order in which they are shown."""

_KIND_OF = {"fds": "fds", "sockets": "sockets", "threads": "threads", "tasks": "tasks",
            "children": "processes"}  # fmt: skip
_PLAIN = ("nodeid", "start", "duration")


class Samples:
    """The samples of one process.

    Args:
        worker: the name of the process: that of the xdist worker, or ``main``.
        ledger: what is open, by kind.
        rss: returns resident memory in KiB, or None where nobody can tell.
    """

    def __init__(self, worker: str, ledger: Ledger, rss: Callable[[], int | None]) -> None:
        """Have no sample yet."""
        self._rss = rss
        shelves = {shelf.tracker.kind: shelf for shelf in ledger.shelves}
        self._counts: list[tuple[list[int], Shelf, Callable[[Shelf], int]]] = []
        self._columns: dict[str, Any] = {"worker": worker}
        for name in _PLAIN:
            self._columns[name] = []
        for name, kind in _KIND_OF.items():
            shelf = shelves.get(kind)
            column: list[int] | None = None if shelf is None else []
            self._columns[name] = column
            if shelf is not None and column is not None:
                self._counts.append((column, shelf, _COUNT_OF.get(kind, _all)))
        self._nodeid: list[str] = self._columns["nodeid"]
        self._start: list[float] = self._columns["start"]
        self._duration: list[float] = self._columns["duration"]
        self._rss_column: list[int | None] = []
        self._columns["rss_kib"] = self._rss_column

    def take(self, nodeid: str, start: float, duration: float) -> None:
        """Take a sample when a test is over.

        Args:
            nodeid: the test.
            start: seconds since the epoch.
            duration: seconds, with setup and teardown.
        """
        self._nodeid.append(nodeid)
        self._start.append(start)
        self._duration.append(duration)
        for column, shelf, count in self._counts:
            column.append(count(shelf) if shelf.entries else 0)
        self._rss_column.append(self._rss())

    def to_dict(self) -> dict[str, Any]:
        """Return the columns, JSON-safe, as they travel from a worker to the controller."""
        return self._columns


def _all(shelf: Shelf) -> int:
    return len(shelf.entries)


def _unfinished(shelf: Shelf) -> int:
    """Count tasks that are pending: one that has ended since leaves its entry until the next look."""
    return sum(1 for entry in shelf.entries.values() if answer_of(entry.value, "done") is False)


def _alive(shelf: Shelf) -> int:
    """Count threads but those that have ended since; a raw thread has no way to say so."""
    return sum(
        1 for entry in shelf.entries.values() if answer_of(entry.value, "is_alive") is not False
    )


_COUNT_OF = {"tasks": _unfinished, "threads": _alive}


def make_timeline(parts: Iterable[Mapping[str, Any]], leaked: set[str]) -> dict[str, Any]:
    """Put the samples of all processes together, in the order in which the tests began.

    Args:
        parts: what `Samples.to_dict` returned, one of each process.
        leaked: node ids of the tests that leaked.

    Returns:
        The ``timeline`` of the document ``resource-hygiene/1``.
    """
    parts = sorted(parts, key=lambda part: str(part["worker"]))
    order = sorted(
        ((part["start"][row], number, row) for number, part in enumerate(parts)
         for row in range(len(part["nodeid"])))
    )  # fmt: skip
    first = order[0][0] if order else 0.0
    modules: dict[str, int] = {}
    tests: dict[str, list[Any]] = {name: [] for name in (
        "name", "module", "worker", "start_ms", "duration_us")}  # fmt: skip
    positions: list[int] = []
    for position, (start, number, row) in enumerate(order):
        part = parts[number]
        nodeid = part["nodeid"][row]
        module, _, name = nodeid.partition("::")
        tests["name"].append(name)
        tests["module"].append(modules.setdefault(module, len(modules)))
        tests["worker"].append(number)
        tests["start_ms"].append(round((start - first) * 1e3))
        tests["duration_us"].append(round(part["duration"][row] * 1e6))
        if nodeid in leaked:
            positions.append(position)
    return {
        "started_at": round(first, 3),
        "workers": [str(part["worker"]) for part in parts],
        "modules": list(modules),
        "tests": tests,
        "leaked": positions,
        "levels": {name: _level(name, parts, order) for name in LEVELS},
    }


def _level(
    name: str, parts: list[Mapping[str, Any]], order: list[tuple[float, int, int]]
) -> list[int | None] | None:
    """Return one level of all tests, or None if no process can see it."""
    columns = [part[name] for part in parts]
    if not any(column and any(one is not None for one in column) for column in columns):
        return None
    return [columns[number][row] if columns[number] else None for _, number, row in order]
