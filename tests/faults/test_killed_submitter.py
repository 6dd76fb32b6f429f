"""`oddlot submit` is killed at random moments: the job is not there, or visibly half listed, or complete."""

import time

import pytest
from plant import eventually
from sqlalchemy import func, select

from db import endings
from db.engine import reading
from db.schema import item
from db.schema import job as job_table
from oddlot.words import JobState

COPIES = 6


@pytest.fixture(scope="module")
def large_lot(pictures, tmp_path_factory):
    """Enough files for two transactions."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(COPIES):
        (folder / str(number)).mkdir()
        for path in pictures.iterdir():
            (folder / str(number) / path.name).hardlink_to(path)
    return folder


def of_key(plant, key):
    with reading(plant.engine) as connection:
        found = connection.execute(select(job_table.c.id).where(job_table.c.key == key)).scalar()
    return None if found is None else plant.job(found)


def items(plant, job_id):
    with reading(plant.engine) as connection:
        query = select(func.count(), func.count(item.c.path.distinct())).where(item.c.job_id == job_id)
        return connection.execute(query).one()


def kill_submitters(plant, chance, folder, times):
    count = sum(1 for _ in folder.rglob("*.png"))
    began = time.monotonic()
    plant.run("submit", "flange", folder, "--key", f"whole {began}")
    took = time.monotonic() - began
    whole = of_key(plant, f"whole {began}")
    assert (whole.listed, *items(plant, whole.id)) == (count, count, count)
    endings.cancel_job(plant.engine, whole.id)
    seen = {None: 0}
    for number in range(times):
        key = f"{began} {number}"
        submitter = plant.start("submit", "flange", folder, "--key", key)
        time.sleep(chance.uniform(0.3, 1.05) * took)
        submitter.kill()
        submitter.wait()
        job = of_key(plant, key)
        seen[job and job.state] = seen.get(job and job.state, 0) + 1
        if job is None:
            continue
        if job.state == JobState.LISTING:
            assert f"oddlot retry {job.id}" in plant.run("jobs")
            assert plant.run("submit", "flange", folder, "--key", key).startswith(f"{job.id}\n")
        assert plant.job(job.id).listed == count
        assert tuple(items(plant, job.id)) == (count, count)
        endings.cancel_job(plant.engine, job.id)
    print(f"how far the submitters came: {seen}")  # noqa: T201
    for cancelled in (job for number in range(times) if (job := of_key(plant, f"{began} {number}"))):
        eventually(lambda job=cancelled: plant.job(job.id).unaccounted == 0, "a cancelled job does not end")
        plant.check_counts(cancelled.id)


@pytest.mark.faults
def test_a_submitter_that_is_killed(plant, chance, large_lot):
    plant.start_worker()
    kill_submitters(plant, chance, large_lot, 50)


def test_a_submission_is_finished_by_giving_it_again(plant, chance):
    plant.start_worker()
    submitter = plant.start("submit", "flange", plant.lot, "--key", "the night")
    time.sleep(chance.uniform(0.3, 2.0))
    submitter.kill()
    submitter.wait()
    said = [plant.run("submit", "flange", plant.lot, "--key", "the night").split()[0] for _ in range(2)]
    assert said[0] == said[1]
    plant.check(int(said[0]))
