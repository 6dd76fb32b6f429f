"""The page of people and tokens: what an admin does there, by the rules of the command line, and who cannot."""

import logging
import re
import sqlite3
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from browser import chromium, needs_chromium, violations
from page_server import form, serving
from people import PASSWORD, signed_in

from db import accounts, tokens
from db.audit_log import entries
from oddlot.words import Role
from review.visits import COOKIE

NEW = "correct horse battery staple"
FORMS = (
    "/users", "/users/role", "/users/password", "/users/remove", "/users/restore", "/tokens", "/tokens/revoke",
)  # fmt: skip


@pytest.fixture
def ada(manned, morning_engine):
    """A client in which the admin is signed in."""
    with signed_in(morning_engine, manned, "Ada") as client:
        yield client


def post(client: httpx.Client, path: str, **data: str) -> httpx.Response:
    return client.post(path, data=data | form(client))


def sign_in(address: str, name: str, password: str) -> int:
    with httpx.Client(base_url=address, timeout=30) as client:
        data = {"name": name, "password": password} | form(client, "/login")
        return client.post("/login", data=data).status_code


def test_an_admin_adds_a_reviewer_who_signs_in(ada, manned, morning_engine) -> None:
    answer = post(ada, "/users", name="Ren", role="reviewer", new=NEW, again=NEW)
    assert (answer.status_code, answer.headers["location"]) == (303, "/users?done=added")
    shown = ada.get(answer.headers["location"])
    assert shown.headers["cache-control"] == "no-store"
    assert "Added." in shown.text
    assert sign_in(manned, "ren", NEW) == 303
    rows = re.findall(r">(\w+)</a>.*<td>(\w+)</td>.*<td class=\"n\">(\d+)</td>", ada.get("/users").text)
    assert rows == [("Ada", "admin", "1"), ("Ren", "reviewer", "1"), ("Rex", "reviewer", "0"), ("Vic", "viewer", "0")]
    latest = next(one for one in entries(morning_engine) if one.action == "user added")
    assert (latest.who, latest.via, latest.what, latest.detail) == ("Ada", "page", "Ren", "reviewer")
    assert NEW not in str(entries(morning_engine)) + shown.text


@pytest.mark.parametrize(
    ("typed", "status", "why"),
    [
        ({"name": "rex"}, 409, "there is a user &#39;Rex&#39; already"),
        ({"name": ""}, 422, "printable"),
        ({"again": NEW + "x"}, 422, "not typed the same twice"),
        ({"new": "too short", "again": "too short"}, 422, "10 to 1000 characters"),
        ({"role": "king"}, 422, "a role is viewer, reviewer or admin"),
    ],
)
def test_what_is_refused_comes_back_with_one_line_and_what_was_typed(ada, morning_engine, typed, status, why) -> None:
    answer = post(ada, "/users", **({"name": "Ren", "role": "admin", "new": NEW, "again": NEW} | typed))
    assert answer.status_code == status
    assert answer.text.count('role="alert"') == 1
    assert why in answer.text
    back = answer.text.partition('action="/users"')[2].partition("</form>")[0]
    assert re.findall(r' name="name" .* value="(.*?)"', back) == [typed.get("name", "Ren")]
    assert re.findall(r'value="(\w+)" selected', back) == ([] if "role" in typed else ["admin"])
    assert NEW not in answer.text
    assert "too short" not in answer.text
    assert {one.name for one in accounts.list_accounts(morning_engine)} == {"Ada", "Rex", "Vic"}


def test_a_name_that_was_removed_is_not_given_to_somebody_else(ada) -> None:
    post(ada, "/users/remove", name="Vic")
    answer = post(ada, "/users", name="vic", role="viewer", new=NEW, again=NEW)
    assert answer.status_code == 409
    assert "restore them, on the page or by" in answer.text


