"""The database server is killed while batches are in work, and comes back."""

import time

import pytest

pytestmark = pytest.mark.faults


def test_a_killed_postgresql(postgresql_plant, chance):
    plant = postgresql_plant
    plant.begin()
    plant.start_worker()
    for _ in range(3):
        job = plant.submit()
        plant.await_progress(job.id)
        time.sleep(chance.uniform(0.0, 1.0))
        plant.postgres.kill()
        time.sleep(chance.uniform(0.0, 3.0))
        plant.postgres.start()
        plant.check(job.id)
