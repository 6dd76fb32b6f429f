"""Signing in by name: who is let in, what ends it, and what those meet who should not be."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from page_server import form, serving
from people import PASSWORD, make_people, signed_in

from db import accounts, sign_ins, tokens
from db.audit_log import entries
from oddlot.words import Role
from review.rate import Rate
from review.visits import COOKIE


@pytest.fixture
def manned(manned):
    """A client of a page that has users."""
    with httpx.Client(base_url=manned, timeout=30) as client:
        yield client


def sign_in(client, name="ada", password=PASSWORD, **headers):
    data = {"name": name, "password": password, "next": "/quality"} | form(client, "/login")
    return client.post("/login", data=data, headers=headers)


def test_a_sign_in_gives_a_new_session_that_only_its_cookie_opens(manned, morning_engine, home) -> None:
    planted = "A" * 43
    manned.cookies.set(COOKIE, planted, domain="127.0.0.1")
    answer = sign_in(manned)
    assert (answer.status_code, answer.headers["location"]) == (303, "/quality")
    (cookie,) = answer.headers.get_list("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    mine = cookie.partition("=")[2].partition(";")[0]
    assert mine != planted, "a session that somebody else knows"
    with httpx.Client(base_url=manned.base_url, cookies={COOKIE: planted}, timeout=60) as attacker:
        assert attacker.get("/").status_code == 303
    with httpx.Client(base_url=manned.base_url, cookies={COOKIE: mine}, timeout=60) as browser:
        assert "Ada" in browser.get("/quality").text
    stored = sqlite3.connect(home.settings.home / "oddlot.db").execute("SELECT * FROM session").fetchall()
    assert len(stored) == 1
    assert mine not in str(stored), "who can read the database could be anybody"


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("", "")])
def test_whatever_is_wrong_the_answer_is_the_same(manned, morning_engine, people, name, password) -> None:
    accounts.add_account(morning_engine, "Gone", Role.VIEWER, people[Role.VIEWER].password_hash)
    accounts.remove_account(morning_engine, "gone")
    answer = sign_in(manned, name, password)
    assert answer.status_code == 403
    assert "Name or password is wrong." in answer.text
    assert COOKIE not in answer.headers.get("set-cookie", "")
    latest = entries(morning_engine)[0]
    assert latest.action == "sign-in refused"
    assert latest.detail == "from 127.0.0.1"
    assert "nobody" not in str(latest), "it may be a password in the wrong field"


def test_guesses_are_counted_over_all_processes_of_the_page(home, people, morning_engine) -> None:
    with serving(home.settings) as one, serving(home.settings) as other:
        first, second = httpx.Client(base_url=one, timeout=30), httpx.Client(base_url=other, timeout=30)
        with first, second:
            seen = [sign_in(first, password="wrong").status_code for _ in range(3)]
            seen += [sign_in(second, password="wrong").status_code for _ in range(3)]
            assert seen == [403] * sign_ins.OF_ADDRESS + [429]
            answer = sign_in(first)
            assert answer.status_code == 429, "the right one waits, too"
            assert int(answer.headers["retry-after"]) <= 60


def test_logout_password_and_removal_end_sessions_in_every_process(home, people, morning_engine) -> None:
    with serving(home.settings) as one, serving(home.settings) as other:

        def is_in(client: httpx.Client) -> bool:
            return httpx.get(f"{other}/quality", cookies=dict(client.cookies), timeout=60).status_code == 200

        with signed_in(morning_engine, one, "Ada") as ada, signed_in(morning_engine, one, "Rex") as rex:
            assert is_in(ada)
            cookies = dict(ada.cookies)
            answer = ada.post("/logout", data=form(ada))
            assert answer.headers["clear-site-data"] == '"cache"'
            assert httpx.get(f"{other}/quality", cookies=cookies, timeout=60).status_code == 303
            accounts.set_role(morning_engine, "rex", Role.VIEWER)
            assert is_in(rex)
            assert httpx.get(f"{other}/queue", cookies=dict(rex.cookies), timeout=60).status_code == 403, (
                "a role counts at once"
            )
            accounts.remove_account(morning_engine, "rex")
            assert not is_in(rex)
            accounts.restore_account(morning_engine, "rex")
            assert not is_in(rex), "who was removed signs in again"


def test_ones_own_password_is_changed_with_the_old_one_and_ends_all_other_sessions(manned, morning_engine) -> None:
    address, new = str(manned.base_url), "correct horse battery staple"
    with signed_in(morning_engine, address, "Rex") as here, signed_in(morning_engine, address, "Rex") as elsewhere:
        wrong = {"old": "not this one", "new": new, "again": new} | form(here)
        assert here.post("/password", data=wrong).status_code == 403
        short = {"old": PASSWORD, "new": "short", "again": "short"} | form(here)
        assert here.post("/password", data=short).status_code == 422
        twice = {"old": PASSWORD, "new": new, "again": new + "x"} | form(here)
        assert here.post("/password", data=twice).status_code == 422
        assert (
            "It is changed"
            in here.post("/password", data={"old": PASSWORD, "new": new, "again": new} | form(here)).text
        )
        assert here.get("/").status_code == 200
        assert elsewhere.get("/").status_code == 303
    assert sign_in(manned, "REX", new).status_code == 303


def test_a_change_needs_the_token_of_the_session_also_at_the_sign_in(manned) -> None:
    data = {"name": "ada", "password": PASSWORD}
    assert manned.post("/login", data=data).status_code == 403
    token = form(manned, "/login")
    with httpx.Client(base_url=manned.base_url, timeout=60) as other:
        other.get("/login")
        assert other.post("/login", data=data | token).status_code == 403
    assert manned.post("/login", data=data | token, headers={"Origin": "http://evil.example"}).status_code == 403
    assert manned.post("/login", data=data | token).status_code == 303
    assert manned.post("/logout", data=token).status_code == 403, "of the time before the sign-in"


def test_a_token_opens_the_interface_until_it_ends(manned, morning_engine) -> None:
    def status(secret: str) -> int:
        return manned.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code

    good = tokens.add_token(morning_engine, "mes", Role.VIEWER, lifetime=timedelta(days=1))
    over = tokens.add_token(morning_engine, "old", Role.VIEWER, lifetime=timedelta(0))
    hers = tokens.add_token(morning_engine, "notebook", Role.VIEWER, lifetime=None, owner="rex")
    assert [status(secret) for secret in (good, over, hers, good[:-1], PASSWORD)] == [200, 401, 200, 401, 401]
    accounts.remove_account(morning_engine, "rex")
    tokens.revoke_token(morning_engine, "mes")
    assert [status(good), status(hers)] == [401, 401]
    used = {row.name: row.used_at is not None for row in tokens.list_tokens(morning_engine)}
    assert used == {"mes": True, "old": False, "notebook": True}


def test_a_token_judges_by_its_own_name_and_cannot_change_a_password(manned, morning_engine, home) -> None:
    from db.verdicts import verdicts_of

    secret = tokens.add_token(morning_engine, "robot", Role.REVIEWER, lifetime=None)
    item = home.night.items["flange-0001.png"]
    headers = {"Authorization": f"Bearer {secret}", "Accept": "application/json"}
    assert manned.post(f"/items/{item}/verdict", data={"word": "good"}, headers=headers).status_code == 200
    assert [row.reviewer for row in verdicts_of(morning_engine, item)] == ["robot (token)"]
    assert manned.get("/password", headers=headers).status_code == 303


def test_only_a_proxy_that_was_named_is_believed(home, people, morning_engine) -> None:
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.1.2.3"}
    for proxies, secure, seen in (("127.0.0.1", True, "10.1.2.3"), ("", False, "127.0.0.1")):
        with (
            serving(replace(home.settings, review_proxies=proxies)) as address,
            httpx.Client(base_url=address, timeout=60) as client,
        ):
            sign_in(client, password="wrong", **told)
            assert entries(morning_engine)[0].detail == f"from {seen}"
            assert ("Secure" in sign_in(client, **told).headers["set-cookie"]) is secure


@pytest.mark.parametrize("host", ["127.0.0.1/static/", "127.0.0.1/static/?", "127.0.0.1/login#", "localhost\\static/"])
def test_a_host_with_a_path_in_it_opens_nothing(manned, host) -> None:
    for path in ("/api/v1/jobs", "/", "//static/../queue", "/static/../api/v1/jobs", "/%2fstatic/queue"):
        answer = manned.get(path, headers={"Host": host})
        assert answer.status_code in (303, 400, 401, 404, 421), f"{path}: {answer.status_code}"
        assert "jobs" not in answer.text


def test_a_page_whose_database_lost_its_users_lets_nobody_in(manned, home) -> None:
    with sqlite3.connect(home.settings.home / "oddlot.db") as database:
        database.execute("DELETE FROM account")
    assert manned.get("/").status_code == 303
    assert manned.get("/api/v1/jobs").status_code == 401


def test_the_first_user_closes_a_page_that_runs_already(client, morning_engine) -> None:
    assert client.get("/").status_code == 200
    make_people(morning_engine)
    assert client.get("/").headers["location"] == "/login?next=%2F"


def test_who_asks_too_often_waits(home) -> None:
    with (
        serving(replace(home.settings, review_rate=3)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        assert [client.get("/api/v1/jobs").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = client.get("/api/v1/jobs")
        assert 1 <= int(answer.headers["retry-after"]) <= 20
        assert "error" in answer.json()
        assert client.get("/static/review.css").status_code == 200
    unlimited = Rate(0)
    assert not any(unlimited.wait("somebody") for _ in range(10_000))
