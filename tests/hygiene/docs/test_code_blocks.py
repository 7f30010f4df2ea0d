"""Code on the pages does what the page says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.docs.pages import blocks_of, pages, shown

if TYPE_CHECKING:
    from pathlib import Path

    from support.inner import Project

_OFF = "+environment,+temp_paths,+memory"


def having(*roles: str) -> list[object]:
    return [
        pytest.param(page, id=shown(page))
        for page in pages()
        if any(block.role in roles for block in blocks_of(page))
    ]


@pytest.mark.parametrize("page", having("test"))
def test_tests_on_a_page_leak_what_it_says_and_nothing_else(page: Path, project: Project) -> None:
    """A block marked ``clean`` leaves nothing, one marked ``leaks KIND`` fails for that kind."""
    blocks = blocks_of(page)
    expected = {}
    for block in blocks:
        if block.role == "file":
            project.write(block.words, block.text)
    for number, block in enumerate(blocks):
        if block.role == "test":
            project.write(f"test_block_{number}.py", block.text)
            severity, _, kind = block.words.partition(" ")
            expected[f"test_block_{number}.py"] = (
                set()
                if severity == "clean"
                else {({"leaks": "fail", "notes": "note"}[severity], kind)}
            )

    run = project.run(f"--resource-hygiene-kinds={_OFF}", grace=0.5)

    found: dict[str, set[tuple[str, str]]] = {name: set() for name in expected}
    for one in run.findings:
        if one["severity"] in {"fail", "note"}:
            found[one["nodeid"].partition("::")[0]].add((one["severity"], one["kind"]))
    assert found == expected, run.text
    assert "failed" not in run.outcomes, run.text
    assert "error" not in run.outcomes, run.text
    assert run.code in {0, 1}, run.text


@pytest.mark.parametrize("page", having("script"))
def test_scripts_on_a_page_run(page: Path, tmp_path: Path) -> None:
    """A block marked ``script`` runs to its end without pytest."""
    for block in blocks_of(page):
        if block.role == "script":
            script = tmp_path / "script.py"
            script.write_text(block.text, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-W", "error", script], capture_output=True, text=True, check=False
            )

            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", having("ini", "toml"))
def test_settings_on_a_page_are_accepted(page: Path, project: Project) -> None:
    """A block marked ``ini`` or ``toml`` is a configuration that pytest and the plugin take."""
    project.write("test_nothing.py", "def test_nothing(): pass")
    project.write("shop/__init__.py", "")
    project.write("shop/events.py", "BUS = {}")  # the project that the pages speak of
    for block in blocks_of(page):
        if block.role == "file" and not block.words.endswith(".py"):
            project.write(block.words, block.text)
        if block.role not in {"ini", "toml"}:
            continue
        (project.path / "pytest.ini").unlink(missing_ok=True)
        project.write({"ini": "pytest.ini", "toml": "pyproject.toml"}[block.role], block.text)
        run = project.run("--strict-config", grace=None)

        assert run.code == 0, f"{block.text}\n{run.text}"
        assert run.outcomes == {"passed": 1}
