"""Where a service is pointed to: a file of the project, by a path that it knows."""

from __future__ import annotations

import pytest
from support.reports import finding

from pytest_resource_hygiene.reports.leaks import leaks_of, location_of


def _origin(file: str, line: int = 7) -> dict[str, object]:
    return {"file": file, "line": line, "function": "f", "source": "recorded"}


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("src/app.py", ("src/app.py", 7)),
        ("src\\app.py", ("src/app.py", 7)),
        ("/venv/site-packages/lib.py", ("t.py", 1)),
        ("C:\\venv\\lib.py", ("t.py", 1)),
        ("../beside/app.py", ("t.py", 1)),
        ("<string>", ("t.py", 1)),
    ],
)
def test_what_lies_outside_is_shown_at_the_test(file: str, shown: tuple[str, int]) -> None:
    """Services refuse a path that is absolute, leads upwards, or is none."""
    assert location_of(finding(nodeid="t.py::test_x", origin=_origin(file))) == shown


def test_what_was_made_by_nobody_knows_whom_is_at_the_test_or_nowhere() -> None:
    """As at the end of a session. Lines are counted from 1."""
    assert location_of(finding(nodeid="t.py::test_x", origin=None)) == ("t.py", 1)
    assert location_of(finding(nodeid="", origin=None)) is None
    assert location_of(finding(origin=_origin("a.py", 0))) == ("a.py", 1)


def test_words_that_would_act_are_shown_instead() -> None:
    """On a terminal, in the log of a job: neither colours nor lines nor the direction of writing."""
    name = "\x1b[31m\n::error::forged\u202e"
    leak = leaks_of([
        finding(summary=name, owner={"type": "test", "name": name, "scope": "function"},
                origin=_origin(name)),
    ])[0]  # fmt: skip

    for text in (leak.summary, leak.owner, leak.place):
        assert r"\x1b[31m\n::error::forged\u202e" in text
