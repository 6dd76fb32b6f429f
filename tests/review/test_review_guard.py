"""Who may come in, and what may be changed from where."""

import socket
from dataclasses import replace

import httpx
import pytest
from page_server import form, serving
from polling import eventually

from db import tokens
from oddlot.errors import SettingsError
from oddlot.words import Role
from review import connections
from review.app import make_app
from review.guard import check_binding
from review.reviewer import own_page
from review.sessions import Sessions


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", ""])
def test_a_foreign_name_for_this_machine_is_refused(client, host) -> None:
    assert client.get("/", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "192.168.0.7"])
def test_own_names_and_numbers_are_not(client, host) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_name_can_be_configured(home) -> None:
    settings = replace(home.settings, review_names="oddlot.plant, other")
    with serving(settings) as address:
        assert httpx.get(address, headers={"Host": "oddlot.plant"}, timeout=60).status_code == 200


def test_every_answer_forbids_what_it_does_not_need(client, home) -> None:
    item = home.night.items["flange-0000.png"]
    for address in ("/", f"/items/{item}", "/queue", "/nowhere", "/static/review.css", f"/items/{item}/thumb.webp"):
        answer = client.get(address)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), address
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
    assert client.get("/").headers["cache-control"] == "no-store"
    assert "immutable" in client.get(f"/items/{item}/thumb.webp").headers["cache-control"]


def test_a_change_needs_the_token_of_this_session(client, home, morning_engine) -> None:
    item, token = home.night.items["flange-0000.png"], form(client)
    address, word = f"/items/{item}/verdict", {"word": "good"}
    assert client.post(address, data=word).status_code == 403
    assert client.post(address, data=word | {"token": "0" * 64}).status_code == 403
    with httpx.Client(base_url=client.base_url, timeout=60) as other:
        assert other.post(address, data=word | form(client)).status_code == 403, "the token of another session"
    assert client.post(address, data=word | token).status_code == 303


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-site"}], ids=str,
)  # fmt: skip
def test_a_change_from_another_site_is_refused_even_with_the_token(client, home, headers) -> None:
    data = {"word": "good"} | form(client)
    address = f"/items/{home.night.items['flange-0000.png']}/verdict"
    assert client.post(address, data=data, headers=headers).status_code == 403


def test_no_form_may_be_large(client, home) -> None:
    data = {"word": "good", "note": "x" * 100_000} | form(client)
    assert client.post(f"/items/{home.night.items['flange-0000.png']}/verdict", data=data).status_code == 413


@pytest.mark.parametrize("kind", ["unknown token", "token"])
def test_nor_may_anything_else_that_is_sent(manned, morning_engine, kind) -> None:
    """A token needs no form's token; what comes with it is read all the same."""
    secret = tokens.add_token(morning_engine, "mes", Role.ADMIN, lifetime=None) if kind == "token" else "x" * 43
    headers = {"Authorization": f"Bearer {secret}"}
    large = {"name": "x" * 100_000}
    with httpx.Client(base_url=manned, headers=headers, timeout=60) as program:
        assert program.post("/login", data=large).status_code == 413
        assert program.post("/login", files={"name": b"x" * 100_000}).status_code == 413
        in_chunks = program.post("/login", content=iter([b"x"]), headers={"Content-Type": "multipart/form-data"})
        assert in_chunks.status_code == 413
        assert program.post("/login", data={"name": "Ada", "password": "?"}).status_code == 403
        assert program.post("/name", data=large).status_code == (413 if kind == "token" else 401)


def half_sent(address: str, text: bytes) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(text)
    return connection


def ended(connection: socket.socket) -> bool:
    """Waits until the server hangs up, without an answer."""
    with connection:
        try:
            return connection.recv(1000) == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize(
    "text", [b"", b"GET /healthz HTTP/1.1\r\nHost: local",
             b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nhalf"],
    ids=["nothing", "head", "body"],
)  # fmt: skip
def test_a_request_that_is_never_sent_whole_is_not_waited_for(home, monkeypatch, text) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)
    with serving(home.settings) as address:
        assert ended(half_sent(address, text))
        monkeypatch.undo()
        with httpx.Client(base_url=address, timeout=60) as client:  # a page that is slow is no such request
            assert [client.get("/").status_code for _ in range(3)] == [200] * 3


def is_answered(address: str) -> bool:
    try:
        return httpx.get(address, timeout=60).status_code == 200
    except httpx.HTTPError:
        return False


