"""Old results go in small steps; what is left says so, and nothing is left that nobody finds."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import polling
import pytest
from sqlalchemy import Engine, event, func, insert, select, update

from db import batches, endings, jobs, listing, models, pruning, schedules, verdicts
from db.batches import Outcome
from db.engine import now, reading, writing
from db.items import get_item
from db.results import ResultFilter, count_p_values, iter_results, pruned_jobs
from db.schema import audit, batch, item, job, result, schedule_run
from oddlot.errors import StateError
from oddlot.words import ItemState, JobState, Verdict
from worker import explaining, tasks
from worker.pruning import preview, prune, prune_schedules, remove_leftovers

COUNT = 40


@pytest.fixture
def settings(tmp_path):
    from oddlot.settings import load_settings

    return load_settings({"ODDLOT_HOME": str(tmp_path / "home")})


@pytest.fixture
def inspected(engine, settings):
    """Makes finished jobs, with a map and a thumbnail for each flagged item, that ended so many days ago."""
    model = models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.5,
        false_alarms=0.1, card={},
    )  # fmt: skip

    def make(days: float = 100.0, count: int = COUNT, state: JobState = JobState.DONE) -> int:
        job_id, _ = jobs.create_job(
            engine, model_id=model.id, source="/data/lot", line=None, lot="lot", priority=5, recursive=True, glob=None,
            only_new=False, key=None,
        )  # fmt: skip
        listing.add_items(engine, job_id, [(f"/data/lot/{i}.png", 1, i) for i in range(count)], 1, count)
        listing.close_listing(engine, job_id, found=count, seen_before=0, left_out={}, deferred=[])
        claim = batches.claim_batch(engine, job_id, 1, "me", 60.0)
        outcomes = [
            Outcome(
                one.id, ItemState.SCORED, sha256="a" * 64, raw_score=1.0, score=0.9 if i % 2 else 0.1, p_value=0.1,
                flagged=bool(i % 2), map_uri=f"{job_id}/{one.id}.png" if i % 2 else None,
            )
            for i, one in enumerate(claim.items)
        ]  # fmt: skip
        batches.finish_batch(engine, claim, outcomes, host="here", code_version="0")
        for outcome in outcomes:
            if outcome.flagged:
                put(settings.map_store / outcome.map_uri)
                put(settings.thumb_store / f"{job_id}/{outcome.item_id}.webp")
        with writing(engine) as connection:
            ended = now(connection) - dt.timedelta(days=days)
            connection.execute(update(job).where(job.c.id == job_id).values(finished_at=ended, state=state))
            connection.execute(update(batch).where(batch.c.job_id == job_id).values(look={"brightness": 0.5}))
            drawn = [{"item_id": o.item_id, "job_id": job_id, "share": 0.5} for o in outcomes if not o.flagged][:4]
            connection.execute(insert(audit), drawn)
        return job_id

    return make


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0123456789")


def items(engine: Engine, job_id: int) -> list[int]:
    with reading(engine) as connection:
        return list(connection.execute(select(item.c.id).where(item.c.job_id == job_id).order_by(item.c.id)).scalars())


def left(engine: Engine, settings, job_id: int) -> dict[str, list[int]]:
    """The items of a job that still have a result, a draw of the audit, a map and a thumbnail."""
    with reading(engine) as connection:
        rows = {
            table.name: sorted(connection.execute(select(table.c.item_id).where(table.c.job_id == job_id)).scalars())
            for table in (result, audit)
        }
    stores = {"maps": settings.map_store, "thumbnails": settings.thumb_store}
    return rows | {
        name: sorted(int(path.stem) for path in (store / str(job_id)).glob("*")) for name, store in stores.items()
    }


NOTHING = {"result": [], "audit": [], "maps": [], "thumbnails": []}


def old(engine: Engine, *, keep_verdicts: bool = False, days: float = 90.0) -> list[pruning.Rule]:
    return [pruning.older_than(engine, days, keep_verdicts=keep_verdicts)]


def test_old_results_and_files_go_and_the_record_stays(engine, settings, inspected):
    past, recent = inspected(100), inspected(10)
    before, untouched = jobs.get_job(engine, past), left(engine, settings, recent)
    expected = preview(engine, settings, old(engine))
    assert left(engine, settings, past) != NOTHING, "a preview changes nothing"
    freed = prune(engine, settings, old(engine))
    assert freed == expected
    assert (freed.jobs, freed.results, freed.audits) == (1, COUNT, 4)
    assert dict(freed.files) == {"maps": COUNT // 2, "thumbnails": COUNT // 2}
    assert freed.file_bytes == COUNT * 10
    assert left(engine, settings, past) == NOTHING
    assert not (settings.map_store / str(past)).exists()
    assert left(engine, settings, recent) == untouched
    after = jobs.get_job(engine, past)
    assert after.pruned_at is not None
    assert (after.listed, after.scored, after.flagged, after.unaccounted) == (COUNT, COUNT, COUNT // 2, 0)
    assert after.finished_at == before.finished_at
    with reading(engine) as connection:
        looks = connection.execute(select(func.count()).where(batch.c.job_id == past, batch.c.look.is_not(None)))
        assert looks.scalar_one() == 0
    assert prune(engine, settings, old(engine)).jobs == 0


def test_what_is_left_of_a_pruned_item_says_so(engine, settings, inspected):
    job_id = inspected(100)
    prune(engine, settings, old(engine))
    detail = get_item(engine, items(engine, job_id)[1])
    assert (detail.state, detail.raw_score, detail.flagged) == (ItemState.SCORED, None, None)
    assert f"pruned on {detail.pruned_at:%Y-%m-%d}" in explaining.why_not_scored(detail)
    rows = list(iter_results(engine, ResultFilter(job_id=job_id)))
    assert [(row["state"], row["score"], row["pruned_at"]) for row in rows] == [
        (ItemState.SCORED, None, detail.pruned_at)
    ] * COUNT
    assert list(iter_results(engine, ResultFilter(job_id=job_id, flagged_only=True))) == []
    assert count_p_values(engine, ResultFilter(job_id=job_id)) == []
    assert pruned_jobs(engine, ResultFilter(job_id=job_id)) == (1, job_id, detail.pruned_at)
    assert pruned_jobs(engine, ResultFilter(model="gear")) is None
    with pytest.raises(StateError, match="were pruned on"):
        endings.retry_job(engine, job_id, 16)
    assert jobs.unseen(engine, 1, [("/data/lot/0.png", 1, 0)]) == []  # --only-new still knows it


def test_with_keep_verdicts_what_was_judged_stays_until_a_pruning_without(engine, settings, inspected):
    job_id = inspected(100)
    numbers = items(engine, job_id)
    flagged, drawn = numbers[1], numbers[0]
    verdicts.add_verdict(engine, flagged, Verdict.DEFECT, reviewer="ann")
    verdicts.add_verdict(engine, drawn, Verdict.GOOD, reviewer="ann")
    assert preview(engine, settings, old(engine, keep_verdicts=True)).results == COUNT - 2
    freed = prune(engine, settings, old(engine, keep_verdicts=True))
    assert (freed.results, freed.audits) == (COUNT - 2, 3)
    kept = {"result": [drawn, flagged], "audit": [drawn], "maps": [flagged], "thumbnails": [flagged]}
    assert left(engine, settings, job_id) == kept
    remove_leftovers(engine, settings, freed)
    assert prune(engine, settings, old(engine, keep_verdicts=True)).jobs == 0
    assert left(engine, settings, job_id) == kept
    assert prune(engine, settings, old(engine)).results == 2
    assert left(engine, settings, job_id) == NOTHING
    assert len(verdicts.verdicts_of(engine, flagged)) == 1, "a person's word is never removed"


def test_held_open_and_young_jobs_are_left_alone(engine, settings, inspected):
    held, failed = inspected(100, state=JobState.HELD), inspected(100, state=JobState.FAILED)
    running, half_cancelled, young = inspected(100), inspected(100, state=JobState.CANCELLED), inspected(89)
    with writing(engine) as connection:
        opened = update(job).where(job.c.id == running)
        connection.execute(opened.values(state=JobState.RUNNING, finished_at=None))
        leased = update(batch).where(batch.c.job_id == half_cancelled)
        connection.execute(leased.values(state="leased"))
    before = {one: left(engine, settings, one) for one in (held, running, half_cancelled, young)}
    assert prune(engine, settings, old(engine)).jobs == 1
    assert left(engine, settings, failed) == NOTHING
    assert {one: left(engine, settings, one) for one in before} == before
    assert all(jobs.get_job(engine, one).pruned_at is None for one in before)


def test_files_that_nobody_recorded_go_with_their_job_and_others_do_not(engine, settings, inspected):
    job_id = inspected(100)
    stranger = settings.map_store / str(job_id) / "notes.txt"
    put(stranger)
    put(settings.map_store / str(job_id) / "999999.png")  # of a worker that was killed before it recorded its batch
    put(settings.map_store / str(job_id) / ".7.png.0a1b2c3d.partial")
    put(settings.map_store / "not a job" / "1.png")
    put(settings.map_store / "4711" / "1.png")  # of no job that this database knows
    freed = prune(engine, settings, old(engine))
    assert freed.files["maps"] == COUNT // 2 + 2
    assert [path.name for path in (settings.map_store / str(job_id)).iterdir()] == ["notes.txt"]
    put(settings.thumb_store / str(job_id) / f"{items(engine, job_id)[1]}.webp")  # asked for meanwhile
    remove_leftovers(engine, settings, freed)
    assert not (settings.thumb_store / str(job_id)).exists()
    assert stranger.exists()
    assert (settings.map_store / "not a job" / "1.png").exists()
    assert (settings.map_store / "4711" / "1.png").exists()


def test_files_that_cannot_be_removed_are_said_and_tried_again(engine, settings, inspected):
    job_id = inspected(100)
    stuck = settings.map_store / str(job_id) / f"{items(engine, job_id)[1]}.png"
    stuck.unlink()
    stuck.mkdir()  # root may remove any file, but not a folder as one
    freed = prune(engine, settings, old(engine))
    assert len(freed.failed) == 1
    assert str(stuck) in freed.failed[0]
    assert left(engine, settings, job_id)["result"] == []
    stuck.rmdir()
    put(stuck)
    again = prune(engine, settings, old(engine))
    assert (again.failed, again.files["maps"]) == ([], 1)
    assert left(engine, settings, job_id) == NOTHING
    with reading(engine) as connection:
        assert connection.execute(select(job.c.pruning).where(job.c.id == job_id)).scalar() is False


PRUNE = """
import sys
from db import pruning
from db.engine import open_database
from oddlot.settings import load_settings
from worker.pruning import prune
pruning.STEP = 5
engine = open_database(load_settings().database_url)
prune(engine, load_settings(), [pruning.older_than(engine, 90, keep_verdicts=False)],
      on_step=lambda freed: print(freed.results, freed.files.total(), flush=True))
