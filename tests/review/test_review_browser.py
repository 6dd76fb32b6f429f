"""The pages in a real browser: by keyboard, by touch, in the dark, on a telephone, without a script."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import violations
from morning import Home, make_morning
from page_server import serving
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import Engine, select

from db.engine import open_database, reading
from db.schema import verdict
from db.verdicts import add_verdict
from oddlot.settings import load_settings
from oddlot.words import Verdict
from review.reviewer import NAME_COOKIE

CHROMIUM = "/usr/bin/chromium"
DESK, PHONE, SMALL = (1280, 860), (390, 844), (320, 640)
SHOWN = (1100, 740)

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium here")


@pytest.fixture(scope="module")  # of which one process can have but one at a time, and other modules have theirs
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


@pytest.fixture
def looking(browser: Browser, server: str) -> Callable[..., Any]:
    """A page in a window of a size; at its end nothing may have been logged, and nobody else asked for anything."""

    @contextmanager
    def open_page(size: tuple[int, int] = DESK, *, quiet: bool = True, **options: Any) -> Iterator[Page]:
        said: list[str] = []
        window = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=window, base_url=server, has_touch=size[0] < 500, **options)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(server) else said.append(f"asked {asked.url}"))
        yield page
        context.close()
        assert not quiet or not said, said

    return open_page


def words(engine: Engine) -> list[tuple[int, str, str | None, str | None]]:
    with reading(engine) as connection:
        rows = connection.execute(
            select(verdict.c.item_id, verdict.c.verdict, verdict.c.kind, verdict.c.note).order_by(verdict.c.id)
        )
        return [(row[0], str(row[1]), row[2], row[3]) for row in rows]


def shown(page: Page) -> int:
    return int(page.locator("#verdict").get_attribute("action").split("/")[2])


def judge(page: Page, key: str) -> None:
    """Press the key as a person does: when the picture is there."""
    expect(page.locator("#sheet")).to_have_class("sheet")
    page.keyboard.press(key)


def test_a_night_is_judged_by_keys_alone(looking, home, morning_engine) -> None:
    with looking() as page:
        page.goto("/queue")
        expect(page.locator("html")).to_have_class("scripted")
        first = shown(page)
        assert first == home.night.items["flange-0000.png"]
        judge(page, "d")
        expect(page.locator("#last")).to_contain_text("flagged, score 0.980")
        expect(page.locator("#reviewed")).to_have_text("1")
        second = shown(page)
        assert second != first
        expect(page.locator("#sheet")).to_have_class("sheet")
        page.keyboard.press("k")
        page.keyboard.type("edge crack")
        page.keyboard.press("Enter")
        expect(page.locator("#reviewed")).to_have_text("2")
        third = shown(page)
        page.keyboard.press("n")
        page.keyboard.type("dug in? good.")
        page.keyboard.press("Enter")
        judge(page, "u")
        expect(page.locator("#reviewed")).to_have_text("3")
        fourth = shown(page)
        judge(page, "1")  # the kind that was typed before
        expect(page.locator("#reviewed")).to_have_text("4")
        expect(page.locator("#last")).to_contain_text("score")
    assert words(morning_engine) == [
        (first, "defect", None, None), (second, "defect", "edge crack", None), (third, "unsure", None, "dug in? good."),
        (fourth, "defect", "edge crack", None),
    ]  # fmt: skip


def test_undo_brings_the_picture_back(looking, morning_engine) -> None:
    with looking() as page:
        page.goto("/queue")
        first = shown(page)
        judge(page, "g")
        expect(page.locator("#last button")).to_be_visible()
        page.keyboard.press("z")
        expect(page.locator("#last")).to_contain_text("Taken back")
        assert shown(page) == first
        assert words(morning_engine) == []
        judge(page, "d")
        expect(page.locator("#last")).to_contain_text("score")
    assert words(morning_engine) == [(first, "defect", None, None)]


def test_all_of_the_night_is_reached_and_then_it_says_so(looking, morning_engine, home) -> None:
    with looking() as page:
        page.goto("/queue")
        for number in range(13):
            expect(page.locator("#reviewed")).to_have_text(str(number))
            expect(page.locator("#stage")).to_be_visible()
            judge(page, "g")
        expect(page.locator("#done")).to_contain_text("All reviewed")
        expect(page.locator("#last")).to_contain_text("score")
    judged = [item for item, *_ in words(morning_engine)]
    assert len(judged) == len(set(judged)) == 13
    assert {home.night.items[f"flange-00{n}.png"] for n in (12, 20, 25)} < set(judged)


def test_arrows_and_space_go_on_and_back_and_judge_nothing(looking, morning_engine) -> None:
    with looking() as page:
        page.goto("/queue")
        first = shown(page)
        for key, moved in (("ArrowRight", True), ("ArrowLeft", False), ("Space", True), ("Shift+Space", False)):
            page.keyboard.press(key)
            expect(page.locator("#verdict")).not_to_have_attribute("action", f"/items/{first}/verdict") if moved else (
                expect(page.locator("#verdict")).to_have_attribute("action", f"/items/{first}/verdict"))  # fmt: skip
    assert words(morning_engine) == []


def test_the_heat_map_is_hidden_faded_and_the_picture_zoomed(looking) -> None:
    with looking() as page:
        page.goto("/queue")
        heat, sheet = page.locator("#heat"), page.locator("#sheet")
        expect(heat).to_have_css("opacity", "0.6")
        page.keyboard.press("m")
        expect(heat).to_have_css("opacity", "0")
        page.keyboard.press("h")
        page.keyboard.press("[")
        expect(heat).to_have_css("opacity", "0.5")
        page.keyboard.press("]")
        page.keyboard.press("]")
        expect(heat).to_have_css("opacity", "0.7")
        page.keyboard.press("+")
        expect(sheet).to_have_css("transform", "matrix(1.5, 0, 0, 1.5, 0, 0)")
        page.keyboard.press("0")
        expect(sheet).to_have_css("transform", "matrix(1, 0, 0, 1, 0, 0)")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("g")  # closed windows first: no verdict from behind one
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("#reviewed")).to_have_text("0")


def test_no_verdict_is_lost_while_the_server_does_not_answer(looking, morning_engine) -> None:
    with looking(quiet=False) as page:
        page.goto("/queue")
        page.wait_for_load_state("networkidle")
        page.route("**/verdict", lambda route: route.abort())
        judge(page, "d")
        judge(page, "g")
        expect(page.locator("#trouble")).to_contain_text("2 verdicts are not stored yet")
        assert words(morning_engine) == []
        page.unroute("**/verdict")
        page.locator("#trouble button").click()
        expect(page.locator("#trouble")).to_be_hidden()
        expect(page.locator("#last")).to_contain_text("score")
    assert [word for _, word, *_ in words(morning_engine)] == ["defect", "good"]


def test_no_verdict_is_taken_for_a_picture_that_is_not_there_yet(looking, home, morning_engine) -> None:
    second = home.night.items["flange-0001.png"]
    with looking(quiet=False) as page:
        waiting = []
        page.route(f"**/items/{second}/picture.webp**", lambda route: waiting.append(route))
        page.goto("/queue", wait_until="domcontentloaded")
        expect(page.locator("#previous")).to_have_text("Back")
        while shown(page) != second:
            page.keyboard.press("ArrowRight")
        expect(page.locator("#picture")).to_have_css("visibility", "hidden")
        page.keyboard.press("d")
        expect(page.locator("#reviewed")).to_have_text("0")
        for route in waiting:
            route.continue_()
        judge(page, "d")
        expect(page.locator("#last")).to_contain_text("score")
    assert [item for item, *_ in words(morning_engine)] == [second]


def test_filters_stand_in_the_address_bar_and_reach_the_queue(looking, home) -> None:
    with looking() as page:
        page.goto("/flagged")
        page.get_by_text("Filter").click()
        page.get_by_label("Score from").fill("0.9")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**/flagged?**min_score=0.9")
        expect(page.locator(".gallery li")).to_have_count(2)
        page.get_by_role("link", name="Review one by one").click()
        assert "min_score=0.9" in page.url
        assert shown(page) == home.night.items["flange-0000.png"]
        page.reload()
        assert page.get_by_label("Score from").input_value() == "0.9"


def test_touch_has_large_buttons_and_a_swipe(looking, morning_engine) -> None:
    with looking(PHONE) as page:
        page.goto("/queue")
        first = shown(page)
        box = page.get_by_role("button", name="Good").bounding_box()
        assert box["height"] >= 48
        assert box["y"] + box["height"] <= PHONE[1]
        page.get_by_role("button", name="Good").tap()
        expect(page.locator("#last")).to_contain_text("score")
    assert words(morning_engine) == [(first, "good", None, None)]


def test_without_a_script_the_same_page_works(looking, morning_engine) -> None:
    with looking(java_script_enabled=False) as page:
        page.goto("/queue")
        first = shown(page)
        page.get_by_label("Kind of defect").fill("dent")
        page.get_by_role("button", name="Defect").click()
        expect(page.locator("#last")).to_contain_text("flagged, score 0.980")
        assert words(morning_engine) == [(first, "defect", "dent", None)]
        page.get_by_role("button", name="Undo").click()
        assert shown(page) == first
    assert words(morning_engine) == []


def test_a_missing_picture_is_a_sentence_and_not_a_broken_one(looking, home, morning_engine) -> None:
    item = home.night.items["broken.png"]
    with looking(quiet=False) as page:
        page.goto(f"/items/{item}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.getElementById('picture').naturalWidth") > 0


def addresses(home: Any) -> dict[str, str]:
    return {
        "overview": "/", "queue": "/queue", "gallery": "/flagged?min_score=0.5", "nothing": "/flagged?night=2001-01-01",
        "item": f"/items/{home.night.items['flange-0001.png']}", "job": f"/jobs/{home.night.job_id}", "name": "/name",
        "held": f"/jobs/{home.jobs['held'].job_id}", "problem": "/jobs/999999", "quality": "/quality",
        "models": "/models", "model": "/models/flange", "rate": "/models/flange?rate=nonsense",
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, SMALL], ids=["desk", "small"])
def test_every_page_is_accessible_and_fits(looking, home, scheme, size) -> None:
    with looking(size, color_scheme=scheme, quiet=False) as page:
        for name, address in addresses(home).items():
            page.goto(address)
            page.wait_for_load_state("networkidle")
            assert violations(page) == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name


def test_screenshots_are_written_where_they_are_asked_for(browser, tmp_path) -> None:
    """For the README: ODDLOT_SCREENSHOTS names the folder."""
    folder = os.environ.get("ODDLOT_SCREENSHOTS")
    if not folder:
        pytest.skip("ODDLOT_SCREENSHOTS is not set")
    from PIL import Image

    Path(folder).mkdir(parents=True, exist_ok=True)
    settings = load_settings({"ODDLOT_HOME": str(tmp_path / "home")})
    engine = open_database(settings.database_url)
    home = Home(settings, make_morning(engine, settings, tmp_path / "data", side=320, hostile=False))
    for name in ("flange-0001.png", "flange-0002.png"):
        add_verdict(engine, home.night.items[name], Verdict.DEFECT, kind="scratch", reviewer="Ada")
    add_verdict(engine, home.night.items["flange-0003.png"], Verdict.DEFECT, kind="dent", reviewer="Ada")
    engine.dispose()
    with serving(settings) as server:
        for scheme, size, tag in (("light", SHOWN, "light"), ("dark", SHOWN, "dark"), ("light", PHONE, "phone")):
            context = browser.new_context(
                viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, base_url=server,
                has_touch=size == PHONE, is_mobile=size == PHONE,
            )  # fmt: skip
            context.add_cookies([{"name": NAME_COOKIE, "value": "Ada", "url": server}])
            page = context.new_page()
            for name in ("overview", "queue", "item"):
                page.goto(addresses(home)[name])
                page.wait_for_load_state("networkidle")
                path = Path(folder) / f"{name}-{tag}.png"
                page.screenshot(path=path)
                Image.open(path).quantize(160, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)
                assert path.stat().st_size < 200_000
            context.close()
