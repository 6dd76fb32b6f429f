"""Each due time starts one job: with many ticks at once, killed ones, clocks that jump, folders that are not there."""

import contextlib
import datetime as dt
import os
import random
import shutil

import pytest
from shop import child, eventually, register
from sqlalchemy import func, select, update

from db import jobs, schedules
from db.engine import now, reading, writing
from db.schema import job, schedule, schedule_run
from oddlot.errors import OddlotError, StateError
from oddlot.settings import load_settings
from oddlot.words import JobState
from worker import nightly, submission

SINCE = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
"""When the schedules of these tests were created: their first due time is that of the 6th."""
DUE = dt.datetime(2026, 1, 6, 1, tzinfo=dt.UTC)
"""02:00 in Berlin."""
SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)

TICK = """
import datetime as dt, sys, time
from db import schedules
from db.engine import open_database
from oddlot.settings import load_settings
from worker import nightly, submission, supervision

supervision.configure_logging("ERROR")

def hang(*_, **__):
    print("here", flush=True)
    time.sleep(600)

on_listed = None
match sys.argv[2]:
    case "claimed": nightly._start = hang
    case "created": submission.list_items = hang
    case "listing": on_listed = hang
    case "listed": schedules.record_job = hang
settings = load_settings()
engine = open_database(settings.database_url)
print("ready", flush=True)
sys.stdin.readline()
nightly.tick(engine, settings, dt.datetime.fromisoformat(sys.argv[1]), on_listed=on_listed)
print("done", flush=True)
"""


@pytest.fixture
def variables(database_url, tmp_path):
    return {
        "ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_DATABASE_URL": database_url,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip


@pytest.fixture
def settings(variables):
    return load_settings(variables)


@pytest.fixture
def days(tmp_path):
    """Folders of three pictures for the first days of January 2026."""
    for day in range(1, 12):
        folder = tmp_path / f"2026-01-{day:02}"
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.png").write_bytes(b"x" * (number + 1))
    return tmp_path


@pytest.fixture
def add(engine, days):
    register(engine, "0" * 64)

    def add_one(name="line3", folder="{yesterday:%Y-%m-%d}", **values):
        shown = {
            "model_name": "flange", "line": "line 3", "at": "02:00", "time_zone": "Europe/Berlin", "only_new": False,
            "keep_days": None,
        }  # fmt: skip
        made = schedules.add_schedule(engine, name=name, folder=f"{days}/{folder}", **(shown | values))
        with writing(engine) as connection:
            connection.execute(update(schedule).where(schedule.c.id == made.id).values(active_since=SINCE))
        return schedules.get_schedule(engine, name)

    return add_one


@pytest.fixture
def tick(engine, settings):
    return lambda moment: nightly.tick(engine, settings, moment)


def runs(engine):
    """Of all runs by due time: the due time, and the folder's name of the job."""
    with reading(engine) as connection:
        query = select(schedule_run.c.due_at, job.c.source).outerjoin(job, job.c.id == schedule_run.c.job_id)
        return [
            (due, source and os.path.basename(source)) for due, source in connection.execute(query.order_by("due_at"))
        ]


def count_jobs(engine):
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(job)).scalar_one()


def change_run(engine, **values):
    with writing(engine) as connection:
        connection.execute(update(schedule_run).values(**values))


def test_a_run_is_started_when_it_is_due_and_once(engine, add, tick, days):
    made = add(only_new=True)
    tick(DUE - SECOND)
    assert runs(engine) == []
    for later in (0 * HOUR, SECOND, HOUR, 23 * HOUR):
        tick(DUE + later)
    assert runs(engine) == [(DUE, "2026-01-05")]
    (started,) = jobs.list_jobs(engine, limit=10)
    assert (started.source, started.line, started.listed) == (str(days / "2026-01-05"), "line 3", 3)
    assert (started.model_name, started.only_new, started.state) == ("flange", True, JobState.QUEUED)
    assert started.night == dt.date(2026, 1, 5)
    tick(DUE + DAY)
    assert runs(engine) == [(DUE, "2026-01-05"), (DUE + DAY, "2026-01-06")]
    assert schedules.latest_run(engine, made.id).missed == 0


def test_after_downtime_the_latest_due_time_is_run_and_the_others_are_said(engine, add, tick):
    made = add()
    tick(DUE)
    for _ in range(2):
        tick(DUE + 4 * DAY + 20 * HOUR)
    assert runs(engine) == [(DUE, "2026-01-05"), (DUE + 4 * DAY, "2026-01-09")]
    assert schedules.latest_run(engine, made.id).missed == 3
    assert jobs.get_job(engine, "last").night == dt.date(2026, 1, 9)  # of the due time, not of the day it was begun


