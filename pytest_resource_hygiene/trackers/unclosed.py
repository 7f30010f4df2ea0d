"""Objects that were dropped without being closed: their ``ResourceWarning``.

The warning is issued where the object happens to be freed, which may be a random later test, and
is ignored by default. So this listens among the warning filters: an entry that never matches, but
is asked about each warning, and sees it whatever the filters behind it decide. Nothing about which
warnings are shown, collected or turned into errors changes. The object is still whole at that
moment, so its creation record can be found: the one who made it is charged.
"""

from __future__ import annotations

import re
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.tracker import Captured, Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._descriptors import Descriptors, fileno
from pytest_resource_hygiene.trackers._warning_spy import make_spy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder

# Compiled when the first warning comes: a clean run does not need them.
_FD = r"\bfd=(\d+)"
_NAME = r"\bname=(?:'([^']*)'|(\d+))"
_MAX_KEPT = 1_000


def put_first(names: dict[str, Any], name: str, item: object, /) -> None:
    """Have the list of that name begin with an item, and hold it once."""
    entries: list[object] = names[name]
    if entries and entries[0] is item:
        return
    entries[:] = [item, *(one for one in entries if one is not item)]


if not TYPE_CHECKING and speedups is not None:
    put_first = speedups.put_first


class UnclosedTracker(Tracker):
    """Dropped objects by the text of their warning and the record of their making."""

    kind = "unclosed"
    title = "object dropped without being closed"
    severity: Literal["fail", "note", "off"] = "note"
    rank = 1

    def __init__(self) -> None:
        """Wait for `start`."""
        self._seen: list[Captured] = []
        self._count = 0
        self._recorder: Recorder | None = None
        self._table: Descriptors | None = None
        self._filter = make_spy(self.saw)
        # Each test may begin with filters of its own, which would be asked before ours.
        self.listen = partial(put_first, vars(warnings), "filters", self._filter)

    def start(self, recorder: Recorder) -> None:
        """Take a place among the filters."""
        self._recorder = recorder
        self._table = recorder.service(Descriptors)
        recorder.service(AsyncioTable)
        self.listen()

    def stop(self) -> None:
        """Leave the filters."""
        filters: Any = warnings.filters
        filters[:] = [one for one in filters if one is not self._filter]

    def saw(self, text: str) -> None:
        """Remember one warning; called while the object is being freed."""
        if self._recorder is None or not self._recorder.started or len(self._seen) > _MAX_KEPT:
            return
        self._count += 1
        self._recorder.stir()
        creation = self._made_by(text) or self._recorder.creation(None)._replace(certain=False)
        self._seen.append(Captured(key=("unclosed", self._count), value=text, creation=creation))

    def _made_by(self, text: str) -> Creation | None:
        assert self._table is not None
        assert self._recorder is not None
        number = re.search(_FD, text)
        name = re.search(_NAME, text)
        if number:
            for record in reversed(list(self._table.sockets)):
                if fileno(record[4]()) == int(number[1]):
                    return Creation(*record)
            return self._known(int(number[1]), "") or self._latest_gone()
        if name and name[1] is not None:
            for record in reversed(list(self._table.files.records)):
                if str(record[4]) == name[1]:
                    creation = Creation(*record)
                    if not self._recorder.is_foreign(creation):  # who shows a source closes it
                        return creation
            return self._known(-1, name[1])
        if name:
            made = self._table.made.get(int(name[2]))
            return made[0] if made else self._known(int(name[2]), "")
        return None

    def _latest_gone(self) -> Creation | None:
        """Return the record of the latest socket that is gone, closed or not.

        The collector clears weak references before it finalizes: which one it is, is not known.
        """
        assert self._table is not None
        gone = [record for record in list(self._table.sockets) if record[4]() is None]
        if not gone:
            return None
        places = {record[0] for record in gone}
        return Creation(*gone[-1])._replace(certain=len(places) == 1)

    def _known(self, fd: int, path: str) -> Creation | None:
        """Ask the ledger: a descriptor that was open at an earlier look has its record there."""
        assert self._recorder is not None
        return self._recorder.creation_of(fd, path)

    def reading(self) -> object:
        """Return the number of warnings seen."""
        return self._count

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask nothing: each warning is heard."""
        return ()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List nothing: what was dropped is gone."""
        return {}

    def drain(self) -> Collection[Captured]:
        """Return the warnings seen since the last call."""
        seen, self._seen = self._seen, []
        return seen

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Repeat the warning, without what differs from run to run."""
        text = " ".join(str(value).split())
        return Description(
            summary=f"dropped without being closed: {text}",
            target=re.sub(r"0x[0-9a-f]+|\d+", "N", text),
            details={"warning": text},
            hint="close it before the last reference goes, or use it in a `with` block",
        )

    def specimen(self) -> AbstractContextManager[object] | None:
        """Prove nothing at start: a warning cannot be taken back."""
        return None


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return UnclosedTracker()
