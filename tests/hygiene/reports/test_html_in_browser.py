"""The HTML page in a real Chromium: scripts run, nothing is refused, and clicks lead where they say."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support import documents

from pytest_resource_hygiene.reports.html_report import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--window-size=1280,1600")  # fmt: skip
SECONDS = 30  # how long a condition may take; nothing waits so long unless it is broken

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="no Chromium with its chromedriver on the path"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests of this module."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options, ChromeService(str(DRIVER))) as browser:
        yield browser


class Page:
    """A page that is open in a browser."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def run(self, script: str, *values: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *values)

    def wait(self, script: str) -> Any:
        """Wait until an expression is true of the page."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, SECONDS).until(lambda _: self.run(script), script)

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def type(self, selector: str, text: str) -> None:
        from selenium.webdriver.common.by import By

        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def texts(self) -> list[str]:
        """Return the text of the findings that are shown."""
        return list(self.run(
            "[...document.querySelectorAll('.finding:not([hidden])')].map((one) => one.textContent)"
        ))  # fmt: skip

    def complaints(self) -> list[str]:
        """Return what was written to the console: errors, and violations of the policy."""
        return [str(line) for line in self.browser.get_log("browser")]


@pytest.fixture
def page(browser: Chrome, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open a document's page, at an address; in the end the console has to be empty."""

    def show(document: dict[str, Any], address: str = "") -> Page:
        file = tmp_path / "page.html"
        file.write_text(render(document), encoding="utf-8")
        browser.get(file.as_uri() + address)
        return Page(browser)

    yield show
    assert Page(browser).complaints() == []


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return documents.make(60, 300)


def test_both_charts_are_drawn(page: Callable[..., Page], document: dict[str, Any]) -> None:
    """Each has its canvas when it comes into view, in light and in dark."""
    it = page(document)
    it.wait("document.querySelector('#timeline-chart canvas')")
    it.run("document.querySelector('#map').scrollIntoView()")
    it.wait("document.querySelector('#map-chart canvas')")
    before = it.run("getComputedStyle(document.body).backgroundColor")
    it.click("#theme")

    assert it.run("getComputedStyle(document.body).backgroundColor") != before


def test_the_address_filters(page: Callable[..., Page], document: dict[str, Any]) -> None:
    """Kind, severity, search and axis come from the address."""
    wanted = next(
        one for one in document["findings"] if (one["kind"], one["severity"]) == ("sockets", "fail")
    )
    word = wanted["origin"]["file"].split("/")[2]
    it = page(document, f"#kind=sockets&severity=fail&q={word}&axis=time")

    assert it.texts() != []
    assert all("socket fd" in text and word in text for text in it.texts())
    assert it.run("document.querySelector('#query').value") == word
    assert it.run("document.querySelector('#by-time').ariaPressed") == "true"


def test_filters_go_into_the_address(page: Callable[..., Page], document: dict[str, Any]) -> None:
    """What is typed and clicked narrows the list, stands in the address, and can be cleared."""
    it = page(document)
    everything = len(it.texts())
    it.type("#query", "pool")
    it.click(".chip[data-value=fail]")

    assert 0 < len(it.texts()) < everything
    assert all("pool" in text.lower() for text in it.texts())
    assert it.run("location.hash") == "#severity=fail&q=pool"

    it.click("#clear")
    assert len(it.texts()) == everything
    assert it.run("location.hash") == ""


def test_a_link_opens_its_finding(page: Callable[..., Page], document: dict[str, Any]) -> None:
    """Of all findings, the one in the address is open and in view."""
    name = f"f-{document['findings'][5]['fingerprint']}"
    it = page(document, f"#finding={name}")

    assert it.run("[...document.querySelectorAll('.finding[open]')].map((one) => one.id)") == [name]
    it.wait(f"document.getElementById('{name}').getBoundingClientRect().top < innerHeight")


def test_a_click_on_a_leaking_test_leads_to_its_finding(
    page: Callable[..., Page], document: dict[str, Any]
) -> None:
    """The last test of the run leaks: its mark is at the right edge of the timeline."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    last = {
        "module": document["timeline"]["modules"][document["timeline"]["tests"]["module"][-1]],
        "name": document["timeline"]["tests"]["name"][-1],
    }
    nodeid = f"{last['module']}::{last['name']}"
    found = {**document["findings"][0], "nodeid": nodeid, "severity": "fail"}
    timeline = {**document["timeline"], "leaked": [299]}
    it = page({**document, "findings": [found], "timeline": timeline})
    it.wait("document.querySelector('#timeline-chart canvas')")
    chart = it.browser.find_element(By.ID, "timeline-chart")
    width, height = chart.size["width"], chart.size["height"]
    edge = ActionChains(it.browser).move_to_element_with_offset(
        chart, width // 2 - 17, 36 - height // 2
    )
    edge.click().perform()

    it.wait("location.hash.startsWith('#finding=f-')")
    assert nodeid in it.run("document.querySelector('.found').textContent")
    assert nodeid in it.run("document.querySelector('#timeline-status').textContent")


def test_leaks_are_reached_by_keyboard(page: Callable[..., Page], document: dict[str, Any]) -> None:
    """The button walks from leak to leak, says which it is, and links to its findings."""
    from selenium.webdriver.common.keys import Keys

    it = page(document)
    it.type("#next-leak", Keys.ENTER)
    first = it.run("document.querySelector('#timeline-status').textContent")
    it.type("#next-leak", Keys.ENTER)

    assert " leaked " in first
    assert it.run("document.querySelector('#timeline-status').textContent") != first
    it.type("#timeline-status a", Keys.ENTER)
    it.wait("document.querySelector('.found[open]')")


def test_hostile_text_does_not_run(page: Callable[..., Page], document: dict[str, Any]) -> None:
    """What would change the title if it ran, does not; nor does the policy have to stop it."""
    script = "<script>document.title='gone'</script><img src=x onerror=\"document.title='gone'\">"
    found = [
        {**one, "nodeid": script, "summary": script, "hint": script} for one in document["findings"]
    ]
    tests = {**document["timeline"]["tests"], "name": [script] * 300}
    it = page({**document, "findings": found, "timeline": {**document["timeline"], "tests": tests}})
    it.wait("document.querySelector('#timeline-chart canvas')")
    it.click("#next-leak")

    assert it.run("document.title") != "gone"
    assert script in it.run("document.querySelector('#timeline-status').textContent")


def test_printing_opens_everything_and_puts_it_back(
    page: Callable[..., Page], document: dict[str, Any]
) -> None:
    """On paper nobody can open anything."""
    it = page(document)
    it.run("dispatchEvent(new Event('beforeprint'))")
    assert it.run("document.querySelectorAll('details:not([open])').length") == 0

    it.run("dispatchEvent(new Event('afterprint'))")
    assert it.run("document.querySelectorAll('details[open]').length") == 0
