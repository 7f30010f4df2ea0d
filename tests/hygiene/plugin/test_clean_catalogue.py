"""Harmless things: a suite with any of them, and nothing else, stays green and fast."""

from __future__ import annotations

import pytest
from support.harmless import HARMLESS, Harmless
from support.inner import Project, Run, brief

_CASES = [pytest.param(one, id=one.name) for one in HARMLESS]


def _run(project: Project, case: Harmless, *args: str) -> Run:
    project.write("test_harmless.py", case.file())
    for name, text in case.more:
        project.write(name, text)
    return project.run(*case.args, *args, plugins=case.plugins, grace=None)


@pytest.mark.parametrize("case", _CASES)
def test_a_harmless_thing_fails_nothing(project: Project, case: Harmless) -> None:
    """What goes by itself, is kept on purpose, or is somebody else's never fails a test."""
    run = _run(project, case)

    assert [brief(one) for one in run.failing] == [], run.text
    assert run.code == 0, run.text
    assert not {"leaked", "failed", "error", "errors"} & set(run.outcomes), run.text
    assert run.summary["leaked_tests"] == 0


@pytest.mark.parametrize("case", [case for case in _CASES if not case.values[0].waits])  # type: ignore[union-attr]
def test_a_clean_suite_costs_no_waiting(project: Project, case: Harmless) -> None:
    """Where nothing has to go by itself, nothing is waited for and the collector never runs."""
    run = _run(project, case)

    assert run.summary["gc_collections"] == 0, run.out
    assert [brief(one) for one in run.findings if one["waited_seconds"] > 0] == []
