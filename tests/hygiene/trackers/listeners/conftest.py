"""The started tracker that most tests of the kind `listeners` look through."""

from __future__ import annotations

import logging
import logging.config
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.trackers.listeners import (
    ListenerTracker,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
from hygiene.trackers.listeners.probe import LOGGER, Probe


@pytest.fixture
def probe() -> Iterator[Probe]:
    logging.getLogger(LOGGER)
    probe = Probe(ListenerTracker())
    yield probe
    probe.tracker.stop()
    probe.recorder.stop()
    logger = logging.getLogger(LOGGER)
    logger.handlers.clear()
    logger.filters.clear()
