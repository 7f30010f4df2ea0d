"""Every kind of leak in one place of a suite: found there when left, silent when closed.

One inner run serves all kinds of a place, once with leaks and once with everything closed. The places
are shared among files of tests, for xdist gives each file to one worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.inner import Project, Run, brief
from support.leaks import LEAKS, Leak
from support.places import END, PLACES, Expected, Place, expected_of, file_name, file_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlaceRuns", "cases", "check_closed", "check_counts", "check_found", "places"]

_LOUD = ("--resource-hygiene-severity=unclosed: fail",
         "--resource-hygiene-severity=native_threads: fail")  # fmt: skip


# Before 8.4, pytest itself puts this hook back after each phase of a test: nothing is left.
_RESTORED = {"thread_excepthook"} if pytest.version_tuple < (8, 4) else set()


def _fits(place: Place, leak: Leak) -> bool:
    return leak.name not in _RESTORED and (place.loop or not leak.loop)


def places(is_mine: Callable[[Place], bool]) -> list[Any]:
    """Return the places that a file of tests takes upon itself, as parameters."""
    return [pytest.param(place, id=place.name) for place in PLACES if is_mine(place)]


def cases(is_mine: Callable[[Place], bool]) -> list[Any]:
    """Return each of these places with each kind of leak that there can be."""
    return [
        pytest.param(place, leak, id=f"{place.name}-{leak.name}")
        for place in PLACES
        if is_mine(place)
        for leak in LEAKS
        if _fits(place, leak)
    ]


class PlaceRuns:
    """The inner runs, each made when the first test asks for it.

    Args:
        factory: makes a folder for each.
    """

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        """Have run nothing yet."""
        self._factory = factory
        self._done: dict[tuple[str, bool], tuple[Project, Run]] = {}

    def of(self, place: Place, *, closed: bool) -> tuple[Project, Run]:
        """Return the project of a place and its run: with leaks, or with everything closed."""
        key = place.name, closed
        if key not in self._done:
            self._done[key] = self._run(place, closed=closed)
        return self._done[key]

    def _run(self, place: Place, *, closed: bool) -> tuple[Project, Run]:
        project = Project(self._factory.mktemp(place.name))
        for leak in LEAKS:
            if _fits(place, leak):
                project.write(file_name(leak), file_of(place, leak, closed=closed))
        file, _, name = END.partition("::")
        project.write(file, f"def {name}(): pass\n")
        return project, project.run(*_LOUD, "-q", grace=0.06, plugins=place.plugins)


def check_found(runs: PlaceRuns, place: Place, leak: Leak) -> None:
    """Demand one finding that names kind, owner, tests and the line that made it."""
    project, run = runs.of(place, closed=False)
    expected = expected_of(place, leak)
    mine = [one for one in run.failing if _is_about(one, leak)]

    assert [one["kind"] for one in mine] == [leak.kind], [brief(one) for one in mine] or run.text

    finding = mine[0]

    assert finding["owner"] in _acceptable_owners(expected, leak)
    assert finding["nodeid"] == expected.nodeid
    assert finding["made_during"] == expected.made_during
    assert finding["change"] == leak.change
    assert leak.says in finding["summary"]
    assert finding["hint"]

    origin = finding["origin"]

    assert origin["file"].endswith(file_name(leak))
    if leak.recorded:
        assert origin["source"] == "recorded" or not leak.certain
        assert origin["line"] == project.line(file_name(leak), "# origin")
        assert origin["function"] == expected.function


def check_counts(runs: PlaceRuns, place: Place) -> None:
    """Demand exit status 1, and that leaked tests are counted apart in the last line."""
    _, run = runs.of(place, closed=False)

    assert run.code == 1, run.text
    assert run.outcomes.get("leaked", 0) == run.summary["leaked_tests"]
    assert "failed" not in run.outcomes, run.text
    assert "error" not in run.text.lower().replace("on_error", ""), run.text


def check_closed(runs: PlaceRuns, place: Place) -> None:
    """Demand a clean run where everything is closed; only imports may be worth a note."""
    _, run = runs.of(place, closed=True)

    assert run.code == 0, run.text
    assert [brief(one) for one in run.findings if one["owner"]["type"] != "module"] == []
    assert not {"leaked", "failed", "error", "errors"} & set(run.outcomes)


def _acceptable_owners(expected: Expected, leak: Leak) -> list[dict[str, str]]:
    """Return who may be named: without a record, a test answers for its own fixtures."""
    owners = [{"type": expected.type, "name": expected.name, "scope": expected.scope}]
    if not leak.recorded and expected.scope == "function":
        owners.append({"type": "test", "name": expected.nodeid, "scope": "function"})
    return owners


def _is_about(finding: dict[str, object], leak: Leak) -> bool:
    """Tell by all names in a finding whether it came from the file of this leak."""
    return f"test_{leak.name}.py" in str(
        [finding["origin"], finding["made_during"], finding["owner"]]
    ) or f"fix_{leak.name}'" in str(finding["owner"])
