"""Harmless things: a suite with any of them, and nothing else, stays green and fast."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from support.harmless import HARMLESS, Harmless
from support.inner import Project, Run, brief

if TYPE_CHECKING:
    from collections.abc import Callable

_CASES = [pytest.param(one, id=one.name) for one in HARMLESS]


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Harmless], Run]:
    """Runs a case, once for all tests that ask for it."""

    @functools.cache
    def run(case: Harmless) -> Run:
        project = Project(tmp_path_factory.mktemp("harmless"))
        project.write("test_harmless.py", case.file())
        for name, text in case.more:
            project.write(name, text)
        return project.run(*case.args, plugins=case.plugins, grace=None)

    return run


@pytest.mark.parametrize("case", _CASES)
def test_a_harmless_thing_fails_nothing(run_of: Callable[[Harmless], Run], case: Harmless) -> None:
    """What goes by itself, is kept on purpose, or is somebody else's never fails a test."""
    run = run_of(case)

    assert [brief(one) for one in run.failing] == [], run.text
    assert run.code == 0, run.text
    assert not {"leaked", "failed", "error", "errors"} & set(run.outcomes), run.text
    assert run.summary["leaked_tests"] == 0


@pytest.mark.parametrize("case", [case for case in _CASES if not case.values[0].waits])  # type: ignore[union-attr]
def test_a_clean_suite_costs_no_waiting(run_of: Callable[[Harmless], Run], case: Harmless) -> None:
    """Where nothing has to go by itself, nothing is waited for and the collector never runs."""
    run = run_of(case)

    assert run.summary["gc_collections"] == 0, run.out
    assert [brief(one) for one in run.findings if one["waited_seconds"] > 0] == []
