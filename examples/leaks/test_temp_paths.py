"""Temporary paths (off by default): left on disk when the test is over."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

LEFT = []


@pytest.fixture(scope="module", autouse=True)
def sweep():
    """Remove the leak of this example in the end: not even an example leaves rubbish behind."""
    yield
    for path in LEFT:
        path.unlink()


def test_leaves_a_file_on_disk():
    with tempfile.NamedTemporaryFile(suffix=".csv", delete=False) as file:
        LEFT.append(Path(file.name))


def test_removes_its_file():
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        assert Path(file.name).exists()
