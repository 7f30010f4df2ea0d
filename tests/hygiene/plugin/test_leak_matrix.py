"""Every kind of leak in every place of a suite: found there when left, silent when closed.

One inner run serves all kinds of a place, once with leaks and once with everything closed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.inner import Project, Run, brief
from support.leaks import END, LEAKS, PLACES, Expected, Leak, Place, expected_of, file_name, file_of

if TYPE_CHECKING:
    from collections.abc import Callable

_LOUD = ("--resource-hygiene-severity=unclosed: fail",
         "--resource-hygiene-severity=native_threads: fail")  # fmt: skip


# Before 8.4, pytest itself puts this hook back after each phase of a test: nothing is left.
_RESTORED = {"thread_excepthook"} if pytest.version_tuple < (8, 4) else set()


def _fits(place: Place, leak: Leak) -> bool:
    return leak.name not in _RESTORED and (place.loop or not leak.loop)


_CASES = [
    pytest.param(place, leak, id=f"{place.name}-{leak.name}")
    for place in PLACES
    for leak in LEAKS
    if _fits(place, leak)
]
_PLACES = [pytest.param(place, id=place.name) for place in PLACES]


def _run(folder: Callable[[str], object], place: Place, *, closed: bool) -> tuple[Project, Run]:
    project = Project(folder(place.name))  # type: ignore[arg-type]
    for leak in LEAKS:
        if _fits(place, leak):
            project.write(file_name(leak), file_of(place, leak, closed=closed))
    file, _, name = END.partition("::")
    project.write(file, f"def {name}(): pass\n")
    return project, project.run(*_LOUD, "-q", grace=0.06, plugins=place.plugins)


@pytest.fixture(scope="module")
def leaking(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Place], tuple[Project, Run]]:
    """Run all leaks of a place, once."""
    return _once(tmp_path_factory, closed=False)


@pytest.fixture(scope="module")
def closing(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Place], tuple[Project, Run]]:
    """Run a place with everything closed, once."""
    return _once(tmp_path_factory, closed=True)


def _once(
    factory: pytest.TempPathFactory, *, closed: bool
) -> Callable[[Place], tuple[Project, Run]]:
    done: dict[str, tuple[Project, Run]] = {}

    def run(place: Place) -> tuple[Project, Run]:
        if place.name not in done:
            done[place.name] = _run(partial(factory.mktemp), place, closed=closed)
        return done[place.name]

    return run


@pytest.mark.parametrize(("place", "leak"), _CASES)
def test_a_leak_is_found_where_it_was_made(
    leaking: Callable[[Place], tuple[Project, Run]], place: Place, leak: Leak
) -> None:
    """A leak is one finding that names kind, owner, tests and the line that made it."""
    project, run = leaking(place)
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


@pytest.mark.parametrize("place", _PLACES)
def test_leaks_fail_the_run_and_are_counted_apart(
    leaking: Callable[[Place], tuple[Project, Run]], place: Place
) -> None:
    """A run with leaks exits with 1 and counts leaked tests in its last line."""
    _, run = leaking(place)

    assert run.code == 1, run.text
    assert run.outcomes.get("leaked", 0) == run.summary["leaked_tests"]
    assert "failed" not in run.outcomes, run.text
    assert "error" not in run.text.lower().replace("on_error", ""), run.text


@pytest.mark.parametrize("place", _PLACES)
def test_what_is_closed_is_not_a_leak(
    closing: Callable[[Place], tuple[Project, Run]], place: Place
) -> None:
    """The same things properly closed leave a clean run; only imports may be worth a note."""
    _, run = closing(place)

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
