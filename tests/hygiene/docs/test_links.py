"""What the pages point at is there."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from hygiene.docs.pages import ROOT, links_of, pages, read, shown

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [pytest.param(page, id=shown(page)) for page in pages()]


def _headings(page: Path) -> set[str]:
    """Return the anchors of a page as GitHub makes them from its headings."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in read(page).splitlines()
        if line.startswith("#")
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_project_resolve(page: Path) -> None:
    """A relative link names a file or folder that exists, and a heading that its page has."""
    for link in links_of(page):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        there = page.parent / target if target else page
        assert there.exists(), link
        if anchor:
            assert anchor in _headings(there), link


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_no_machine(page: Path) -> None:
    """No page names a package index or a path of the machine on which it was written."""
    found = re.findall(r"(?i)pypi|index-url|/root/|/home/|/work/|/usr/", read(page))

    assert found == []


def test_the_two_commands_of_the_readme_exist() -> None:
    """What the README tells to type is a file of this repository, and parses."""
    readme = read(ROOT / "README.md")

    assert "python3 examples/run.py" in readme
    assert "bash .ci/run" in readme
    compile(read(ROOT / "examples" / "run.py"), "run.py", "exec")
    done = subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False)
    assert done.returncode == 0
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_ci_passes_every_environment_of_the_list() -> None:
    """The list holds lint, types, layers, each Python, coverage and the server."""
    tox = read(ROOT / "tox.ini")
    listed = re.search(r"^env_list = (.*)$", tox, re.MULTILINE)

    assert listed is not None
    assert listed[1].split(", ") == [
        "lint", "type", "layers", "py311", "py312", "py313", "pytest-min",
        "coverage", "wrapper", "wrapper-py313",
    ]  # fmt: skip
    for name in listed[1].split(", "):
        assert name.startswith("py31") or f"[testenv:{name}]" in tox


def test_the_oldest_pytest_is_the_same_everywhere() -> None:
    """The dependency, the configuration, the environment of tox and the README agree on it."""
    pyproject = read(ROOT / "pyproject.toml")
    floor = re.search(r'"pytest>=([\d.]+)', pyproject)

    assert floor is not None
    assert f'minversion = "{floor[1]}"' in pyproject
    assert f"pytest=={floor[1]}.*" in read(ROOT / "tox.ini")
    assert f"pytest {floor[1]} and later" in read(ROOT / "README.md")
