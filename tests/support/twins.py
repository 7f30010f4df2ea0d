"""Modules of which a part was compiled, as they are where it was not."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from pytest_resource_hygiene import compiled

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

__all__ = ["in_python"]


def in_python(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load a module anew, as it is where nothing was compiled."""
    monkeypatch.setattr(compiled, "speedups", None)
    spec = importlib.util.spec_from_file_location(
        f"{module.__name__}_in_python", str(module.__file__)
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
