"""The report as a person meets it: dark and light, on a telephone and on paper, without a network."""

from collections.abc import Iterator
from typing import Any

import pytest
from browser import chromium, needs_chromium
from finished_jobs import change_job, draw_lot, finished_job

from oddlot.words import JobState
from report.job_report import make_report

pytestmark = needs_chromium

EVIDENCE = {"edges": [0, 50, 100], "model": [0.1, 0.9], "tonight": [1.0, 0.0], "unit": "gray level"}
VALIDITY = {
    "reasons": [{"what": "brightness", "text": "The pictures are darker than those that the model knows."}],
    "evidence": {name: {"title": name, **EVIDENCE} for name in ("Brightness", "Sharpness", "Colour")},
}


@pytest.fixture
def database_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/oddlot.db"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page_of(settings, engine, model, tmp_path, browser):
    """Opens the report of a held night with long and odd names, and sees to it that nothing else is fetched."""
    folder = tmp_path / "lot"
    names = ["<img src=x onerror=alert(1)>.png", f"{'very-long-name-' * 12}.png", "good.png", "unreadable.png"]
    paths = draw_lot(folder, names)
    row = finished_job(
        engine, model, [0.9, 0.8, 0.1, "damaged " * 20], paths=paths, map_store=settings.map_store, source=str(folder),
        lot="L" * 90,
    )  # fmt: skip
    row = change_job(engine, row.id, state=JobState.HELD, validity=VALIDITY)
    file = tmp_path / "report.html"
    file.write_text(make_report(settings, engine, row.id), encoding="utf-8")
    said, asked, opened = [], [], []

    def open_page(width: int = 1200, scheme: str = "light", **options: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_everybody_can_read_it(page_of, scheme, width) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = page_of(width, scheme)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_ground_is_dark_where_that_is_asked_for(page_of) -> None:
    ground = {
        s: page_of(scheme=s).evaluate("getComputedStyle(document.body).backgroundColor") for s in ("light", "dark")
    }
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(24, 24, 27)"}


def test_pictures_are_seen_and_their_heat_lies_on_them_until_it_is_taken_away(page_of) -> None:
    page = page_of()
    pictures = page.locator(".picture img").all()
    assert len(pictures) == 4
    assert all(one.evaluate("one => one.complete && one.naturalWidth > 0") for one in pictures)
    plain, heat = (one.bounding_box() for one in page.locator(".picture").first.locator("img").all())
    assert plain == heat
    assert page.locator(".heat").first.is_visible()
    page.locator("#heat").focus()
    page.keyboard.press("Space")
    assert not page.locator(".heat").first.is_visible()


def test_it_works_where_no_script_may_run(page_of) -> None:
    page = page_of(java_script_enabled=False)
    page.get_by_label("Heat maps laid over the pictures").uncheck()
    assert not page.locator(".heat").first.is_visible()


def test_on_paper_it_is_light_and_as_wide_as_the_paper(page_of) -> None:
    page = page_of(794, "dark")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == 794
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF-")
