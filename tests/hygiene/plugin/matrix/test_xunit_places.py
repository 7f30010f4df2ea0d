"""Every kind of leak in xunit functions and in test cases of unittest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.matrix import cases, check_closed, check_counts, check_found, places

if TYPE_CHECKING:
    from support.leaks import Leak
    from support.matrix import PlaceRuns
    from support.places import Place


def _is_mine(place: Place) -> bool:
    return place.name.partition("_")[0] in {"xunit", "unittest"}


@pytest.mark.parametrize(("place", "leak"), cases(_is_mine))
def test_a_leak_is_found_where_it_was_made(runs: PlaceRuns, place: Place, leak: Leak) -> None:
    """A leak is one finding that names kind, owner, tests and the line that made it."""
    check_found(runs, place, leak)


@pytest.mark.parametrize("place", places(_is_mine))
def test_leaks_fail_the_run_and_are_counted_apart(runs: PlaceRuns, place: Place) -> None:
    """A run with leaks exits with 1 and counts leaked tests in its last line."""
    check_counts(runs, place)


@pytest.mark.parametrize("place", places(_is_mine))
def test_what_is_closed_is_not_a_leak(runs: PlaceRuns, place: Place) -> None:
    """The same things properly closed leave a clean run; only imports may be worth a note."""
    check_closed(runs, place)
