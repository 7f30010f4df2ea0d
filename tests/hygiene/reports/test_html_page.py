"""The HTML page: made from the document alone, complete, and harmless whatever the document holds."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import html5lib
import jsonschema
import pytest
from support import documents

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.reports import html_report
from pytest_resource_hygiene.reports.document import SCHEMA_FILE
from pytest_resource_hygiene.reports.html_report import render
from pytest_resource_hygiene.reports.plain_text import visible

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from support.inner import Project

HOSTILE = "</script></details><script>alert(1)</script><img src=x onerror=alert(2)>\"'`&{{7*7}}"


def parse(page: str) -> Element:
    """Parse a page as a browser does, but fail at the first error in it."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text_of(element: Element) -> str:
    return "".join(element.itertext())


def find(tree: Element, name: str, value: str) -> list[Element]:
    """Return the elements that have a word in an attribute."""
    return [one for one in tree.iter() if value in one.get(name, "").split()]


def payload(tree: Element) -> Any:
    """Return what the scripts are given."""
    return json.loads(text_of(find(tree, "id", "data")[0]))


def poison(value: Any) -> Any:
    """Put hostile text into every string of a document that is anybody's to choose."""
    if isinstance(value, str):
        return HOSTILE + value
    if isinstance(value, list):
        return [poison(one) for one in value]
    if isinstance(value, dict):
        kept = {"severity", "change", "type", "scope", "source", "schema"}
        return {key: one if key in kept else poison(one) for key, one in value.items()}
    return value


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return documents.make(60, 200)


@pytest.fixture(scope="module")
def tree(document: dict[str, Any]) -> Element:
    return parse(render(document))


def test_generated_documents_are_valid(document: dict[str, Any]) -> None:
    """What these tests render is what a run may write."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator(schema).validate(document)


def test_every_finding_is_there(document: dict[str, Any], tree: Element) -> None:
    """Each finding's test, place, source line and hint stand in the section of its place."""
    sections = {section.get("id"): text_of(section) for section in find(tree, "class", "finding")}

    assert len(sections) > 20
    for finding in document["findings"]:
        mine = [text for text in sections.values() if finding["nodeid"] in text]
        place = f"{finding['origin']['file']}:{finding['origin']['line']}"
        assert any(
            place in text and finding["details"]["source_line"] in text and finding["hint"] in text
            for text in mine
        ), finding["nodeid"]


def test_places_are_grouped_with_what_fails_first(tree: Element) -> None:
    """Failures come before known ones, notes and what is allowed."""
    order = ["fail", "known", "note", "allowed"]
    ranks = [
        order.index(section.get("class", "").split()[1])
        for section in find(tree, "class", "finding")
    ]

    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2, 3}


def test_the_summary_says_how_many(document: dict[str, Any], tree: Element) -> None:
    """The first heading is the verdict, in numbers."""
    leaked = document["summary"]["leaked_tests"]

    assert text_of(next(tree.iter("h1"))).split() == f"{leaked} of 200 tests leaked".split()
    assert [text_of(one) for one in find(tree, "class", "figures")[0].iter("dd")][:3] == [
        "200", str(leaked), str(document["summary"]["findings"])
    ]  # fmt: skip


def test_nothing_is_asked_of_a_network(tree: Element) -> None:
    """No element and no style refers to anything outside of the page, links to issues aside."""
    for element in tree.iter():
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = element.get(name)
            if value is not None and not value.startswith(("#", "data:,")):
                assert element.tag == "a"
                assert value.startswith("https://example.org/issues/")
    assert not re.search(r"url\(|@import", "".join(map(text_of, tree.iter("style"))))


def test_the_policy_allows_only_what_the_page_brings(tree: Element) -> None:
    """Scripts and styles are allowed by their hashes; everything else is forbidden."""
    [policy] = [one.get("content", "") for one in tree.iter("meta") if one.get("http-equiv")]
    scripts = [text_of(one) for one in tree.iter("script") if one.get("type") is None]
    styles = [text_of(one) for one in tree.iter("style")]

    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert len(scripts) == 2
    for text in scripts + styles:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_hostile_text_stays_text(document: dict[str, Any]) -> None:
    """Markup in node ids, source lines, kinds, versions and all the rest is shown, never parsed."""
    tree = parse(render(poison(copy.deepcopy(document))))

    assert len(list(tree.iter("script"))) == 3
    assert not set("<>&") & set(text_of(find(tree, "id", "data")[0]))
    assert list(tree.iter("img")) == []
    for element in tree.iter():
        assert not [name for name in element.keys() if name.startswith("on") or name == "style"]  # noqa: SIM118
        assert not element.get("href", "").lower().startswith("javascript")
    assert payload(tree)["timeline"]["tests"]["name"][0].startswith(HOSTILE)
    for section in find(tree, "class", "finding"):
        assert text_of(section).count(HOSTILE) > 5


