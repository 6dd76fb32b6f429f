"""What Prometheus reads is what SQL says, whatever became of the rows since, and also when there is no database."""

import datetime as dt
import threading
from dataclasses import replace

import pytest
from finished_jobs import change_job, finished_job, listed_job, some_model
from prometheus_client.parser import text_string_to_metric_families
from shop import ONE_DATABASE
from sqlalchemy import func, insert, select, update

from db import batches, deliveries, endings, models, pruning, schedules, workers
from db.engine import make_engine, now, reading, writing
from db.schema import batch, delivery, fit, item, job, result, schedule, schedule_run, worker
from oddlot.settings import load_settings
from oddlot.words import DeliveryKind, FitState, JobState
from worker import metrics, postman, store_space
from worker.metric_names import ALL, BY_NAME
from worker.metrics import MOST_LINES, Exporter


class Scraped:
    """What an exporter gives, as Prometheus understands it."""

    def __init__(self, text: bytes) -> None:
        self.families = list(text_string_to_metric_families(text.decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name, **labels):
        """The one value of a metric with exactly these labels, None where there is none."""
        assert set(labels) == set(BY_NAME[name].labels)
        found = [s.value for s in self.samples if (s.name, s.labels) == (name, labels)]
        assert len(found) <= 1
        return found[0] if found else None

    def all(self, name):
        return {tuple(s.labels[label] for label in BY_NAME[name].labels): s.value
                for s in self.samples if s.name == name}  # fmt: skip


@pytest.fixture
def settings(tmp_path, database_url):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_DATABASE_URL": database_url})


@pytest.fixture
def scrape(engine, settings):
    exporter = Exporter(engine, settings)
    return lambda: Scraped(exporter.text())


@pytest.fixture
def flange(engine):
    return some_model(engine)


def shift(engine, table, column, seconds, *where):
    with writing(engine) as connection:
        moment = now(connection) - dt.timedelta(seconds=seconds)
        connection.execute(update(table).where(*where).values({column: moment}))


def counts_in_sql(engine):
    with reading(engine) as connection:
        states = select(item.c.state, func.count()).group_by(item.c.state)
        flags = select(func.count()).select_from(result).where(result.c.flagged)
        return dict(connection.execute(states).tuples().all()), connection.execute(flags).scalar_one()


def test_items_and_flags_are_those_of_the_database(engine, flange, scrape):
    finished_job(engine, flange, [0.9, 0.1, 0.7, "the file is empty"], line="press-3")
    finished_job(engine, flange, [0.1, 0.2], line=None, lot="another")
    seen, (states, flags) = scrape(), counts_in_sql(engine)
    items = seen.all("oddlot_items_total")
    assert {state: sum(n for key, n in items.items() if key[2] == state) for state in states} == states
    assert items["press-3", "flange", "unreadable"] == 1
    assert items["", "flange", "scored"] == 2
    assert sum(seen.all("oddlot_flagged_items_total").values()) == flags == 2
    assert seen.value("oddlot_jobs", state="done") == 2
    assert seen.value("oddlot_last_job_flagged_items", line="press-3", model="flange") == 2
    assert seen.value("oddlot_stage_seconds_total", line="press-3", model="flange", stage="writing") > 0


def test_counters_do_not_fall_when_results_are_pruned(engine, flange, scrape):
    row = finished_job(engine, flange, [0.9, 0.1])
    before = {family.name: family.samples for family in scrape().families if family.type == "counter"}
    rule = pruning.Rule(dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert pruning.begin(engine, row.id, rule)
    assert sum(removed for removed, _ in pruning.remove_rows(engine, row.id, keep_verdicts=False)) == 2
    assert {family.name: family.samples for family in scrape().families if family.type == "counter"} == before


def test_every_metric_is_in_the_table_and_is_told_of_with_its_labels(engine, flange, scrape):
    finished_job(engine, flange, [0.9, 0.1])
    seen = scrape()
    assert [family.name for family in seen.families] == [one.name.removesuffix("_total") for one in ALL]
    for family in seen.families:
        assert family.documentation
        for sample in family.samples:
            assert set(sample.labels) == set(BY_NAME[sample.name].labels)
    assert not [one.name for one in ALL if (one.kind == "counter") != one.name.endswith("_total")]


def test_a_held_night_and_how_far_it_is_from_what_the_model_knows(engine, flange, scrape):
    row = finished_job(engine, flange, [0.1, 0.2], line="press-3")
    bins = {"model": [0.5, 0.5, 0.0, 0.0], "tonight": [0.0, 0.25, 0.25, 0.5]}
    change_job(engine, row.id, state=JobState.HELD, validity={"reasons": [{}], "evidence": {"brightness": bins}})
    seen = scrape()
    assert seen.value("oddlot_held_jobs", line="press-3", model="flange") == 1
    assert seen.value("oddlot_drift_ratio", line="press-3", model="flange", figure="brightness") == 0.75
    change_job(engine, row.id, state=JobState.DONE)
    assert scrape().all("oddlot_held_jobs") == {}
    newer = finished_job(engine, flange, [0.1], line="press-3")
    change_job(engine, newer.id, validity={"evidence": {"brightness": {"model": "meddled with"}}})
    assert scrape().all("oddlot_drift_ratio") == {}


def test_a_failed_job_is_shown_for_a_day(engine, flange, scrape):
    row = listed_job(engine, flange, ["/a.png"], line="press-3")
    endings.fail_job(engine, row.id, "no bundle")
    assert scrape().value("oddlot_failed_jobs", line="press-3", model="flange") == 1
    shift(engine, job, "finished_at", 90_000)
    assert scrape().all("oddlot_failed_jobs") == {}


def test_what_waits_and_what_is_in_work(engine, flange, scrape):
    row = listed_job(engine, flange, ["/a.png", "/b.png"], line="press-3")
    shift(engine, batch, "waiting_since", 500)
    seen = scrape()
    assert seen.value("oddlot_batches", line="press-3", state="waiting") == 1
    assert 500 <= seen.value("oddlot_oldest_waiting_seconds", line="press-3") < 600
    assert seen.value("oddlot_stalled") == 1, "nobody is there"
    batches.claim_batch(engine, row.id, 1, "elsewhere|x|1|1", 60.0)
    seen = scrape()
    assert seen.value("oddlot_batches", line="press-3", state="leased") == 1
    assert seen.value("oddlot_oldest_waiting_seconds", line="press-3") == 0
    assert seen.value("oddlot_stalled") == 0
    shift(engine, batch, "lease_expires_at", 120)
    assert scrape().value("oddlot_batches", line="press-3", state="stuck") == 1
    endings.cancel_job(engine, row.id)
    assert scrape().all("oddlot_batches") == {("", "waiting"): 0, ("", "leased"): 0, ("", "stuck"): 0}


def test_workers_by_host(engine, scrape):
    workers.beat(engine, "a", "press-pc", 1, workers.SUPERVISOR, progress=False, silent_seconds=60)
    workers.beat(engine, "b", "press-pc", 2, workers.CHILD, progress=True, silent_seconds=60)
    workers.beat(engine, "c", "gone-pc", 3, workers.SUPERVISOR, progress=False, silent_seconds=-1)
    workers.beat(engine, "d", "clock-pc", 4, workers.CLOCK, progress=False, silent_seconds=60)
    shift(engine, worker, "progress_at", 30, worker.c.name == "b")
    workers.record_restart(engine, "press-pc", 1, "it took nothing")
    seen = scrape()
    assert seen.all("oddlot_workers") == {("press-pc",): 1, ("gone-pc",): 0}
    assert 30 <= seen.value("oddlot_worker_progress_seconds", host="press-pc") < 90
    assert seen.value("oddlot_worker_restarts", host="press-pc") == 1
    assert seen.value("oddlot_clocks") == 1
    workers.stop(engine, "c")
    assert scrape().all("oddlot_workers") == {("press-pc",): 1}


def test_only_the_active_version_of_a_model(engine, flange, scrape):
    some_model(engine)
    assert scrape().all("oddlot_model_info") == {("flange", "2", "paper"): 1}
    models.rollback(engine, "flange")
    assert scrape().all("oddlot_model_info") == {("flange", "1", "paper"): 1}


def test_fits_that_wait(engine, scrape):
    with writing(engine) as connection:
        moment = now(connection) - dt.timedelta(seconds=100)
        for state in (FitState.QUEUED, FitState.DONE):
            new = {"name": "flange", "options": {}, "attempts": 0, "fencing": 0, "created_at": moment, "state": state}
            connection.execute(insert(fit).values(new))
    seen = scrape()
    assert seen.all("oddlot_fits") == {("queued",): 1, ("running",): 0}
    assert 100 <= seen.value("oddlot_oldest_fit_seconds") < 200


def test_a_night_that_nobody_started_one_that_failed_and_one_that_came_late(engine, flange, scrape):
    for name in ("missed", "failed", "late", "paused"):
        schedules.add_schedule(engine, name=name, model_name="flange", folder="/data", line="press-3", at="02:00",
                               time_zone="UTC", only_new=True, keep_days=None)  # fmt: skip
    schedules.pause_schedule(engine, "paused")
    shift(engine, schedule, "active_since", 4 * 86_400)
    with reading(engine) as connection:
        moment = now(connection)
        ids = dict(connection.execute(select(schedule.c.name, schedule.c.id)).tuples().all())
    due = moment.replace(hour=2, minute=0, second=0, microsecond=0)
    due = due if due <= moment else due - dt.timedelta(days=1)
    for name, days, error in (("missed", 1, None), ("failed", 0, "no such folder"), ("late", 0, None)):
        with writing(engine) as connection:
            run = {"schedule_id": ids[name], "due_at": due - dt.timedelta(days=days), "error": error, "missed": 3,
                   "started_at": due - dt.timedelta(days=days) + dt.timedelta(seconds=40)}  # fmt: skip
            connection.execute(insert(schedule_run).values(run))
    seen = scrape()

    def of(name):
        return {key[0]: value for key, value in seen.all(name).items()}

    overdue = of("oddlot_nightly_overdue_seconds")
    assert overdue.pop("missed") == pytest.approx((moment - due).total_seconds(), abs=60)
    assert overdue == {"failed": 0, "late": 0}
    assert of("oddlot_nightly_failed") == {"missed": 0, "failed": 1, "late": 0}
    assert of("oddlot_nightly_start_delay_seconds") == {"missed": 40, "failed": 40, "late": 40}
    assert of("oddlot_nightly_missed_runs")["late"] == 3


def test_reports_that_do_not_arrive(engine, flange, settings, scrape):
    finished_job(engine, flange, [0.9])
    target = (DeliveryKind.FOLDER, "/srv/reports")
    assert deliveries.plan(engine, [target]) == 1
    assert scrape().value("oddlot_deliveries", kind="folder", state="waiting") == 1
    row = deliveries.claim(engine, [target], "me", 60.0)
    deliveries.record_failed(engine, row, "me", "no such folder")
    assert scrape().value("oddlot_deliveries", kind="folder", state="retrying") == 1
    with writing(engine) as connection:
        connection.execute(update(delivery).values(next_at=None))
    assert scrape().value("oddlot_deliveries", kind="folder", state="failed") == 1
    assert postman.targets_of(settings) == []


@ONE_DATABASE
def test_lines_beyond_a_bound_come_together(engine, flange, scrape, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_LINES", 2)
    for number in range(4):
        finished_job(engine, flange, [0.9], line=f"press-{number}")
    flags = scrape().all("oddlot_flagged_items_total")
    assert flags == {("press-0", "flange"): 1, ("press-1", "flange"): 1, ("other", "flange"): 2}
    assert MOST_LINES < 2000


@ONE_DATABASE
def test_names_that_would_break_the_format(engine, scrape):
    row = models.register_model(
        engine, name="flange", bundle_uri="x", bundle_sha256="0" * 64, architecture="paper", threshold=0.5,
        false_alarms=0.1, card={},
    )  # fmt: skip
    odd = 'a "line"\\\nwith\udcff'
    finished_job(engine, row, [0.9], line=odd)
    (key,) = scrape().all("oddlot_flagged_items_total")
    assert key[0] == 'a "line"\\\nwith\\udcff'


@ONE_DATABASE
def test_a_database_of_another_version_is_one_of_the_metrics(engine, scrape):
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    seen = scrape()
    assert (seen.value("oddlot_database_up"), seen.value("oddlot_database_migrated")) == (1, 0)
    assert seen.all("oddlot_jobs") == {}


def test_without_a_database_that_is_all_that_is_said(tmp_path):
    url = "postgresql://oddlot:geheim@127.0.0.1:9/oddlot"
    settings = load_settings({"ODDLOT_HOME": str(tmp_path), "ODDLOT_DATABASE_URL": url})
    engine = make_engine(url)
    text = Exporter(engine, settings).text()
    engine.dispose()
    seen = Scraped(text)
    assert seen.value("oddlot_database_up") == 0
    assert seen.value("oddlot_queue_up") == 0
    assert seen.value("oddlot_store_free_bytes", store="home") > 0
    assert b"geheim" not in text


@ONE_DATABASE
def test_a_store_elsewhere_and_one_that_hangs_are_left_out(engine, settings, monkeypatch):
    elsewhere = replace(settings, map_store="s3://bucket/maps")
    assert set(Scraped(Exporter(engine, elsewhere).text()).all("oddlot_store_free_bytes")) == {
        ("home",), ("models",), ("thumbnails",)
    }  # fmt: skip
    over, calls = threading.Event(), []

    def hangs(path):
        calls.append(path)
        over.wait(30)
        raise OSError("gone")

    monkeypatch.setattr(store_space, "SECONDS", 0.05)
    monkeypatch.setattr(store_space.shutil, "disk_usage", hangs)
    exporter = Exporter(engine, settings)
    try:
        for _ in range(3):
            assert Scraped(exporter.text()).all("oddlot_store_free_bytes") == {}
        assert len(calls) == 1, "one thread hangs, not one for each time somebody asks"
    finally:
        over.set()
