"""Fixtures of several kinds' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """One that is not started: the test tells of the events."""
    recorder = Recorder()
    yield recorder
    recorder.stop()
