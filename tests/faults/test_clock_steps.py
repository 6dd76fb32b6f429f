"""Clocks that jump, as rows whose times do: the clock of this machine is not ours to set."""

from datetime import timedelta

import pytest
from machine import kill
from plant import eventually
from sqlalchemy import select, update

from db.engine import now, writing
from db.schema import batch
from oddlot.words import BatchState

pytestmark = pytest.mark.faults

DAY = timedelta(days=1)


def shift(plant, job_id, column, by):
    """Move a time of all open batches of the job; returns how many have it."""
    with writing(plant.engine) as connection:
        query = select(batch.c.id, column).where(
            batch.c.job_id == job_id, batch.c.state.in_([BatchState.WAITING, BatchState.LEASED]), column.is_not(None)
        )
        for row_id, moment in connection.execute(query).all():
            connection.execute(update(batch).where(batch.c.id == row_id).values({column: moment + by}))
        return connection.execute(query).all()


def test_a_clock_that_jumps_a_day_ahead_while_batches_are_held(plant):
    """Every lease is over although its owner lives: somebody else takes the batch, one of the two is refused."""
    plant.start_worker()
    job = plant.submit()
    for _ in range(10):
        eventually(lambda: plant.batches(job.id, BatchState.LEASED) or plant.job(job.id).finished_at, "nobody works")
        shift(plant, job.id, batch.c.lease_expires_at, -DAY)
    plant.check(job.id)


def test_a_clock_that_jumps_a_day_back_while_the_queue_forgets(plant):
    """Batches were told to the queue tomorrow, as it seems, and the queue has lost them."""
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    with plant.queue() as client:
        client.flushall()
    assert shift(plant, job.id, batch.c.published_at, DAY)
    eventually(lambda: plant.job(job.id).finished_at, "it waits for tomorrow", seconds=90)
    plant.check(job.id)


def test_a_clock_that_jumps_a_day_back_while_owners_die(plant):
    """Their leases seem to last until tomorrow; that they are dead is known without a clock."""
    plant.start_worker()
    job = plant.submit()
    eventually(lambda: plant.batches(job.id, BatchState.LEASED), "nobody works")
    for child in plant.children():
        kill(child.pid)
    shift(plant, job.id, batch.c.lease_expires_at, DAY)
    plant.check(job.id)


def test_a_job_goes_on_after_the_machine_was_off_for_a_week(plant):
    """Everything stopped at once, the queue's files were cleaned away, and the clock is a week ahead."""
    import shutil

    from db.schema import job as job_table
    from db.schema import worker

    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    plant.kill_all()
    if plant.redis is not None:
        plant.redis.kill()
        shutil.rmtree(plant.redis.folder / "appendonlydir")
        plant.redis.start()
    else:
        for process in plant.processes():
            kill(process.pid)
        eventually(lambda: not plant.processes(), "the queue outlived its kill")
        shutil.rmtree(plant.home / "broker")
    week = timedelta(days=7)
    with writing(plant.engine) as connection:
        for table in (batch, job_table, worker):
            key = next(iter(table.primary_key))
            for row in connection.execute(select(table)).mappings().all():
                moments = {name: value - week for name, value in row.items() if type(value) is type(now(connection))}
                connection.execute(update(table).where(key == row[key.name]).values(moments))
    plant.start_worker()
    plant.check(job.id)