def test_a_clock_that_jumps_starts_no_due_time_twice(engine, add, tick):
    add()
    for jump in (3, 1, 3, -400, 0, 3, 2, 1):
        tick(DUE + jump * DAY)
    expected = [(DUE, "2026-01-05"), *((DUE + n * DAY, f"2026-01-{5 + n:02}") for n in (1, 2, 3))]
    assert runs(engine) == expected
    assert count_jobs(engine) == 4


def test_an_hour_that_comes_twice_is_run_once(engine, add, tick, days):
    add(at="02:30", folder="2026-01-01")
    first = dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
    tick(first - DAY)
    for minutes in range(-40, 130, 10):
        tick(first + dt.timedelta(minutes=minutes))
    assert [due for due, _ in runs(engine)] == [first - DAY, first]


def test_what_was_due_before_the_schedule_was_resumed_is_not_started(engine, add, tick):
    add()
    schedules.pause_schedule(engine, "line3")
    tick(DUE)
    resumed = schedules.resume_schedule(engine, "line3")
    tick(resumed.active_since)
    assert runs(engine) == []
    following = nightly.due_times(resumed).following(resumed.active_since)
    tick(following)
    assert [due for due, _ in runs(engine)] == [following]


def test_resuming_what_is_not_paused_forgets_nothing(engine, add, tick):
    add()
    schedules.resume_schedule(engine, "line3")
    tick(DUE)
    assert runs(engine) == [(DUE, "2026-01-05")]


def test_a_folder_that_is_not_there_fails_its_run_alone_and_run_now_tries_it_again(engine, settings, add, tick, days):
    add("a", "gone/{yesterday:%d}")
    add("b")
    tick(DUE)
    (days / "gone" / "05").mkdir(parents=True)
    tick(DUE + HOUR)  # a failure is somebody's to mend: it is not tried again by itself
    schedule_a = schedules.get_schedule(engine, "a")
    failed = schedules.latest_run(engine, schedule_a.id)
    assert failed.error == f"{days}/gone/05 is not a folder: give the folder that holds the pictures"
    assert (failed.job_id, count_jobs(engine)) == (None, 1)
    started, due = nightly.run_now(engine, settings, schedule_a)
    assert (started.source, due) == (str(days / "gone" / "05"), DUE)
    mended = schedules.latest_run(engine, schedule_a.id)
    assert (mended.id, mended.job_id, mended.error) == (failed.id, started.id, None)
    tick(DUE + 2 * HOUR)
    assert count_jobs(engine) == 2


def test_a_folder_that_goes_away_while_it_is_listed_is_a_failure_until_the_job_is_retried(
    engine, settings, add, tick, days, monkeypatch
):
    made = add()
    folder = days / "2026-01-05"
    create = jobs.create_job

    def vanishing(*arguments, **values):
        shutil.move(folder, days / "away")
        return create(*arguments, **values)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "create_job", vanishing)
        tick(DUE)
    tick(DUE + HOUR)
    failed = schedules.latest_run(engine, made.id)
    assert failed.failed
    assert (failed.job_state, count_jobs(engine)) == (JobState.LISTING, 1)
    assert f"`oddlot retry {failed.job_id}` begins it again" in failed.error
    shutil.move(days / "away", folder)
    submission.retry(engine, settings, failed.job_id)
    assert not schedules.latest_run(engine, made.id).failed


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_the_database_does_not_take_fails_its_run_alone(engine, settings, add, tick, days, monkeypatch):
    """As if a path were let through that no index takes: it is not a database that does not answer."""
    monkeypatch.setattr(submission, "is_too_long", lambda path: False)
    noise = random.Random(1)
    deep = days / "deep"
    for _ in range(13):
        deep /= "".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=240))
    deep.mkdir(parents=True)
    (deep / "picture.png").write_bytes(b"x")
    add("deep", folder="deep")
    add()
    tick(DUE)
    by_name = {
        one.name: run for one in schedules.list_schedules(engine) if (run := schedules.latest_run(engine, one.id))
    }
    assert by_name["deep"].failed
    assert "index row size" in by_name["deep"].error
    assert not by_name["line3"].failed
    tick(DUE + SECOND)
    assert count_jobs(engine) == 2, "it is listed again and again"


def test_a_failed_run_that_fails_again_says_so_and_stays_failed(engine, settings, add, tick):
    made = add(folder="gone")
    tick(DUE)
    with pytest.raises(OddlotError, match="gone is not a folder"):
        nightly.run_now(engine, settings, made)
    assert "gone is not a folder" in schedules.latest_run(engine, made.id).error


