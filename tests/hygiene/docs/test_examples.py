"""The examples do what is promised of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.docs.pages import ROOT, read
from support.inner import run_inside

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "examples"
SWITCHED_ON = ("-p", "no:cacheprovider", "--resource-hygiene-json=findings.json")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of the examples, for a run writes into its folder."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return folder


def test_the_demonstration_finds_what_it_promises(examples: Path, tmp_path: Path) -> None:
    """All examples in one run give exactly the findings that ``run.py`` lists."""
    code = (
        "import pathlib, run, sys\n"
        "problems = run.differences(run.run_all(sys.executable, pathlib.Path(sys.argv[1])))\n"
        "assert problems == [], problems\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, '.')\n{code}", tmp_path / "f.json"],
        cwd=examples, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_21_listeners_fail_at_the_first_test_that_leaks(examples: Path) -> None:
    """With ``-x`` the run stops at the test that starts one component, not at the 21st."""
    run = run_inside(examples, "-x", "listeners_21", *SWITCHED_ON, on=False)

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert {one["nodeid"] for one in run.failing} == {
        "listeners_21/test_components.py::test_one_component_starts_and_stops"
    }


def test_the_21_listeners_are_named_in_the_words_that_users_know(examples: Path) -> None:
    """The test that starts all of them exceeds the limit, and shows how deep the chains are."""
    run = run_inside(examples, "listeners_21", "-k", "all_21", *SWITCHED_ON, on=False)

    for event in ("SIGINT", "SIGTERM", "exit"):
        assert f"21 {event} listeners added to [process], limit 10" in run.out
    assert "SIGINT: 21 handlers deep" in run.out


def test_the_fixed_server_is_clean(examples: Path) -> None:
    """The server that takes away what it added leaves nothing."""
    run = run_inside(examples, "listeners_21/test_components_fixed.py", *SWITCHED_ON, on=False)

    run.assert_clean(notes=False)


@pytest.mark.parametrize(
    "file", sorted(file.name for file in (EXAMPLES / "leaks").glob("test_*.py"))
)
def test_the_twin_of_each_leak_is_clean(examples: Path, file: str) -> None:
    """The second test of each file, run alone, leaves nothing and is no note."""
    name = re.findall(r"^def (test_\w+)", read(examples / "leaks" / file), re.MULTILINE)[1]

    run = run_inside(examples, f"leaks/{file}::{name}", *SWITCHED_ON, on=False)

    run.assert_clean(notes=False)
    assert run.outcomes == {"passed": 1}


def test_the_script_checks_itself(examples: Path) -> None:
    """Without pytest, the script finds its own leak and says how to close it."""
    done = subprocess.run(
        [sys.executable, "script/importer.py"],
        cwd=examples, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "importer.py:14 in import_orders" in done.stdout
    assert "close() the socket" in done.stdout


def test_the_picture_in_the_readme_is_a_real_run(examples: Path) -> None:
    """The text block shows what a run shows, numbers aside."""
    picture = re.search(r"```text\n\$ pytest.*?\n(.*?)```", read(ROOT / "README.md"), re.DOTALL)
    assert picture is not None

    run = run_inside(
        examples.parent,
        "examples/leaks/test_sockets.py",
        *SWITCHED_ON,
        "-p",
        "no:randomly",
        on=False,
    )

    real = plain(run.out)
    for line in plain(picture[1]):
        assert line in real, run.out


def plain(text: str) -> list[str]:
    lines = (
        " ".join(re.sub(r"\d[\d.]*", "N", line).strip("= ").split()) for line in text.splitlines()
    )
    return [line for line in lines if line]
