"""The documents say what is so: settings, tests that are cited, and the life of the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from claude_wrapper.settings.docs import refreshed

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CITED = re.compile(
    r"`((?:tests|claude_wrapper|benchmarks|pytest_resource_hygiene)/[\w/.]+)(?:::(\w+))?`"
)
ROWS = 25


def test_the_table_of_settings_is_current() -> None:
    """Refresh it with `python -m claude_wrapper.settings.docs docs/wrapper.md`."""
    text = (DOCS / "wrapper.md").read_text(encoding="utf-8")
    assert refreshed(text) == text


@pytest.mark.parametrize("name", ["wrapper-contract.md", "wrapper-guarantees.md", "wrapper.md"])
def test_what_is_cited_exists(name: str) -> None:
    for path, test in CITED.findall((DOCS / name).read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path
        if test:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"\b(?:def|class) {test}\b|^{test} =", source, re.MULTILINE), test


def test_the_contract_has_every_row_with_code_and_test_or_says_that_it_is_missing() -> None:
    lines = (DOCS / "wrapper-contract.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if re.match(r"\| \d+ ", line)]
    assert [int(row[0].strip("| ")) for row in rows] == list(range(1, ROWS + 1))
    for row in rows:
        assert len(row) == 5
        assert "`claude_wrapper/" in row[2] or "missing" in row[2], row
        assert "`tests/" in row[3] or "missing" in row[3], row


def test_links_between_the_documents_lead_somewhere() -> None:
    for path in DOCS.glob("wrapper*.md"):
        for target in re.findall(r"\]\(([\w./-]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
