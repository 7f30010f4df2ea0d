"""Memory (off by default): grows run by run; seen with ``--resource-hygiene-repeat=3``."""

from __future__ import annotations

from collections import deque

SESSIONS = []
LATEST = deque(maxlen=1)


def test_remembers_every_session():
    SESSIONS.append([object() for _ in range(500)])


def test_remembers_the_latest_session():
    LATEST.append([object() for _ in range(500)])
