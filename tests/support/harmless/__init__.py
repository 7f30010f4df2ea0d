"""Things that look like leaks and are none: each a small suite that must stay as it is."""

from __future__ import annotations

from support.harmless.case import Harmless
from support.harmless.fixtures import FIXTURES
from support.harmless.loops import LOOPS
from support.harmless.runners import RUNNERS
from support.harmless.things import THINGS
from support.harmless.workers import WORKERS

__all__ = ["HARMLESS", "Harmless"]

HARMLESS = (*WORKERS, *LOOPS, *FIXTURES, *RUNNERS, *THINGS)
