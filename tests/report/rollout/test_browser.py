"""The page in a real browser: no request, no error, no sideways scroll, on paper, in both schemes, and to a screen reader."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.report.rollout.conftest import SMALL
from tests.report.rollout.rich import rich_evidence
from tests.report.rollout.test_page import poisoned

from stoker.report.rollout.as_html import render_report
from stoker.report.rollout.evidence import Evidence, parse_evidence

PAGES: Mapping[str, Callable[[], Evidence]] = {
    "rich": lambda: parse_evidence(json.dumps(rich_evidence())),
    "small": lambda: parse_evidence(SMALL.read_text(encoding="utf-8")),
    "nothing": lambda: Evidence(()),
    "hostile": lambda: parse_evidence(json.dumps(poisoned(json.loads(SMALL.read_text(encoding="utf-8"))))),
}
OVERFLOWING = """() => [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest(".scroll, pre")).map(e => e.tagName + "." + e.className)"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, evidence in PAGES.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(render_report(evidence()), encoding="utf-8")
    return found


@pytest.fixture
def heard() -> list[str]:
    """What went wrong in the page, and what it asked for."""
    return []


@pytest.fixture
def page(browser: Browser, heard: list[str]) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 360, "height": 780}, color_scheme="light")
    found.set_default_timeout(120_000)  # a loaded machine is slow, not wrong
    found.on("console", lambda message: heard.append(message.text))
    found.on("pageerror", lambda error: heard.append(str(error)))
    found.on("request", lambda request: heard.append(request.url))
    yield found
    found.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_asked_for_and_nothing_goes_wrong(
    page: Page, files: dict[str, Path], heard: list[str], name: str
) -> None:
    page.goto(files[name].as_uri())
    page.locator("summary").evaluate_all("all => all.forEach(each => each.parentElement.open = true)")

    assert [files[name].as_uri()] == heard


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways(page: Page, files: dict[str, Path], name: str) -> None:
    """From the smallest phone to a wide desktop, with everything opened."""
    page.goto(files[name].as_uri())
    page.locator("summary").evaluate_all("all => all.forEach(each => each.parentElement.open = true)")
    for width in (320, 360, 390, 768, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 780})
        assert width >= page.evaluate("document.documentElement.scrollWidth"), (
            width,
            page.evaluate(OVERFLOWING),
        )


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("small", "dark"),
        ("rich", "light"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("small", "light"), ("rich", "dark"), ("nothing", "light"), ("hostile", "dark"))
        ),
    ],
)
def test_a_screen_reader_and_weak_eyes_can_use_it(
    page: Page, files: dict[str, Path], name: str, scheme: str
) -> None:
    """axe-core's rules, contrast among them, with everything opened."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(files[name].as_uri())
    page.locator("summary").evaluate_all("all => all.forEach(each => each.parentElement.open = true)")
    found = Axe().run(page).response["violations"]

    assert [] == [
        (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"]) for each in found
    ]


def test_every_chart_has_a_table_with_its_values(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["rich"].as_uri())
    charts = page.locator("figure:has(.plot)")

    assert 5 == charts.count()
    for number in range(charts.count()):
        rows = charts.nth(number).locator("tbody tr")
        assert 2 <= rows.count() <= 17
        assert charts.nth(number).locator("[role=img]").get_attribute("aria-label")


def test_a_dark_page_is_dark_and_paper_is_white(page: Page, files: dict[str, Path]) -> None:
    """Printing from a dark desktop takes the light colours."""
    ground = "getComputedStyle(document.body).backgroundColor"
    page.goto(files["rich"].as_uri())
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="dark", media="print")

    assert ("rgb(255, 255, 255)", "rgb(255, 255, 255)") == (light, page.evaluate(ground))
    assert dark not in {light, "rgba(0, 0, 0, 0)"}


def test_it_prints_on_a_few_sheets(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["rich"].as_uri())
    paper = page.pdf(format="A4")

    assert paper.startswith(b"%PDF")
    assert 2 <= paper.count(b"/Type /Page\n") <= 12
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()


def test_who_asks_for_stillness_gets_it(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["rich"].as_uri())
    how = "getComputedStyle(document.documentElement).scrollBehavior"
    assert "smooth" == page.evaluate(how)
    page.emulate_media(reduced_motion="reduce")

    assert "auto" == page.evaluate(how)


def test_it_works_with_the_keyboard_alone(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["small"].as_uri())
    page.locator("#gate-week-1-taint summary").first.focus()
    page.keyboard.press("Enter")

    assert page.get_by_text("probe-untolerated stayed Pending").is_visible()
