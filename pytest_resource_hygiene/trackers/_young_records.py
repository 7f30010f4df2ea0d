"""Records that another thread has just made: what they tell of may not be there yet.

An event is raised before its call, so a server's thread may be between the two when a setup ends and
everything is listed. A record that was dropped then would leave its socket to whoever comes next.
"""

from __future__ import annotations

import _thread
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable, Mapping

__all__ = ["YoungRecords"]

_PARENT = 3  # in a `Site` and in a `Creation`: how the thread was made, if it is not the main one


class YoungRecords:
    """Chooses the records that are kept for one more round."""

    def __init__(self) -> None:
        """Have kept none."""
        self._kept: list[Any] = []  # the records themselves, so that their ids stay theirs

    def among(self, records: Iterable[Any]) -> list[Any]:
        """Return those of other threads that were not kept already."""
        kept = {id(one) for one in self._kept}
        self._kept = [one for one in records if one[_PARENT] is not None and id(one) not in kept]
        return self._kept

    def without_kept(self, records: list[Any]) -> list[Any]:
        """Leave out those that were kept, if that is not all."""
        kept = {id(one) for one in self._kept}
        return [one for one in records if id(one) not in kept] or records

    def keys_to_drop(self, records: Mapping[Any, Any]) -> list[Any]:
        """Return the keys of all that are not young."""
        made = list(records.items())  # to which other threads may add meanwhile
        young = {id(one) for one in self.among(one for _, one in made)}
        return [key for key, one in made if id(one) not in young]

    def drop_others(self, records: deque[Any], count: int) -> None:
        """Drop the first records but the young; other threads may add to them at any time."""
        count = min(count, len(records))
        if count == len(records) and not _thread._count():  # noqa: SLF001 - there is no other
            self._kept = []
            records.clear()
            return
        taken = list(islice(iter(records.popleft, None), count))  # no record is None
        records.extendleft(reversed(self.among(taken)))
