"""The newest measurements in a ring that is as large at its first one as it will ever be."""

from __future__ import annotations

from array import array

__all__ = ["SampleRing"]


class SampleRing:
    """Times and values in order; the newest one pushes out the oldest.

    Plain numbers in arrays, not an object for each: memory that fills up over hours looks like a
    leak to whoever watches the server, and the garbage collector need not visit them.

    Args:
        size: Most measurements.
    """

    __slots__ = ("_count", "_first", "_oks", "_size", "_times", "_values")

    def __init__(self, size: int) -> None:
        self._size = size
        self._times = array("d", bytes(8 * size))
        self._values = array("d", bytes(8 * size))
        self._oks = bytearray(size)
        self._first = self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, at: float, value: float, *, ok: bool) -> None:
        """Add one; times never go back."""
        index = (self._first + self._count) % self._size
        self._times[index] = at
        self._values[index] = value
        self._oks[index] = ok
        if self._count < self._size:
            self._count += 1
        else:
            self._first = (self._first + 1) % self._size

    def drop_until(self, since: float) -> int:
        """Forget what is not newer than `since`; how many those were."""
        dropped = 0
        while self._count and self._times[self._first] <= since:
            self._first = (self._first + 1) % self._size
            self._count -= 1
            dropped += 1
        return dropped

    def newer_than(self, since: float) -> list[tuple[float, bool]]:
        """Value and success of what was measured after `since`, oldest first."""
        places = ((self._first + offset) % self._size for offset in range(self._count))
        return [
            (self._values[place], bool(self._oks[place]))
            for place in places
            if self._times[place] > since
        ]
