"""With hundreds of schedules and models nobody asks a question for each of them, and a night of them starts whole."""

import datetime as dt
import json

import pytest
from shop import ONE_DATABASE
from sqlalchemy import insert, update

from bench.statements import asked_of
from cli import nightly as nightly_commands
from cli import session as sessions
from db import jobs, models, schedules
from db.engine import now, writing
from db.schema import model, schedule
from oddlot.settings import load_settings
from oddlot.words import ModelState
from worker import nightly

MANY = 120

pytestmark = ONE_DATABASE


@pytest.fixture
def settings(tmp_path):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_SETTLE_SECONDS": "0"})


@pytest.fixture
def plant(engine, tmp_path):
    """Many schedules, a line and a model for each; all were due five minutes ago."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "1.png").touch()
    with writing(engine) as connection:
        moment = now(connection)
        connection.execute(insert(model), [
            {"name": f"part-{n}", "version": v, "architecture": "none", "bundle_uri": "none", "bundle_sha256": "0" * 64,
             "state": ModelState.ACTIVE if v == 5 else ModelState.RETIRED, "card": {"large": "x" * 1000},
             "threshold": 0.5, "false_alarms": 0.01, "created_at": moment} for n in range(MANY) for v in range(1, 6)
        ])  # fmt: skip
    due = moment - dt.timedelta(minutes=5)
    with writing(engine) as connection:
        connection.execute(insert(schedule), [
            {"name": f"line-{n:03}", "model_name": f"part-{n}", "folder": str(folder), "line": f"line-{n}",
             "at": f"{due:%H:%M}", "time_zone": "UTC", "only_new": False, "paused": False,
             "active_since": due - dt.timedelta(hours=1), "created_at": moment} for n in range(MANY)
        ])  # fmt: skip
    return moment


def test_all_that_are_due_in_one_minute_are_started_by_one_tick_and_the_next_asks_little(engine, settings, plant):
    nightly.tick(engine, settings, plant)
    found = jobs.find_jobs(engine, limit=None)
    assert {one.line for one in found} == {f"line-{n}" for n in range(MANY)}
    assert [one.listed for one in found] == [1] * MANY
    with asked_of(engine) as asked:
        nightly.tick(engine, settings, plant)
    assert len(asked) < 20
    assert len(jobs.find_jobs(engine, limit=None)) == MANY


def test_what_people_look_at_asks_no_question_for_each_row(engine, settings, plant, monkeypatch, capsys):
    nightly.tick(engine, settings, plant)
    shared = sessions.Session(settings, engine)
    monkeypatch.setattr(nightly_commands, "open_session", lambda: shared)
    with asked_of(engine) as asked:
        nightly_commands.list_all(True)
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == MANY
    assert {(row["result"], row["overdue_since"], row["error"]) for row in rows} == {("queued", None, None)}
    assert len(asked) < 20
    with asked_of(engine) as asked:
        assert len(jobs.find_jobs(engine, limit=None)) == MANY
    assert len(asked) < 20


def test_a_list_of_models_reads_no_cards_unless_they_are_wanted(engine, plant):
    with asked_of(engine) as asked:
        plain = models.list_models(engine, cards=False)
    assert len(plain) == 5 * MANY
    assert not any("card" in statement for statement, _ in asked)
    whole = models.list_models(engine, "part-7")
    assert [row.card for row in whole] == [{"large": "x" * 1000}] * 5
    assert [(row.id, row.state) for row in whole] == [(row.id, row.state) for row in plain if row.name == "part-7"]


def test_one_that_cannot_be_started_keeps_none_of_the_others(engine, settings, plant, tmp_path):
    with writing(engine) as connection:
        connection.execute(update(schedule).where(schedule.c.name == "line-007").values(folder=str(tmp_path / "gone")))
    nightly.tick(engine, settings, plant)
    assert len(jobs.find_jobs(engine, limit=None)) == MANY - 1
    assert schedules.latest_run(engine, schedules.get_schedule(engine, "line-007").id).failed
