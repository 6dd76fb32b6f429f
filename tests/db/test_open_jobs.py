"""What is open of a job, counted in SQL."""

from datetime import timedelta

from making import claimed, finish, open_job
from sqlalchemy import update

from db import batches, due, endings, liveness, workers
from db.engine import now, writing
from db.schema import batch
from oddlot.words import JobState


def test_an_open_job_tells_what_waits_works_is_stuck_and_has_failed_before(engine, submit):
    assert liveness.open_jobs(engine, max_attempts=3) == []
    job = submit(15, batch_size=3)
    due.due_for_publishing(engine, older_than_seconds=None, limit=2)
    claimed(engine, job, 1)
    claimed(engine, job, 2, lease=-3600.0)
    for _ in range(2):
        assert batches.release_batch(engine, claimed(engine, job, 3), "no memory", count_attempt=True)
    (health,) = liveness.open_jobs(engine, max_attempts=3)
    assert (health.job_id, health.state) == (job.id, JobState.RUNNING)
    assert (health.waiting, health.unpublished, health.leased, health.stuck, health.worn) == (3, 3, 1, 1, 1)
    assert health.error == "no memory"
    assert health.oldest_waiting_seconds == health.idle_seconds >= 0


def test_a_job_is_idle_since_its_last_finished_batch(engine, submit):
    job = submit(6, batch_size=3)
    with writing(engine) as connection:
        since = now(connection) - timedelta(hours=1)
        connection.execute(update(batch).values(waiting_since=since))
    (waits,) = liveness.open_jobs(engine, max_attempts=3)
    assert 3600 <= waits.idle_seconds < 3700
    finish(engine, claimed(engine, job, 1))
    (goes_on,) = liveness.open_jobs(engine, max_attempts=3)
    assert goes_on.idle_seconds < 3600 <= goes_on.oldest_waiting_seconds


def test_jobs_at_their_end_are_left_out_unless_a_batch_of_them_is_in_work(engine, submit, model):
    done, cancelled = submit(2, batch_size=2), submit(4, batch_size=2)
    finish(engine, claimed(engine, done, 1))
    claim = claimed(engine, cancelled, 1)
    endings.cancel_job(engine, cancelled.id)
    urgent = submit(2, priority=9)
    listing = open_job(engine, model)
    found = liveness.open_jobs(engine, max_attempts=3)
    assert [health.job_id for health in found] == [urgent.id, cancelled.id, listing]
    finish(engine, claim)
    assert [health.job_id for health in liveness.open_jobs(engine, max_attempts=3)] == [urgent.id, listing]


def test_a_host_has_made_progress_when_one_of_its_children_last_did(engine):
    def beat(name, host, progress, silent_seconds=60.0):
        workers.beat(engine, name, host, 1, workers.CHILD, progress=progress, silent_seconds=silent_seconds)

    beat("a", "press-1", True)
    beat("b", "press-1", False)
    beat("c", "press-2", False)
    beat("d", "press-3", True, silent_seconds=-1.0)
    assert set(workers.last_progress(engine)) == {"press-1"}