@pytest.mark.parametrize("issue", ["javascript:alert(1)", "JIRA-12", "//evil.example", "data:,x"])
def test_only_addresses_of_the_web_become_links(document: dict[str, Any], issue: str) -> None:
    """An issue that is no address of http or https is shown as text."""
    changed = copy.deepcopy(document)
    for finding in changed["findings"]:
        finding.update(severity="allowed", reason="known", issue=issue)
    tree = parse(render(changed))

    assert {link.get("href", "")[0] for link in tree.iter("a")} == {"#"}
    assert issue in text_of(find(tree, "class", "finding")[0])


def test_characters_that_act_are_written_out(document: dict[str, Any]) -> None:
    """Control characters, turned writing and undecodable bytes cannot hide what is there."""
    changed = copy.deepcopy(document)
    for finding in changed["findings"]:
        finding["summary"] = "a\x1b[31mb\x00c\u202ed\udcffe"
    page = render(changed)

    assert visible("tab\tand\nline") == "tab\tand\nline"
    assert r"a\x1b[31mb\x00c\u202ed\udcffe" in page
    assert page.encode("utf-8")
    parse(page)


def test_an_empty_document_makes_a_page() -> None:
    """No tests, no findings, no timeline."""
    tree = parse(render(documents.make(0, 0)))

    assert text_of(next(tree.iter("h1"))).strip() == "No tests ran"
    assert find(tree, "class", "finding") == []
    assert find(tree, "id", "timeline-chart") == []


def test_a_clean_run_says_so() -> None:
    """Tests without findings: a verdict in words, and the timeline."""
    tree = parse(render(documents.make(0, 30)))

    assert text_of(next(tree.iter("h1"))).strip() == "Nothing leaked"
    assert find(tree, "id", "timeline-chart") != []
    assert find(tree, "id", "map-chart") == []


def test_a_document_without_timeline_makes_a_page(document: dict[str, Any]) -> None:
    """Documents of other versions, or written by a script, have no samples."""
    changed = copy.deepcopy(document)
    del changed["timeline"]
    tree = parse(render(changed))

    assert find(tree, "id", "timeline-chart") == []
    assert len(find(tree, "class", "finding")) == len(payload(tree)["groups"])
    assert payload(tree)["timeline"] is None


def test_kinds_of_third_parties_are_shown_like_ours(document: dict[str, Any]) -> None:
    """A kind that nobody here has heard of has its chip, its column and its details."""
    changed = copy.deepcopy(document)
    changed["findings"][0].update(kind="db_cursors", severity="fail", details={"query": "SELECT 1"})
    tree = parse(render(changed))

    assert [one.get("data-value") for one in find(tree, "class", "chip")].count("db_cursors") == 1
    assert "db_cursors" in [text_of(one) for one in find(tree, "id", "matrix")[0].iter("th")]
    assert any("SELECT 1" in text_of(one) for one in find(tree, "class", "finding"))


def test_findings_without_place_or_test_are_shown(document: dict[str, Any]) -> None:
    """What nobody saw being made, and what is left at the very end."""
    changed = copy.deepcopy(document)
    changed["findings"] = changed["findings"][:1]
    changed["findings"][0].update(origin=None, nodeid="", stack=[], held_by=[], severity="fail")
    tree = parse(render(changed))
    [section] = find(tree, "class", "finding")

    assert "nobody saw where" in text_of(section)
    assert payload(tree)["groups"][0]["modules"] == {"(end of the session)": 1}


def test_a_place_with_very_many_tests_is_cut_and_says_so(document: dict[str, Any]) -> None:
    """The page shows 500 tests of a place, and tells how many more there are."""
    changed = copy.deepcopy(document)
    first = changed["findings"][0]
    changed["findings"] = [{**first, "nodeid": f"tests/test_a.py::test[{n}]"} for n in range(700)]
    [section] = find(parse(render(changed)), "class", "finding")

    assert len(list(section.iter("li"))) == 500
    assert "200 more tests" in text_of(section)


