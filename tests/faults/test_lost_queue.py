"""The queue is killed, forgets, or cannot write: time is lost, no item."""

import resource
import shutil
import signal
import time

import pytest
from machine import alive, kill, limit
from plant import eventually

pytestmark = pytest.mark.faults


def kill_queue(plant, *, forget):
    """kill -9 of the server; with `forget` its append-only file is gone when it comes back."""
    if plant.redis is not None:
        plant.redis.kill()
        if forget:
            shutil.rmtree(plant.redis.folder / "appendonlydir")
        plant.redis.start()
        return
    server = plant.broker_server()
    (keeper,) = list(plant.keeper())
    kill(keeper.pid, signal.SIGSTOP)  # it would start the server before the file is away
    kill(server)
    eventually(lambda: not alive(server), "the server outlived its kill")
    if forget:
        shutil.rmtree(plant.home / "broker" / "appendonlydir")
    kill(keeper.pid, signal.SIGCONT)


@pytest.mark.parametrize("forget", [False, True], ids=["file kept", "file lost"])
def test_a_killed_queue(plant, chance, forget):
    plant.start_worker()
    for _ in range(2):
        job = plant.submit()
        plant.await_progress(job.id)
        time.sleep(chance.uniform(0.0, 2.0))
        kill_queue(plant, forget=forget)
        eventually(plant.queue_answers, "the queue did not come back")
        plant.check(job.id)


def test_an_emptied_queue_is_filled_again_without_help(plant):
    """Half a minute after the messages were sent, because a worker could have taken them a moment ago."""
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    with plant.queue() as client:
        client.flushall()
    eventually(lambda: plant.job(job.id).finished_at, "it was not filled again")
    plant.check(job.id)


def test_the_keeper_of_the_embedded_queue_is_killed(sqlite_plant):
    """The server goes with it; the sweeper of a worker brings both back."""
    plant = sqlite_plant
    plant.begin()
    plant.start_worker()
    for _ in range(2):
        job = plant.submit()
        plant.await_progress(job.id)
        for keeper in plant.keeper():
            kill(keeper.pid)
        plant.check(job.id)


def test_a_queue_whose_disk_is_full(plant):
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    server = plant.broker_server()
    limit(server, resource.RLIMIT_FSIZE, 1)
    other = plant.submit()
    # It dies of it, or refuses to take messages: then it has room again.
    eventually(lambda: plant.progress(job.id) or plant.job(job.id).finished_at, "nothing goes on")
    time.sleep(3)
    limit(server, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    if plant.redis is not None and plant.redis.process.poll() is not None:
        plant.redis.start()
    plant.check(job.id)
    plant.check(other.id)