def test_another_role_counts_at_once_and_a_removed_user_is_out_until_restored(ada, manned, morning_engine) -> None:
    with signed_in(morning_engine, manned, "Rex") as rex:
        assert rex.get("/queue").status_code == 200
        assert post(ada, "/users/role", name="Rex", role="viewer").status_code == 303
        assert rex.get("/queue").status_code == 403
        assert rex.get("/quality").status_code == 200
        assert post(ada, "/users/remove", name="Rex").status_code == 303
        assert rex.get("/quality").status_code == 303
        assert "1 removed" in ada.get("/users").text
        assert post(ada, "/users/restore", name="Rex").status_code == 303
        assert rex.get("/quality").status_code == 303, "who was removed signs in again"
    done = [(one.who, one.via, one.action, one.what) for one in entries(morning_engine) if one.what == "Rex"]
    assert done == [("Ada", "page", act, "Rex") for act in ("user restored", "user removed", "role changed")]


def test_another_password_ends_the_sessions_of_that_user_and_is_the_one_that_counts(
    ada, manned, morning_engine
) -> None:
    with signed_in(morning_engine, manned, "Rex") as rex:
        assert "not typed the same twice" in post(ada, "/users/password", name="Rex", new=NEW, again=PASSWORD).text
        assert rex.get("/quality").status_code == 200
        assert post(ada, "/users/password", name="Rex", new=NEW, again=NEW).status_code == 303
        assert rex.get("/quality").status_code == 303
    assert sign_in(manned, "Rex", PASSWORD) == 403
    assert sign_in(manned, "Rex", NEW) == 303
    changed = next(one for one in entries(morning_engine) if one.action == "password changed")
    assert (changed.who, changed.what) == ("Ada", "Rex")


def test_ones_own_password_is_not_changed_without_the_old_one(ada, manned) -> None:
    card = ada.get("/users", params={"person": "Ada"}).text
    assert '<a href="/password">' in card
    assert 'action="/users/password"' not in card
    assert post(ada, "/users/password", name="ADA", new=NEW, again=NEW).status_code == 409
    assert sign_in(manned, "Ada", PASSWORD) == 303


def test_the_last_admin_stays_one_and_a_second_one_may_go(ada, morning_engine) -> None:
    for path, more in (("/users/remove", {}), ("/users/role", {"role": "viewer"})):
        answer = post(ada, path, name="Ada", **more)
        assert answer.status_code == 409
        assert "Ada is the last active admin: make somebody else one first" in answer.text
    assert post(ada, "/users/role", name="Rex", role="admin").status_code == 303
    gone = post(ada, "/users/role", name="Ada", role="viewer")
    assert gone.headers["location"] == "/", "and not to a page that is refused"
    assert ada.get("/users").status_code == 403
    assert accounts.get_account(morning_engine, "Ada").role == Role.VIEWER


@pytest.mark.parametrize("name", ["Rex", "Vic"])
def test_nobody_else_sees_or_does_any_of_it(manned, morning_engine, name) -> None:
    with signed_in(morning_engine, manned, name) as client:
        assert 'href="/users"' not in client.get("/").text
        assert client.get("/users").status_code == 403
        for path in FORMS:
            answer = post(client, path, name="Ada", role="admin", new=NEW, again=NEW, days="1")
            assert (answer.status_code, "needs the role admin" in answer.text) == (403, True), path
    assert len(accounts.list_accounts(morning_engine)) == 3
    assert tokens.list_tokens(morning_engine) == []


def test_a_token_of_an_admin_cannot_make_what_outlives_it(manned, morning_engine) -> None:
    secret = tokens.add_token(morning_engine, "deploy", Role.ADMIN, lifetime=timedelta(days=1), owner="Ada")
    bearer = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=manned, headers=bearer, timeout=30) as program:
        assert program.get("/models").status_code == 200
        assert program.get("/users").status_code == 403
        for path in FORMS:
            data = {"name": "Rex", "role": "admin", "new": NEW, "again": NEW, "days": "1"}
            answer = program.post(path, data=data)
            assert (answer.status_code, "A token cannot change people or tokens" in answer.text) == (403, True), path
    assert accounts.get_account(morning_engine, "Rex").role == Role.REVIEWER
    assert [row.name for row in tokens.list_tokens(morning_engine)] == ["deploy"]
    refused = [one.what for one in entries(morning_engine) if (one.who, one.action) == ("deploy (token)", "refused")]
    assert refused == [f"POST {path}" for path in reversed(FORMS)] + ["GET /users"]