def test_one_address_cannot_take_all_connections(home, monkeypatch) -> None:
    monkeypatch.setattr(connections, "MOST_EACH", 3)
    with serving(home.settings) as address:
        kept = [half_sent(address, b"GET / HTTP/1.1\r\n") for _ in range(3)]
        assert ended(half_sent(address, b"GET / HTTP/1.1\r\n"))
        for connection in kept:
            connection.close()
        eventually(lambda: is_answered(address), "nobody is let in again")


@pytest.mark.parametrize(("proxies", "limited"), [("10.0.0.1", True), ("127.0.0.0/8", False), ("*", False)])
def test_a_proxy_has_the_connections_of_everybody(home, monkeypatch, proxies, limited) -> None:
    monkeypatch.setattr(connections, "MOST_EACH", 1)
    with serving(replace(home.settings, review_proxies=proxies)) as address:
        kept = half_sent(address, b"GET / HTTP/1.1\r\n")
        assert is_answered(address) != limited
        kept.close()


def test_a_stranger_is_not_told_who_runs_it(manned, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "plant-svc-07")
    answer = httpx.get(f"{manned}/static/nowhere", timeout=60)
    assert answer.status_code == 404
    assert "plant-svc-07" not in answer.text


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::", "oddlot.plant"])
def test_no_other_address_without_a_password(home, host) -> None:
    with pytest.raises(SettingsError, match="ODDLOT_REVIEW_PASSWORD"):
        make_app(replace(home.settings, review_host=host))
    check_binding(replace(home.settings, review_host=host, review_password="x"), users=False)
    check_binding(replace(home.settings, review_host=host), users=True)


def test_behind_a_password_nothing_is_shown_without_it(locked, home) -> None:
    item = home.night.items["flange-0000.png"]
    for address in ("/", "/queue", f"/items/{item}", f"/items/{item}/thumb.webp", "/queue/next"):
        answer = locked.get(address)
        assert answer.status_code == 303, address
        assert answer.headers["location"].startswith("/login?next=")
    assert locked.get("/api/v1/jobs").status_code == 401
    assert locked.post(f"/items/{item}/verdict", data={"word": "good"}).status_code == 401
    assert locked.get("/static/review.css").status_code == 200


def test_login_leads_where_one_wanted_to_go_and_logout_ends_it(locked) -> None:
    wanted = {"password": "open sesame", "name": "Ada", "next": "/queue"}
    answer = locked.post("/login", data=wanted | form(locked, "/login"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
    assert all("HttpOnly" in value and "SameSite=strict" in value for value in answer.headers.get_list("set-cookie"))
    assert "Ada" in locked.get("/queue").text
    assert locked.post("/logout", data=form(locked)).status_code == 303
    assert locked.get("/queue").status_code == 303


def test_guessing_is_slowed_down_and_then_the_right_one_waits_too(locked) -> None:
    token = form(locked, "/login")
    seen = [locked.post("/login", data={"password": f"guess {n}"} | token).status_code for n in range(6)]
    assert seen == [403] * 5 + [429]
    assert locked.post("/login", data={"password": "open sesame"} | token).status_code == 429
    assert locked.get("/", headers={"Authorization": "Bearer open sesame"}).status_code == 401


def test_programs_come_in_by_the_password(locked, home, morning_engine) -> None:
    bearer = {"Authorization": "Bearer open sesame"}
    assert locked.get("/queue/next", headers=bearer).json()["items"]
    assert locked.get("/queue/next", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert locked.get("/", headers={"Authorization": "Basic open sesame"}).status_code == 401


def test_a_link_from_elsewhere_asks_once_more_with_the_cookie(locked) -> None:
    answer = locked.get("/jobs/1", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "refresh" in answer.text
    assert "flange" not in answer.text


@pytest.mark.parametrize("cookie", ["", "a", "a.b.c.d", "x.9999999999.1." + "0" * 64, "ä.1.1.1"])
def test_cookies_of_others_are_none(home, cookie) -> None:
    assert Sessions(home.settings.home, "secret").read(cookie) is None


def test_another_password_ends_all_sessions_and_a_restart_none(home) -> None:
    before = Sessions(home.settings.home, "one")
    cookie = before.cookie(before.new(proved=True))
    again = Sessions(home.settings.home, "one").read(cookie)
    assert again is not None
    assert again.proved
    assert Sessions(home.settings.home, "two").read(cookie) is None
    assert (home.settings.home / "review.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\nb", None])
def test_nobody_is_sent_elsewhere(target) -> None:
    assert own_page(target) == "/"
