"""Signing in as people do it: in a browser, by keyboard, in the dark and on a telephone."""

from pathlib import Path

import pytest
from browser import chromium, needs_chromium, violations
from page_server import serving
from people import PASSWORD, hashed, make_people, signed_in
from sqlalchemy import select

from db import accounts
from db.schema import verdict
from db.verdicts import verdicts_of
from review.visits import COOKIE

pytestmark = needs_chromium


def accessible(page) -> None:
    assert violations(page) == []


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def test_in_judge_and_out_again(browser, home, morning_engine) -> None:
    make_people(morning_engine)
    item = home.night.items["flange-0000.png"]
    with serving(home.settings) as address:
        page = browser.new_page(base_url=address, color_scheme="dark", viewport={"width": 390, "height": 844})
        page.set_default_timeout(15_000)
        page.goto(f"/items/{item}")
        accessible(page)
        page.keyboard.type("Rex")
        page.keyboard.press("Tab")
        page.keyboard.type("not the password")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        assert page.get_by_label("Name").input_value() == "Rex"
        accessible(page)
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/items/{item}")
        page.get_by_role("button", name="Defect", exact=True).click()
        page.wait_for_url("**said=**")
        assert page.get_by_role("link", name="Models").count() == 1
        page.goto("/password")
        accessible(page)
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.go_back()
        page.get_by_label("Password", exact=True).wait_for()
        assert page.evaluate("document.cookie") == "", "no script may see the session"
        page.goto(f"/items/{item}/picture.webp")
        assert "/login" in page.url
        page.close()
    assert [row.reviewer for row in verdicts_of(morning_engine, item)] == ["Rex"]


def test_a_viewer_sees_and_cannot_judge(browser, home, morning_engine, tmp_path: Path) -> None:
    make_people(morning_engine)
    with serving(home.settings) as address:
        page = browser.new_page(base_url=address)
        page.set_default_timeout(15_000)
        page.goto("/")
        page.get_by_label("Name").fill("vic")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("link", name="Flagged", exact=True).first.click()
        page.wait_for_url("**/flagged")
        assert page.get_by_role("link", name="Review").count() == 0
        answer = page.goto("/queue")
        assert answer is not None
        assert answer.status == 403
        assert "needs the role reviewer" in page.content()
        page.close()


def test_a_session_that_ends_in_the_queue_costs_no_verdict(browser, home, morning_engine) -> None:
    make_people(morning_engine)
    with serving(home.settings) as address, signed_in(morning_engine, address, "Rex") as client:
        context = browser.new_context(base_url=address)
        context.add_cookies([{"name": COOKIE, "value": client.cookies[COOKIE], "url": address}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto("/queue")
        page.locator("#picture").wait_for()
        accounts.set_password(morning_engine, "rex", hashed())
        page.keyboard.press("g")
        alert = page.locator("#trouble")
        alert.wait_for()
        assert "1 verdict is not stored yet: nobody is signed in here" in alert.inner_text()
        other = context.new_page()
        other.goto("/login")
        other.get_by_label("Name").fill("rex")
        other.get_by_label("Password").fill(PASSWORD)
        other.get_by_role("button", name="Log in").click()
        other.wait_for_url("**/")
        alert.get_by_role("button").click()
        alert.wait_for(state="hidden")
        context.close()
    with morning_engine.connect() as connection:
        assert connection.execute(select(verdict.c.verdict, verdict.c.reviewer)).all() == [("good", "Rex")]
