"""`oddlot nightly`: what a person adds is started by itself, and what became of it is said."""

import datetime as dt
import os
import signal
from pathlib import Path
from zoneinfo import ZoneInfo

import polling
import pytest
from sqlalchemy import update

from db import models
from db.engine import open_database, writing
from db.schema import schedule, schedule_run
from oddlot.settings import load_settings

ROW = {"model": "flange", "at": "02:00", "zone": "Europe/Berlin", "missed": 0, "overdue_since": None, "error": None}


@pytest.fixture
def engine(empty_oddlot):
    opened = open_database(load_settings(empty_oddlot.environ).database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def plain(empty_oddlot, engine):
    """A home with a model of which nothing is there but its row."""
    models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.1,
        false_alarms=0.1, card={},
    )  # fmt: skip
    return empty_oddlot


def as_if_added(engine, ago: dt.timedelta, **values):
    with writing(engine) as connection:
        since = dt.datetime.now(dt.UTC) - ago
        connection.execute(update(schedule).values(active_since=since, created_at=since, **values))


def said_by_list(home) -> str:
    process = home.start("nightly", "list")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out + err


def test_add_says_when_it_is_due_and_list_shows_it(plain, tmp_path):
    assert "No schedules yet" in plain.run("nightly")
    said = plain.run(
        "nightly", "add", "flange", f"{tmp_path}/{{yesterday:%Y-%m-%d}}", "--at", "2:00", "--zone", "Europe/Berlin"
    )
    assert f"{tmp_path}/{{yesterday:%Y-%m-%d}} against flange, daily at 02:00 Europe/Berlin" in said
    added = plain.json(
        "nightly", "add", "flange", "~/parts", "--at", "23:59", "--zone", "UTC", "--name", "line3", "--line", "line 3",
        "--only-new", "--keep", "90",
    )  # fmt: skip
    assert (added["schedule"], added["line"], added["only_new"], added["keep_days"]) == ("line3", "line 3", True, 90)
    assert added["folder"] == os.path.expanduser("~/parts")
    first, second = plain.json("nightly", "list")
    assert second == added
    assert first.items() >= (ROW | {"schedule": "flange", "state": "active", "job": None, "result": None}).items()
    due = dt.datetime.fromisoformat(first["next_due"])
    assert dt.timedelta(0) < due - dt.datetime.now(dt.UTC) < dt.timedelta(hours=26)
    in_berlin = f"{due.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M}"
    assert in_berlin.endswith(" 02:00")
    assert in_berlin in said_by_list(plain)


def test_the_zone_of_the_machine_is_taken_and_said(plain, tmp_path):
    plain.environ["TZ"] = "Asia/Kolkata"
    assert "daily at 02:00 Asia/Kolkata" in plain.run("nightly", "add", "flange", tmp_path, "--at", "02:00")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("flange", "/d/{now}", "--at", "02:00"), "braces may only hold a day and its format, {yesterday:%Y-%m-%d}"),
        (("flange", "/d/{today:%H}", "--at", "02:00"), "%H is no part of a date"),
        (("flange", "/d", "--at", "noon"), "'noon' is not a time of day"),
        (("flange", "/d", "--at", "02:00", "--zone", "CEST/Berlin"), "there is no time zone 'CEST/Berlin'"),
        (("flange", "/d", "--at", "02:00", "--name", "line 3"), "cannot be the name of a schedule"),
        (("bolt", "/d", "--at", "02:00"), "there is no model 'bolt'"),
    ],
)
def test_what_cannot_be_started_is_refused_when_it_is_added(plain, arguments, said):
    error = plain.run("nightly", "add", *arguments, status=1)
    assert said in error
    assert len(error.splitlines()) == 1
    assert plain.json("nightly", "list") == []


