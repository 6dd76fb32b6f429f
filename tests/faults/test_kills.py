"""kill -9 of workers at random moments: nothing lost, nothing doubled, every score the same to the bit."""

import time

import pytest
from machine import kill
from plant import eventually

MANY = 50


def kill_children(plant, chance):
    children = eventually(plant.children, "the worker has no children")
    kill(chance.choice(children).pid)


def kill_parent(plant, chance):
    kill(eventually(plant.parents, "the worker has no parent")[0].pid)


def kill_front(plant, chance):
    """`oddlot worker`, so that nobody starts the parent again; that one ends in order."""
    kill(plant.worker.pid)
    plant.worker.wait()


def kill_everything(plant, chance):
    plant.kill_all()


VICTIMS = {
    "a child": kill_children,
    "the parent": kill_parent,
    "oddlot worker": kill_front,
    "all workers": kill_everything,
}


def kill_at_random_moments(plant, chance, victims, times):
    """Also while a worker starts, loads its model, is half way through a batch, or ends a job."""
    finished = []
    job = plant.submit()
    for _ in range(times):
        plant.start_worker()
        time.sleep(chance.uniform(0.2, 6.0))
        VICTIMS[chance.choice(victims)](plant, chance)
        plant.forget_telling()
        if plant.job(job.id).finished_at is not None:
            finished.append(job)
            job = plant.submit()
    plant.start_worker()
    for one in [*finished, job]:
        plant.check(one.id)


def test_a_kill_of_everything_at_a_random_moment(plant, chance):
    kill_at_random_moments(plant, chance, ["all workers"], 1)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_fifty_kills_at_random_moments(plant, chance):
    kill_at_random_moments(plant, chance, list(VICTIMS), MANY)
