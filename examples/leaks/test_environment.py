"""Environment (off by default): a variable that the next test will find."""

from __future__ import annotations

import os


def test_leaks_a_variable():
    os.environ["SHOP_MODE"] = "test"


def test_has_its_variable_removed(monkeypatch):
    monkeypatch.setenv("SHOP_MODE", "test")