def test_a_failed_run_is_tried_again_by_one_at_a_time(engine, settings, add, tick, monkeypatch):
    made = add(folder="gone")
    tick(DUE)
    seen = schedules.latest_run(engine, made.id)
    assert schedules.take_over_run(engine, seen, "elsewhere|x|1|1", dead=True)
    monkeypatch.setattr(schedules, "latest_run", lambda *_: seen)
    with pytest.raises(StateError, match="is being started just now"):
        nightly.run_now(engine, settings, made)


def test_run_now_between_two_due_times_is_a_run_of_its_own(engine, settings, add, tick, days):
    made = add(folder="2026-01-01")
    tick(DUE)
    started, asked = nightly.run_now(engine, settings, made)
    assert asked > DUE
    assert [due for due, _ in runs(engine)] == [DUE, asked]
    assert schedules.latest_run(engine, made.id).job_id == started.id
    tick(DUE + DAY)
    assert count_jobs(engine) == 3


def test_run_now_that_cannot_start_leaves_no_run(engine, settings, add):
    made = add(folder="gone")
    with pytest.raises(OddlotError, match="gone is not a folder"):
        nightly.run_now(engine, settings, made)
    assert runs(engine) == []


def test_a_schedule_whose_time_zone_this_machine_does_not_know_keeps_no_other(engine, add, tick, logs):
    add("a", time_zone="Mars/Base")
    add("b")
    tick(DUE)
    assert runs(engine) == [(DUE, "2026-01-05")]
    assert any("Mars/Base" in str(line.get("error")) for line in logs)


def test_a_run_of_another_host_is_taken_over_when_it_has_been_silent(engine, add, tick):
    made = add()
    assert schedules.claim_run(engine, made.id, DUE, "elsewhere|x|1|1", 0)
    tick(DUE)
    assert (runs(engine), count_jobs(engine)) == ([(DUE, None)], 0)
    with reading(engine) as connection:
        moment = now(connection)
    change_run(engine, started_at=moment - schedules.SILENCE)
    tick(DUE)
    assert runs(engine) == [(DUE, "2026-01-05")]


def test_ticks_at_the_same_moment_start_each_run_once(engine, add, variables):
    for number in range(12):
        add(f"line{number}", "2026-01-05")
    with contextlib.ExitStack() as stack:
        ticks = [stack.enter_context(child(TICK, DUE.isoformat(), "", variables=variables)) for _ in range(3)]
        for process in ticks:
            assert process.stdout.readline() == "ready\n"
        for process in ticks:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in ticks:
            assert process.stdout.readline() == "done\n"
    assert count_jobs(engine) == 12
    assert runs(engine) == [(DUE, "2026-01-05")] * 12
    assert {row.state for row in jobs.list_jobs(engine, limit=20)} == {JobState.QUEUED}
    assert {row.listed for row in jobs.list_jobs(engine, limit=20)} == {3}


@pytest.mark.parametrize("where", ["claimed", "created", "listing", "listed"])
def test_a_tick_that_is_killed_at_any_point_neither_loses_the_night_nor_starts_it_twice(
    where, engine, add, tick, variables
):
    made = add()
    with child(TICK, DUE.isoformat(), where, variables=variables) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "here\n"]
        tick(DUE)  # somebody alive is at it
        assert count_jobs(engine) == (0 if where == "claimed" else 1)
        process.kill()
        process.wait()
    eventually(lambda: tick(DUE) or runs(engine) == [(DUE, "2026-01-05")], "the run was not taken up")
    (started,) = jobs.list_jobs(engine, limit=10)
    assert (started.state, started.listed) == (JobState.QUEUED, 3)
    run = schedules.latest_run(engine, made.id)
    assert (run.job_id, run.error) == (started.id, None)


def test_a_schedule_that_is_removed_leaves_its_jobs(engine, add, tick):
    add()
    tick(DUE)
    schedules.remove_schedule(engine, "line3")
    assert (runs(engine), count_jobs(engine)) == ([], 1)
    tick(DUE + DAY)
    assert count_jobs(engine) == 1


def test_a_run_is_not_claimed_of_a_schedule_that_was_paused_or_removed_meanwhile(engine, add):
    made = add()
    schedules.pause_schedule(engine, "line3")
    assert not schedules.claim_run(engine, made.id, DUE, "me", 0)
    schedules.remove_schedule(engine, "line3")
    assert not schedules.claim_run(engine, made.id, DUE, "me", 0)
    assert runs(engine) == []
