"""What watches Oddlot from outside: metrics behind the password, and a health that names nobody and is open to all."""

import contextlib

import httpx
from finished_jobs import change_job, listed_job
from page_server import serving
from prometheus_client.parser import text_string_to_metric_families

from db.jobs import get_job
from db.models import get_model_by_id
from review import metrics_out


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_metrics_of_the_morning(client, home) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    seen = families(answer.text)
    assert {s.labels["state"]: s.value for s in seen["oddlot_jobs"].samples}["held"] >= 1
    assert sum(s.value for s in seen["oddlot_flagged_items"].samples) > 0
    assert "set-cookie" not in answer.headers


def test_metrics_need_the_password_where_there_is_one(locked) -> None:
    answer = locked.get("/metrics")
    assert answer.status_code == 401, "not a page to sign in, which Prometheus would follow"
    assert "oddlot_" not in answer.text
    assert locked.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    good = locked.get("/metrics", headers={"Authorization": "Bearer open sesame"})
    assert families(good.text)["oddlot_database_up"].samples[0].value == 1


def test_health_is_open_and_says_what_stalls_without_a_name(locked, home, morning_engine, monkeypatch) -> None:
    monkeypatch.setattr(metrics_out, "KEPT_SECONDS", 0.0)
    for row in (get_job(morning_engine, number) for number in range(1, get_job(morning_engine, "last").id + 1)):
        if row.finished_at is None:
            change_job(morning_engine, row.id, state="done")
    answer = locked.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    model = get_model_by_id(morning_engine, get_job(morning_engine, "last").model_id)
    listed_job(morning_engine, model, ["/secret/place/a.png"], line="press-3", lot="lot 7")
    answer = locked.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "stalled", "database": True, "problems": ["1 batches wait and no worker is alive"]
    }  # fmt: skip
    assert "set-cookie" not in answer.headers
    assert locked.head("/healthz").status_code == 503
    assert locked.get("/healthzs").status_code == 303


def test_anybody_may_ask_often_and_the_database_is_not_asked_each_time(client, home, monkeypatch) -> None:
    monkeypatch.setattr(metrics_out, "KEPT_SECONDS", 60.0)
    asked = []
    monkeypatch.setattr(metrics_out.health, "of_everything", lambda *_: asked.append(1) or [])
    assert [client.get("/healthz").status_code for _ in range(5)] == [200] * 5
    assert len(asked) == 1


def test_a_database_that_is_gone_or_of_another_version(home, morning_engine, monkeypatch) -> None:
    monkeypatch.setattr(metrics_out, "KEPT_SECONDS", 0.0)
    with serving(home.settings) as address, contextlib.closing(httpx.Client(base_url=address, timeout=60)) as client:
        with morning_engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        assert client.get("/healthz").json()["problems"] == ["the database is of another version: `oddlot db upgrade`"]
        (home.settings.home / "oddlot.db").rename(home.settings.home / "elsewhere")
        (home.settings.home / "oddlot.db").mkdir()
        answer = client.get("/healthz")
        assert (answer.status_code, answer.json()["database"]) == (503, False)
