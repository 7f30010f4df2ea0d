"""Unclosed: dropped without being closed. Gone, so a note; a failure with ``strict``."""

from __future__ import annotations

from pathlib import Path


def test_drops_an_open_file():
    assert open(__file__).readline()


def test_closes_its_file():
    assert Path(__file__).read_text(encoding="utf-8")
