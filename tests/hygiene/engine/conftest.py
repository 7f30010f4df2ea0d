"""Fixtures of the checker's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hygiene.engine.bench import Bench, Handles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """A function that makes benches; they are cleared in the end."""
    made: list[Bench] = []

    def bench(tracker: Handles | None = None, **settings: Any) -> Bench:
        made.append(Bench(tracker or Handles(), **settings))
        return made[-1]

    yield bench
    for one in made:
        one.checker.stop()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """One as it is by default."""
    return make_bench()