def test_very_many_places_are_cut_and_the_page_says_so(document: dict[str, Any]) -> None:
    """3,000 places are shown, what fails first; the verdict counts all of them."""
    changed = copy.deepcopy(document)
    first = {**changed["findings"][0], "severity": "fail"}
    origins = [{**first["origin"], "line": number + 1} for number in range(3100)]
    changed["findings"] = [{**first, "origin": origin} for origin in origins]
    tree = parse(render(changed))

    assert len(find(tree, "class", "finding")) == len(payload(tree)["groups"]) == 3000
    assert "at 3,100 places" in text_of(find(tree, "class", "verdict")[0])
    assert "Only the first 3,000 places of 3,100" in text_of(find(tree, "id", "findings")[0])


def test_scripts_know_which_tests_of_the_timeline_a_place_concerns(
    document: dict[str, Any], tree: Element
) -> None:
    """A click on a test leads to its findings: positions in the timeline are those of the node ids."""
    data = payload(tree)
    names = [
        f"{data['timeline']['modules'][module]}::{name}"
        for module, name in zip(
            data["timeline"]["tests"]["module"], data["timeline"]["tests"]["name"], strict=True
        )
    ]
    sections = {one.get("id"): text_of(one) for one in find(tree, "class", "finding")}

    assert {names[at] for at in data["timeline"]["leaked"]} == {
        one["nodeid"] for one in document["findings"] if one["severity"] == "fail"
    }
    for group in data["groups"]:
        assert group["tests"] != []
        assert all(names[position] in sections[group["id"]] for position in group["tests"])


def test_the_same_document_makes_the_same_page(document: dict[str, Any]) -> None:
    """Nothing of the moment or the machine goes in."""
    assert render(document) == render(copy.deepcopy(document))


def test_without_the_engine_the_command_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]
) -> None:
    """The engine is an extra; who lacks it is told what to type."""
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(SettingsError, match=r"pip install 'pytest-resource-hygiene\[html\]'"):
        html_report.render(document)


def test_the_vendored_library_is_what_its_note_says() -> None:
    """The note beside the chart library states the hash of the file."""
    folder = SCHEMA_FILE.parent / "page" / "vendor"
    digest = hashlib.sha256((folder / "echarts.min.js").read_bytes()).hexdigest()

    assert f"SHA-256: `{digest}`" in (folder / "README.md").read_text(encoding="utf-8")


# --- the option ---


def test_the_option_writes_the_page(project: Project) -> None:
    """The file is made, with folders that are missing, and shows the run's finding."""
    project.write("test_it.py", "import os\ndef test_leaks(): os.pipe()\ndef test_clean(): pass\n")
    run = project.run("--resource-hygiene-html=out/page.html")
    tree = parse((project.path / "out" / "page.html").read_text(encoding="utf-8"))

    assert run.code == 1, run.text
    assert text_of(next(tree.iter("h1"))).split() == ["1", "of", "2", "tests", "leaked"]
    assert "test_it.py::test_leaks" in text_of(find(tree, "class", "finding")[0])


@pytest.mark.parametrize("option", ["json", "html"])
@pytest.mark.parametrize(
    ("path", "words"),
    [("file/page", "file is a file, and no folder"), ("folder", "it is a folder")],
    ids=["below a file", "folder"],
)
def test_a_file_that_cannot_be_written_is_told_before_the_run(
    project: Project, option: str, path: str, words: str
) -> None:
    """It says which option, which file, and what to do; nobody waits an hour for that."""
    project.write("test_it.py", "def test_clean(): pass")
    project.write("file", "")
    (project.path / "folder").mkdir()
    run = project.run(f"--resource-hygiene-{option}={path}")

    assert run.code == 4, run.text
    assert f"--resource-hygiene-{option}: cannot write {path}: {words}. Give a file" in run.err
    assert "Traceback" not in run.text


def test_a_missing_engine_is_told_before_any_test_runs(project: Project) -> None:
    """Not after an hour of tests."""
    project.write("jinja2.py", "raise ImportError('no such engine')")
    project.write("test_it.py", "def test_clean(): print('ran')")
    run = project.run("--resource-hygiene-html=page.html", launcher=["-c", _FIRST_HERE])

    assert run.code == 4, run.text
    assert "pip install 'pytest-resource-hygiene[html]'" in run.text
    assert "1 passed" not in run.text


_FIRST_HERE = (
    "import sys; sys.path.insert(0, ''); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
