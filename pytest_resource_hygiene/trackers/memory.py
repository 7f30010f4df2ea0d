"""Memory that grows with every repetition of a test: ``--resource-hygiene-repeat``.

One look says nothing: caches fill, code is specialised. So this kind lists no resources; it only
measures, and the repetition judges: after a warm-up, every single run has to grow.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any, Literal

from pytest_resource_hygiene.tracker import Moment, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping


class MemoryTracker(Tracker):
    """Blocks of Python's allocator."""

    kind = "memory"
    title = "memory"
    severity: Literal["fail", "note", "off"] = "off"
    rank = 0

    def reading(self) -> object:
        """Return nothing that changes."""
        return None

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask nothing."""
        return ()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List nothing."""
        return {}


def allocated_blocks() -> int:
    """Return how many blocks Python's allocator has given out, after a full collection."""
    gc.collect()
    return sys.getallocatedblocks()


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return MemoryTracker()
