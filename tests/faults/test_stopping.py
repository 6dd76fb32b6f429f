"""SIGTERM, Ctrl-C and `cancel`: in order, soon, and nothing is lost. `retry` redoes only what is not scored."""

import os
import signal
import subprocess
import time

import pytest
from machine import is_broker, kill
from plant import eventually

from db.engine import reading
from db.schema import result
from oddlot.queue import SHUTDOWN_GRACE
from oddlot.words import BatchState, JobState


def stop_at_random_moments(plant, chance, how, times):
    job = plant.submit()
    finished = []
    for _ in range(times):
        worker = plant.start_worker()
        plant.forget_telling()
        # Before that it is a Python that imports, and holds nothing.
        eventually(lambda: len(plant.children()) == 2, "it does not start")
        time.sleep(chance.uniform(0.0, 10.0))
        how(plant, worker)
        assert worker.wait(SHUTDOWN_GRACE + 30) == 0, plant.log_text()[-3000:]
        held = list(plant.batches(job.id, BatchState.LEASED))
        assert held == [], "a batch was not given back"
        if plant.job(job.id).finished_at is not None:
            finished.append(job)
            job = plant.submit()
    plant.start_worker()
    for one in [*finished, job]:
        plant.check(one.id)
        if how is not to_all:
            assert {row.attempts for row in plant.batches(one.id)} == {1}, "a batch in work was not finished"


def to_the_parent(plant, worker):
    worker.terminate()


def to_all(plant, worker):
    """As service managers do."""
    for process in plant.processes():
        if not is_broker(process):
            kill(process.pid, signal.SIGTERM)


def ctrl_c(plant, worker):
    os.killpg(worker.pid, signal.SIGINT)


WAYS = {"SIGTERM": to_the_parent, "SIGTERM to all": to_all, "Ctrl-C": ctrl_c}


def test_a_worker_that_is_told_to_stop(plant, chance):
    stop_at_random_moments(plant, chance, to_all, 1)


@pytest.mark.faults
@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_is_told_to_stop_again_and_again(plant, chance, way):
    stop_at_random_moments(plant, chance, WAYS[way], 5)


@pytest.mark.faults
def test_a_worker_whose_child_hangs_gives_its_batch_back_within_the_grace(plant):
    """A child that does not answer, as on a share that is away: stopped, so that it cannot even be asked."""
    worker = plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    held = eventually(lambda: plant.batches(job.id, BatchState.LEASED), "nobody works")
    for child in plant.children():
        kill(child.pid, signal.SIGSTOP)
    worker.terminate()
    assert worker.wait(SHUTDOWN_GRACE + 30) == 0, plant.log_text()[-3000:]
    assert held
    assert plant.batches(job.id, BatchState.LEASED) == []
    if plant.redis is None:
        plant.check_no_orphan()
    plant.start_worker()
    plant.check(job.id)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["inspect", "up"])
def test_a_command_that_is_stopped_at_a_random_moment_leaves_no_process(plant, chance, command, number):
    plant.stop_worker()
    job = plant.submit()
    arguments = {"inspect": ("inspect", "flange", plant.lot, "--key", f"{time.time()}"), "up": ("up",)}[command]
    for _ in range(3):
        process = plant.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout.readline()
        time.sleep(chance.uniform(0.0, 10.0))
        process.send_signal(number)
        out = process.communicate(timeout=120)[0].decode()
        assert process.returncode == 0, out
        assert "Traceback" not in out
        plant.check_no_orphan()
        assert plant.batches(job.id, BatchState.LEASED) == []
    plant.start_worker()
    plant.check(job.id)


@pytest.mark.faults
def test_cancel_stops_within_a_batch_and_says_what_was_done_and_retry_does_the_rest(plant):
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id, 3)
    said = plant.run("cancel", job.id)
    row = plant.await_end(job.id)
    plant.check_counts(job.id)
    assert row.state == JobState.CANCELLED
    assert row.cancelled > 0
    scored_when_told = int(said.split("cancelled: ")[1].split()[0])
    in_hand = 2 * plant.settings.batch_size
    assert scored_when_told <= row.scored <= scored_when_told + in_hand
    before = scored_at(plant, job.id)
    assert f"{row.cancelled + row.unreadable} items" in plant.run("retry", job.id)
    plant.check(job.id)
    assert before.items() <= scored_at(plant, job.id).items()


def scored_at(plant, job_id):
    with reading(plant.engine) as connection:
        return {
            row.item_id: row.scored_at for row in connection.execute(result.select().where(result.c.job_id == job_id))
        }
