"""Which files hold tests: pytest's own setting, wherever it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.precommit.python_files import (
    DEFAULT_PATTERNS,
    is_test_file,
    patterns_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.inner import Project


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\npython_files = check_*.py 'spec *.py'\n"),
        (".pytest.ini", "[pytest]\npython_files =\n    check_*.py\n    'spec *.py'\n"),
        ("tox.ini", "[tox]\n[pytest]\npython_files = check_*.py 'spec *.py'\n"),
        ("setup.cfg", "[tool:pytest]\npython_files = check_*.py 'spec *.py'\n"),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\npython_files = ['check_*.py', 'spec *.py']\n",
        ),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\npython_files = \"check_*.py 'spec *.py'\"\n",
        ),
        ("pyproject.toml", "[tool.pytest]\npython_files = ['check_*.py', 'spec *.py']\n"),
        ("pytest.toml", "[pytest]\npython_files = ['check_*.py', 'spec *.py']\n"),
    ],
)
def test_the_setting_is_read_from_every_file_of_pytest(
    tmp_path: Path, name: str, text: str
) -> None:
    """For files of the folder and below it."""
    (tmp_path / name).write_text(text)

    assert list(patterns_for("a/b/check_it.py", tmp_path)) == ["check_*.py", "spec *.py"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pytest.ini", "[pytest]\npython_files =\n"),
        ("tox.ini", "[tox]\npython_files = check_*.py\n"),
        ("pyproject.toml", "[tool.other]\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\npython_files = 3\n"),
        ("pyproject.toml", "tool = 3\n"),
        ("pytest.toml", "pytest = 3\n"),
        ("pyproject.toml", "[tool.\n"),
        ("setup.cfg", "no section\n"),
        ("pytest.ini", "[pytest]\npython_files = \udcff\n"),
    ],
)
def test_where_nothing_is_said_pytests_default_counts(tmp_path: Path, name: str, text: str) -> None:
    """A file that is broken is pytest's to complain of."""
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))

    assert patterns_for("a/test_it.py", tmp_path) == DEFAULT_PATTERNS


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    """A project within the repository has settings of its own, and ``pytest.ini`` goes first."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_files = outer.py\n")
    (tmp_path / "shop/pytest.ini").write_text("[pytest]\npython_files = inner.py\n")
    (tmp_path / "shop/tox.ini").write_text("[pytest]\npython_files = other.py\n")

    assert list(patterns_for("shop/a/b.py", tmp_path)) == ["inner.py"]
    assert list(patterns_for("b.py", tmp_path)) == ["outer.py"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a/check_it.py", "check_*.py"),
        ("a/check_it.py", "*.py"),
        ("a/b/check_it.py", "b/check_*.py"),
        ("a/b/check_it.py", "b/other_*.py"),
        ("a/b/test_it.py", "check_*.py"),
        ("ab/test_it.py", "b/*.py"),
    ],
)
def test_a_pattern_means_what_it_means_to_pytest(project: Project, path: str, pattern: str) -> None:
    """Pytest is asked: it collects the file, or does not."""
    project.write(path, "def test_it(): pass\n")
    project.write("pytest.ini", f"[pytest]\npython_files = {pattern}\n")
    run = project.run("--collect-only", "-q", on=False)

    assert is_test_file(path, [pattern]) == ("::test_it" in run.out)
