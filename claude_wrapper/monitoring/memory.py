"""How much memory is in use, as the objects see it and as the system sees it."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

import psutil

__all__ = ["MemoryReading", "read_memory", "trim"]

# The mean size of what the small-object allocator hands out; only differences matter.
BLOCK_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReading:
    """Bytes: `live` is what objects occupy, `rss` what the process has from the system.

    After a burst the two differ: freed memory often stays with the process. Only live memory that
    grows, or resident memory that goes on growing, is a leak.
    """

    live: int
    rss: int


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(  # type: ignore[mutable-override]  # never changed
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def read_memory() -> MemoryReading:
    """A reading of this moment; well under a millisecond."""
    live = sys.getallocatedblocks() * BLOCK_BYTES + _native_live()
    return MemoryReading(live=live, rss=int(psutil.Process().memory_info().rss))


def trim() -> bool:
    """Give free memory back to the system; False where the C library cannot do that.

    It takes up to some tens of milliseconds, without holding the interpreter's lock.
    """
    function = _libc_function("malloc_trim")
    return bool(function is not None and function(0))


def _native_live() -> int:
    function = _libc_function("mallinfo2")
    if function is None:
        return 0
    function.restype = _Mallinfo2
    facts = function()
    return int(facts.uordblks) + int(facts.hblkhd)


def _libc_function(name: str) -> Any:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), name, None)