def test_a_name_is_given_once_and_names_that_are_not_there_are_one_line(plain, tmp_path):
    plain.run("nightly", "add", "flange", tmp_path, "--at", "02:00")
    error = plain.run("nightly", "add", "flange", tmp_path, "--at", "03:00", status=1)
    assert "there is a schedule 'flange' already" in error
    for word in ("remove", "pause", "resume", "run-now"):
        assert "there is no schedule 'line3': `oddlot nightly list`" in plain.run("nightly", word, "line3", status=1)


def test_pause_resume_and_remove(plain, engine, tmp_path):
    plain.run("nightly", "add", "flange", tmp_path, "--at", "02:00")
    as_if_added(engine, dt.timedelta(days=3))
    assert "nobody has started what was due at" in said_by_list(plain)
    plain.run("nightly", "pause", "flange")
    (paused,) = plain.json("nightly", "list")
    assert (paused["state"], paused["next_due"], paused["overdue_since"]) == ("paused", None, None)
    assert "is active, next at" in plain.run("nightly", "resume", "flange")
    (active,) = plain.json("nightly", "list")
    assert (active["state"], active["overdue_since"]) == ("active", None)
    plain.run("nightly", "remove", "flange")
    assert plain.json("nightly", "list") == []


def test_a_folder_that_was_not_there_is_said_with_what_to_do_and_run_now_does_it(plain, engine, tmp_path):
    note = plain.start("nightly", "add", "flange", tmp_path / "parts", "--at", "02:00").communicate(timeout=60)[1]
    assert "parts is not there now" in note
    assert "parts is not a folder" in plain.run("nightly", "run-now", "flange", status=1)
    with writing(engine) as connection:
        moment = dt.datetime.now(dt.UTC)
        connection.execute(
            schedule_run.insert().values(
                schedule_id=1, due_at=moment, started_at=moment, missed=2, owner="gone", error="parts is not a folder"
            )
        )
    (failed,) = plain.json("nightly", "list")
    assert (failed["result"], failed["error"], failed["missed"]) == ("failed", "parts is not a folder", 2)
    said = said_by_list(plain)
    assert "flange: parts is not a folder; when that is mended: oddlot nightly run-now flange" in said
    assert "flange: 2 runs before the last one were missed" in said
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.png").write_bytes(b"x")
    process = plain.start("nightly", "run-now", "flange")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "1\n")
    assert "1 pictures listed" in err
    (mended,) = plain.json("nightly", "list")
    assert (mended["result"], mended["job"], mended["error"]) == ("queued", 1, None)
    assert plain.json("job", "1")["listed"] == 1


def beats(home) -> list[int]:
    mine = f"ODDLOT_HOME={home.home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found += [int(folder.name)] if b"beat" in words else []
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_up_inspects_what_is_due_once_and_a_killed_clock_loses_nothing(oddlot, drawn):
    oddlot.run("nightly", "add", "flange", drawn / "tonight", "--at", "00:00", "--zone", "UTC", "--line", "line 3")
    engine = open_database(load_settings(oddlot.environ).database_url)
    as_if_added(engine, dt.timedelta(days=4))
    up = oddlot.start("up", "--concurrency", "1")
    try:

        def last_run():
            assert up.poll() is None
            (row,) = oddlot.json("nightly", "list")
            return row if row["result"] == "done" else None

        first = polling.eventually(last_run, "what was due was not inspected", seconds=200, every=0.5)
        assert (first["job"], first["missed"]) == (1, 3)
        (beat,) = beats(oddlot)
        os.kill(beat, signal.SIGKILL)
        with writing(engine) as connection:
            connection.execute(schedule_run.delete())
            connection.execute(update(schedule).values(at="00:01"))
        second = polling.eventually(
            lambda: (row := last_run()) and row["job"] == 2 and row,
            "nobody started the next one",
            seconds=200,
            every=0.5,
        )
    finally:
        up.terminate()
        up.communicate(timeout=60)
        engine.dispose()
    assert second["error"] is None
    assert [job["listed"] for job in oddlot.json("jobs")] == [24, 24]
    oddlot.leaves_nothing()
