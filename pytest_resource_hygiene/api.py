"""The engine for scripts and servers: no test runner needed.

``no_leaks`` checks a block or a function. ``snapshot`` and ``leaks_since`` compare two moments that
lie further apart, such as before start-up and after shutdown.
"""

from __future__ import annotations

from pytest_resource_hygiene.checked import Action, no_leaks, raise_leaks
from pytest_resource_hygiene.snapshots import Snapshot, leaks_since, snapshot

__all__ = ["Action", "Snapshot", "leaks_since", "no_leaks", "raise_leaks", "snapshot"]