"""


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 12])
def test_killed_at_any_step_the_next_one_comes_to_the_same_end(
    engine, settings, inspected, database_url, steps
):  # fmt: skip
    job_id = inspected(100)
    environ = {**os.environ, "ODDLOT_HOME": str(settings.home), "ODDLOT_DATABASE_URL": database_url}
    process = subprocess.Popen([sys.executable, "-c", PRUNE], env=environ, stdout=subprocess.PIPE, text=True)
    for _ in range(steps):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert jobs.get_job(engine, job_id).pruned_at is not None, "what is half gone says so"
    before = left(engine, settings, job_id)
    assert before != NOTHING
    # Also where the next one is about other jobs: what was begun comes to its end.
    freed = prune(engine, settings, old(engine, days=36_500.0))
    assert left(engine, settings, job_id) == NOTHING
    assert freed.results == len(before["result"])
    assert freed.files.total() == len(before["maps"]) + len(before["thumbnails"])
    assert pruning.half_done(engine) == []


def test_two_at_once_remove_and_count_everything_once(engine, settings, inspected, monkeypatch):
    monkeypatch.setattr(pruning, "STEP", 3)
    job_ids = [inspected(100, count=24) for _ in range(3)]
    found, rules = [], old(engine)
    threads = [threading.Thread(target=lambda: found.append(prune(engine, settings, rules))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [left(engine, settings, job_id) for job_id in job_ids] == [NOTHING] * 3
    assert len(found) == 3
    assert sum(one.results for one in found) == 3 * 24
    assert sum(one.files.total() for one in found) == 3 * 24
    assert pruning.half_done(engine) == []


def test_a_verdict_that_comes_while_its_job_is_pruned_is_kept(engine, settings, inspected):
    job_id = inspected(100)
    number = items(engine, job_id)[-1]
    rule = old(engine, keep_verdicts=True)[0]
    assert pruning.begin(engine, job_id, rule)
    verdicts.add_verdict(engine, number, Verdict.DEFECT, reviewer="ann")
    prune(engine, settings, [rule])
    assert left(engine, settings, job_id)["result"] == [number]


def test_results_are_written_while_others_are_removed_and_no_lock_is_held_for_long(
    engine, settings, inspected, monkeypatch
):  # fmt: skip
    monkeypatch.setattr(pruning, "STEP", 2)
    past, deleted = inspected(100, count=60), []

    @event.listens_for(engine, "after_cursor_execute")
    def count(connection, cursor, statement, *_):
        if statement.startswith("DELETE FROM result"):
            deleted.append(cursor.rowcount)

    removing = threading.Thread(target=prune, args=(engine, settings, old(engine)))
    removing.start()
    polling.eventually(lambda: len(deleted) > 2, "nothing was removed")
    young = inspected(1, count=20)
    removing.join()
    assert max(deleted) <= 2
    assert sum(deleted) == 60
    assert len(left(engine, settings, young)["result"]) == 20
    assert left(engine, settings, past) == NOTHING


def test_schedules_keep_what_they_say_and_the_tick_prunes_the_rest(engine, settings, inspected, monkeypatch):
    old_run, new_run, other = inspected(31), inspected(29), inspected(500)
    judged = items(engine, old_run)[1]
    verdicts.add_verdict(engine, judged, Verdict.DEFECT, reviewer="ann")
    for name, keep_days in (("line3", 30), ("line4", None)):
        schedules.add_schedule(
            engine, name=name, model_name="flange", folder="/data", line=None, at="02:00", time_zone="UTC",
            only_new=False, keep_days=keep_days,
        )  # fmt: skip
    with writing(engine) as connection:
        for schedule_id, job_id in ((1, old_run), (1, new_run), (2, other)):
            due = now(connection) - dt.timedelta(minutes=job_id)
            run = insert(schedule_run).values(schedule_id=schedule_id, due_at=due, job_id=job_id, started_at=due)
            connection.execute(run.values(missed=0))
    untouched = left(engine, settings, new_run), left(engine, settings, other)
    monkeypatch.setattr(tasks.scoring_process, "engine", lambda: engine)
    monkeypatch.setattr(tasks.scoring_process, "settings", lambda: settings)
    for schedule in ("line3", "line4"):
        schedules.pause_schedule(engine, schedule)
    tasks.tick()
    assert left(engine, settings, old_run) == {"result": [judged], "audit": [], "maps": [judged],
                                               "thumbnails": [judged]}  # fmt: skip
    assert (left(engine, settings, new_run), left(engine, settings, other)) == untouched
    assert jobs.get_job(engine, new_run).pruned_at is None


def test_a_tick_prunes_for_its_time_only_and_the_next_goes_on(engine, settings, inspected, monkeypatch):
    monkeypatch.setattr(pruning, "STEP", 5)
    job_id = inspected(100)
    rules = old(engine)
    first = prune(engine, settings, rules, seconds=0.0)
    assert first.results < COUNT
    rounds = 1
    while pruning.half_done(engine):
        prune_schedules(engine, settings, seconds=0.0)
        rounds += 1
        assert rounds < 50
    assert left(engine, settings, job_id) == NOTHING
    assert rounds > 2
