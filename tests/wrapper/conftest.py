"""Fixtures of all wrapper tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The server is an asyncio program; its tests run on nothing else."""
    return "asyncio"
