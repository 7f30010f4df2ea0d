"""Compares the process with what it was before the start, by the leak engine."""

from __future__ import annotations

import importlib
import logging
from typing import Any

__all__ = ["Verifier"]

logger = logging.getLogger(__name__)

ENGINE = "pytest_resource_hygiene"


class Verifier:
    """Takes a snapshot when it is made, and names what is new when asked."""

    def __init__(self) -> None:
        self._engine = _engine()
        self._before = self._engine.snapshot() if self._engine is not None else None

    def leaks(self, *, grace: float = 0.5) -> tuple[str, ...] | None:
        """What is there now and was not before; None when the engine is not installed.

        Args:
            grace: Seconds for what is just going away. Blocks up to that long.
        """
        if self._engine is None:
            return None
        return tuple(
            f"{leak.kind}: {leak.summary}"
            for leak in self._engine.leaks_since(self._before, grace=grace)
        )


def _engine() -> Any:
    try:
        engine = importlib.import_module(ENGINE)
    except ImportError:
        return None
    return engine if hasattr(engine, "leaks_since") else None
