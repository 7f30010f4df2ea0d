"""The reference is complete and current."""

from __future__ import annotations

import importlib.util
import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest
from hygiene.docs.pages import DOCS, ROOT, pages, read

import pytest_resource_hygiene
from pytest_resource_hygiene import hookspecs
from pytest_resource_hygiene.pytest_plugin.options import OPTIONS
from pytest_resource_hygiene.tracker import Tracker
from pytest_resource_hygiene.trackers import built_in_trackers, kind_names

if TYPE_CHECKING:
    from types import ModuleType

SECTIONS = ("## What is seen", "## What is not", "## Identity", "## A leak, and how to close it")


def load(path: Any) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_tables_are_current() -> None:
    """``python docs/generate.py`` would change nothing."""
    assert load(DOCS / "generate.py").outdated() == []


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_every_option_is_in_the_reference(option: Any) -> None:
    """Each option stands there as flag, as key, as variable, with its default and its sentence."""
    text = read(DOCS / "configuration.md")

    assert f"### `{option.flag}`\n" in text
    assert f"`{option.ini}`" in text
    assert f"`{option.env}`" in text
    assert option.help.replace("'", "`") in text
    assert option.default is None or f"`{option.default}`" in text


def test_options_that_the_pages_mention_exist() -> None:
    """No page tells of a flag, key or variable that the table does not have."""
    known = {"resource_hygiene_trackers", "resource_hygiene_emitters", "resource_hygiene_expected"}
    known |= {f"resource_hygiene_{word}" for word in ("fail", "known", "note", "allowed")}  # JUnit
    known |= {option.ini for option in OPTIONS}
    known.add("resource_hygiene_pure_python")  # no option: it is asked when the package is imported
    for page in pages():
        text = read(page)
        flags = re.findall(r"--(?:no-)?(resource-hygiene[a-z-]*)", text)
        keys = re.findall(r"(?<![\w.])resource_hygiene(?:_[a-z]+)*(?![\w.\"(])", text)
        variables = re.findall(r"RESOURCE_HYGIENE[A-Z_]*", text)
        used = {name.replace("-", "_") for name in flags} | set(keys)
        used |= {name.lower() for name in variables}

        assert used <= known, page


def test_every_kind_has_a_page_and_no_page_is_of_another() -> None:
    """The pages in docs/kinds are those of the built-in kinds."""
    written = sorted(page.stem for page in (DOCS / "kinds").glob("*.md"))

    assert written == list(kind_names())


@pytest.mark.parametrize("kind", kind_names())
def test_a_page_of_a_kind_has_all_its_sections(kind: str) -> None:
    """Each says what is seen, what is not, how identity works, and how to close a leak."""
    text = read(DOCS / "kinds" / f"{kind}.md")

    assert text.startswith(f"# {kind}\n")
    positions = [text.find(section) for section in SECTIONS]
    assert -1 not in positions
    assert positions == sorted(positions)


@pytest.mark.parametrize("tracker", built_in_trackers(), ids=lambda tracker: tracker.kind)
def test_a_page_says_what_a_leak_of_its_kind_does(tracker: Tracker) -> None:
    """A kind that is off or a note by default says so."""
    text = read(DOCS / "kinds" / f"{tracker.kind}.md")

    assert ("**Off by default**" in text) == (tracker.severity == "off")
    assert ("**A note" in text) == (tracker.severity == "note")


def test_every_kind_has_an_example() -> None:
    """Each kind has a file in examples/leaks, and each file is of a kind."""
    files = (ROOT / "examples" / "leaks").glob("test_*.py")

    assert sorted(file.stem.removeprefix("test_") for file in files) == list(kind_names())


def test_every_hook_is_explained() -> None:
    """Each hook that a conftest may implement is shown on a page."""
    names = [name for name in vars(hookspecs) if name.startswith("pytest_resource_hygiene_")]
    text = "".join(map(read, pages()))

    assert names != []
    for name in names:
        assert f"def {name}(" in text, name


def test_every_member_of_a_tracker_is_explained() -> None:
    """The page on adding a kind names what a tracker can define."""
    text = read(DOCS / "adding-a-kind.md")
    rare = {
        "sensor",
        "drain",
        "pause",
        "is_ours",
        "removals",
        "rank",
        "ends",
    }  # of built-in kinds only
    members = {name for name in vars(Tracker) if not name.startswith("_")}

    assert {name for name in members - rare if f"`{name}" not in text} == set()


def test_public_names_are_documented() -> None:
    """What scripts import is named on a page, or has its place in a signature that is."""
    text = "".join(map(read, pages()))
    functions = [
        name
        for name in pytest_resource_hygiene.__all__
        if inspect.isroutine(getattr(pytest_resource_hygiene, name)) or name == "no_leaks"
    ]

    assert {name for name in functions if name not in text} == set()


def test_every_dependency_has_its_reason() -> None:
    """Each library that is declared stands on the page of dependencies, and no other."""
    text = read(DOCS / "dependencies.md") + read(DOCS / "dependencies-wrapper.md")
    lines = re.findall(r'[ \[]"([a-z0-9.-]+)[>=]=', read(ROOT / "pyproject.toml"), re.MULTILINE)
    rows = re.findall(r"^\| \[?([a-z][a-z0-9.-]*)", text, re.MULTILINE)
    tools = {"tox", "ruff", "mypy", "types-psutil", "hatchling", "package", "claude-agent-sdk"}

    assert set(lines) - set(rows) == set()
    assert set(rows) - set(lines) - tools - {"library"} == set()


def test_the_changelog_begins_with_the_version() -> None:
    """The newest heading names the version that the package states."""
    heading = re.search(r"^## (\S+)", read(ROOT / "CHANGELOG.md"), re.MULTILINE)

    assert heading is not None
    assert heading[1] == pytest_resource_hygiene.__version__