def test_a_form_of_another_site_changes_nothing(ada, morning_engine) -> None:
    typed = {"name": "Rex", "role": "admin", "new": NEW, "again": NEW, "days": "1"}
    good = typed | form(ada)
    for path in FORMS:
        assert ada.post(path, data=typed).status_code == 403, "a form without its token"
        assert ada.post(path, data=good, headers={"Origin": "http://evil.example"}).status_code == 403
        assert ada.post(path, data=good, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert ada.get(f"{path}?name=Rex&role=admin").status_code in (200, 405)
    assert accounts.get_account(morning_engine, "Rex").role == Role.REVIEWER
    assert tokens.list_tokens(morning_engine) == []


def test_a_token_is_shown_once_and_good_until_it_is_revoked(ada, manned, morning_engine, home, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    answer = post(ada, "/tokens", name="mes", role="viewer", days="90", user="Rex")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    secret = answer.text.partition("oddlot_")[2].partition("<")[0]
    assert len(secret) == 43
    assert answer.text.count(secret) == 1

    def status() -> int:
        return httpx.get(
            f"{manned}/api/v1/jobs", headers={"Authorization": f"Bearer oddlot_{secret}"}, timeout=60
        ).status_code

    assert status() == 200
    again = ada.get("/users").text
    assert "mes</a>" in again
    assert secret not in again + ada.get("/users?program=mes").text
    second = post(ada, "/tokens", name="mes", role="viewer", days="7")
    assert (second.status_code, secret in second.text) == (409, False)
    assert re.findall(r' name="days" .* value="(.*?)"', second.text) == ["7"]
    revoked = post(ada, "/tokens/revoke", name="mes")
    assert revoked.status_code == 303
    assert status() == 401
    shown = ada.get(revoked.headers["location"]).text
    assert "1 revoked or over" in shown
    row = tokens.list_tokens(morning_engine)[0]
    assert (row.account, row.expires_at - row.created_at) == ("Rex", timedelta(days=90))
    told = [(one.who, one.action, one.what) for one in entries(morning_engine, limit=2)]
    assert told == [("Ada", "token revoked", "mes"), ("Ada", "token added", "mes")]
    kept = str(list(sqlite3.connect(home.settings.home / "oddlot.db").iterdump()))
    assert secret not in caplog.text + str(entries(morning_engine)) + shown + kept


@pytest.mark.parametrize(
    ("typed", "status", "why"),
    [
        ({"days": "0"}, 422, "1 to 36500 days"),
        ({"days": "never"}, 422, "1 to 36500 days"),
        ({"days": "9" * 40}, 422, "1 to 36500 days"),
        ({"role": "admin", "user": "Vic"}, 409, "Vic is viewer"),
        ({"user": "nobody"}, 404, "there is no user"),
    ],
)
def test_a_token_that_cannot_be(ada, morning_engine, typed, status, why) -> None:
    answer = post(ada, "/tokens", **({"name": "mes", "role": "viewer", "days": "9"} | typed))
    assert (answer.status_code, why in answer.text) == (status, True)
    assert 'value="mes"' in answer.text
    assert tokens.list_tokens(morning_engine) == []


def test_tokens_are_shown_as_they_count_now(ada, morning_engine) -> None:
    tokens.add_token(morning_engine, "rex's", Role.REVIEWER, lifetime=None, owner="Rex")
    tokens.add_token(morning_engine, "old", Role.ADMIN, lifetime=timedelta(0))
    accounts.set_role(morning_engine, "Rex", Role.VIEWER)
    row = ada.get("/users").text.partition("rex&#39;s</a>")[2].partition("</tr>")[0]
    assert "<td>viewer</td>" in row, "it may never do more than its user"
    assert "for ever" in row
    post(ada, "/users/remove", name="Rex")
    ended = ada.get("/users").text.partition("2 revoked or over")[2]
    assert "Rex was removed" in ended
    assert "over since" in ended
    assert post(ada, "/tokens/revoke", name="rex's").status_code == 303, "else it would live again with Rex"


def test_names_are_text_and_nothing_else(ada, morning_engine) -> None:
    name = "<script>alert(1)</script>\"'&"
    assert post(ada, "/users", name=name, role="viewer", new=NEW, again=NEW).status_code == 303
    tokens.add_token(morning_engine, name, Role.VIEWER, lifetime=None, owner=name)
    pages = [ada.get("/users"), ada.get("/users", params={"person": name}), ada.get("/users", params={"program": name})]
    pages.append(post(ada, "/users", name=name, role=name, new=NEW, again="x"))
    pages.append(post(ada, "/tokens", name=name, role="viewer", days=name, user=name))
    pages.append(post(ada, "/users/role", name=name, role=name))
    for answer in pages:
        assert "<script" not in answer.text
        assert "&lt;script&gt;" in answer.text
    assert post(ada, "/users/role", name=name, role="reviewer").status_code == 303
    assert post(ada, "/tokens/revoke", name=name).status_code == 303
    assert post(ada, "/users/remove", name=name).status_code == 303
    assert not accounts.get_account(morning_engine, name).active


def test_where_there_are_no_users_the_page_makes_none(home, client, morning_engine) -> None:
    shown = client.get("/users")
    assert shown.status_code == 200
    assert "oddlot users add NAME --role admin" in shown.text
    assert 'action="/users' not in shown.text
    with (
        serving(replace(home.settings, review_password="open sesame")) as address,
        httpx.Client(base_url=address, headers={"Authorization": "Bearer open sesame"}, timeout=60) as program,
    ):
        for one in (client, program):
            for path in FORMS:
                answer = post(one, path, name="Eve", role="admin", new=NEW, again=NEW, days="1")
                assert (answer.status_code, "made on the command line" in answer.text) == (409, True), path
    assert not accounts.any_account(morning_engine)
    assert tokens.list_tokens(morning_engine) == []


@needs_chromium
def test_by_hand_on_a_telephone_without_a_script(manned, morning_engine) -> None:
    with chromium() as browser, signed_in(morning_engine, manned, "Ada") as client:
        looks = {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}
        context = browser.new_context(base_url=manned, **looks)
        context.add_cookies([{"name": COOKIE, "value": client.cookies[COOKIE], "url": manned}])
        page = context.new_page()
        page.set_default_timeout(15_000)

        def accessible() -> None:
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 390

        page.goto("/")
        page.get_by_role("link", name="People").click()
        page.get_by_text("Add a user").click()
        accessible()
        page.get_by_label("Name, as it stands").fill("Ren")
        page.get_by_label("New password").fill(NEW)
        page.get_by_label("The same once more").fill(PASSWORD)
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_role("alert").wait_for()
        assert page.get_by_label("Name, as it stands").input_value() == "Ren"
        assert page.get_by_label("New password").input_value() == ""
        accessible()
        page.get_by_label("New password").fill(NEW)
        page.get_by_label("The same once more").fill(NEW)
        page.keyboard.press("Enter")
        page.get_by_role("status").wait_for()
        page.get_by_role("link", name="Ren", exact=True).click()
        page.get_by_role("heading", name="Ren", exact=True).wait_for()
        accessible()
        page.get_by_role("button", name="Remove Ren").click()
        page.get_by_text("Make a token").click()
        page.get_by_label("Name, for what it is").fill("mes")
        page.get_by_role("button", name="Make it").click()
        assert page.get_by_label("Its secret").input_value().startswith("oddlot_")
        accessible()
        page.get_by_role("link", name="I have copied it").click()
        page.get_by_role("link", name="mes", exact=True).click()
        accessible()
        page.get_by_role("button", name="Revoke mes").click()
        page.get_by_text("1 revoked or over").click()
        page.get_by_text("1 removed").click()
        accessible()
        context.close()
    assert not accounts.get_account(morning_engine, "Ren").active
