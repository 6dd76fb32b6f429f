"""Every address needs the role that stands in one table, and refuses whoever has less."""

import httpx
import pytest
from fastapi import FastAPI
from morning import make_model
from page_server import form
from people import NAMES, signed_in

from db import tokens
from db.audit_log import entries
from oddlot.words import Role
from review import roles
from review.app import make_app

VALUES = {"job_id": "1", "item_id": "1", "verdict_id": "1", "word": "release", "name": "flange", "version": "1"}


@pytest.fixture
def routes(home) -> list[tuple[str, str, Role | None]]:
    """All that the application serves: method, an address that is there, role."""
    app = make_app(home.settings)
    served = roles.served(app.routes)
    app.state.engine.dispose()
    app.state.pictures.close()
    app.state.comparisons.close()
    return [(method, path.format(**VALUES), roles.NEEDED[method, path]) for method, path in served]


def test_the_table_names_what_is_served_and_nothing_else(home) -> None:
    app = make_app(home.settings)
    assert set(roles.served(app.routes)) == set(roles.NEEDED)
    everybody = {path for (_, path), role in roles.NEEDED.items() if role is roles.OPEN}
    assert everybody == {"/static/charts.css", "/login", "/healthz"}


def test_an_address_without_a_role_does_not_begin(home) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/secrets")(lambda: "all of them")
    with pytest.raises(RuntimeError, match="GET /secrets"):
        roles.Roles(app.routes)


def test_nobody_who_is_not_signed_in_gets_anything(manned, routes, morning_engine, home) -> None:
    with httpx.Client(base_url=manned, timeout=60) as stranger:
        for method, path, role in routes:
            answer = stranger.request(method, path)
            if role is roles.OPEN:
                assert answer.status_code in (200, 403, 503), path  # a form wants its token; work may stall
            elif method == "GET" and not path.startswith(("/api/", "/metrics")):
                assert (answer.status_code, answer.headers["location"][:12]) == (303, "/login?next="), path
            else:
                assert answer.status_code == 401, f"{method} {path}"
        assert stranger.get("/nowhere").status_code == 303
        assert stranger.get("/api/v1/jobs", headers={"Authorization": "Bearer open sesame"}).status_code == 401


@pytest.mark.parametrize("role", list(Role))
def test_each_role_gets_what_it_may_and_is_refused_the_rest(manned, routes, morning_engine, role) -> None:
    secret = tokens.add_token(morning_engine, "mes", role, lifetime=None)
    refused = 0
    with signed_in(morning_engine, manned, NAMES[role]) as client, signed_in(morning_engine, manned, "Ada") as program:
        program.headers["Authorization"] = f"Bearer {secret}"  # counts before the cookie of an admin
        for method, path, needed in routes:
            if path in ("/logout", "/static/charts.css", "/login", "/healthz"):
                continue
            answer = client.request(method, path)
            if not role.covers(needed):
                refused += 1
                assert answer.status_code == 403, f"{method} {path}"
                assert f"needs the role {needed}" in answer.text
                told = program.request(method, path)
                assert (told.status_code, list(told.json())) == (403, ["error"]), f"{method} {path}"
            elif method == "GET":
                assert answer.status_code in (200, 303, 404, 500, 503), f"{method} {path}: {answer.text}"
                assert "/login" not in answer.headers.get("location", "")
            else:
                assert answer.status_code == 403, f"{method} {path}"
                assert answer.text.startswith("Refused: "), "a form without its token"
    recorded = [one for one in entries(morning_engine) if one.action == "refused"]
    assert len(recorded) == 2 * refused
    assert {(one.who, one.via) for one in recorded} <= {(NAMES[role], "page"), ("mes (token)", "api")}


def test_what_a_role_may_not_do_is_not_shown(manned, morning_engine, home) -> None:
    item = home.night.items["flange-0000.png"]
    pages = ["/", f"/items/{item}", "/flagged", f"/jobs/{home.jobs['held'].job_id}", "/models/flange"]
    make_model(morning_engine, home.settings, version=2)

    def actions(role: Role) -> str:
        with signed_in(morning_engine, manned, NAMES[role]) as client:
            return "".join(client.get(page).text for page in pages)

    viewer, reviewer, admin = actions(Role.VIEWER), actions(Role.REVIEWER), actions(Role.ADMIN)
    assert viewer.count('<form method="post"') == len(pages), "but for the one to sign out"
    for judging in ("/verdict", "/release", 'href="/queue'):
        assert judging not in viewer
        assert judging in reviewer
    assert "/models/flange/rollback" not in reviewer
    assert "/models/flange/rollback" in admin


def test_a_verdict_bears_the_name_of_who_is_signed_in_and_no_other(manned, morning_engine, home) -> None:
    from db.verdicts import verdicts_of

    item = home.night.items["flange-0000.png"]
    with signed_in(morning_engine, manned, "Rex") as client:
        client.cookies.set("oddlot_reviewer", "Ada")
        data = {"word": "good", "reviewer": "Ada", "name": "Ada"} | form(client)
        assert client.post(f"/items/{item}/verdict", data=data).status_code == 303
        assert client.get("/name").status_code == 303, "there is no name to choose"
        held = home.jobs["held"].job_id
        assert client.post(f"/jobs/{held}/release", data={"note": "lamp"} | form(client)).status_code == 303
    assert [row.reviewer for row in verdicts_of(morning_engine, item)] == ["Rex"]
    released = next(one for one in entries(morning_engine) if one.action == "job released")
    assert (released.who, released.via, released.what, released.detail) == ("Rex", "page", f"job {held}", "lamp")
