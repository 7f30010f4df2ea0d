"""The inner runs that the tests of one file share."""

from __future__ import annotations

import pytest
from support.matrix import PlaceRuns


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> PlaceRuns:
    """The inner runs of the places of a file."""
    return PlaceRuns(tmp_path_factory)
