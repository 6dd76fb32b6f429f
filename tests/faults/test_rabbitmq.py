"""RabbitMQ instead of a Redis-protocol server: the same promises, kept by the same rows in SQL."""

from contextlib import closing

import pytest
from celery import Celery
from machine import kill
from plant import Plant
from rabbit import Rabbit, why_not

from oddlot.queue import FIT_QUEUE, INSPECT_QUEUE, celery_settings
from worker import publishing, rabbit

if (REASON := why_not()) is not None:
    pytest.skip(f"nothing was tried with RabbitMQ: {REASON}", allow_module_level=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Rabbit(tmp_path_factory.mktemp("rabbit") / "server")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory, model_store, pictures, server):
    made = Plant(tmp_path_factory.mktemp("plant"), *model_store, pictures, many_hosts=False)
    made.environ["ODDLOT_BROKER_URL"] = server.url
    try:
        server.await_start()
        yield made
        made.stop_worker()
        made.check_no_orphan()
    finally:
        made.close()


def test_urgent_jobs_overtake_a_night_that_is_in_the_queue_already(plant):
    """And what is in the queue is counted, so that it never holds more than it should."""
    with closing(Celery("publisher", set_as_current=False)) as app:
        app.conf.update(celery_settings(plant.settings))
        assert publishing.queue_depth(plant.settings, FIT_QUEUE) == 0  # which nobody has made yet
        plant.environ["ODDLOT_BATCH_SIZE"] = "2"
        night = plant.submit(priority=2)
        assert publishing.publish_due(plant.engine, app) == publishing.LEAST_WAITING
        assert publishing.publish_due(plant.engine, app) == 0
        usual = plant.submit()
        urgent = plant.submit(priority=9)
        assert publishing.publish_due(plant.engine, app) == publishing.LEAST_WAITING
        assert publishing.queue_depth(plant.settings) == 2 * publishing.LEAST_WAITING
        with rabbit.connected(plant.settings) as connection:
            channel = connection.channel()
            order = []
            while (message := channel.basic_get(INSPECT_QUEUE, no_ack=True)) is not None:
                order.append(channel.message_to_python(message).payload[0][0])
    plant.environ["ODDLOT_BATCH_SIZE"] = "16"
    assert order == [urgent.id] * publishing.LEAST_WAITING + [night.id] * publishing.LEAST_WAITING
    for job in (night, usual, urgent):
        plant.run("cancel", job.id)


def test_a_job_is_inspected(plant):
    plant.start_worker()
    job = plant.submit()
    plant.await_end(job.id)
    plant.expected = plant.results(job.id)
    plant.check(job.id)
    assert all(one.attempts == 1 for one in plant.batches(job.id))
    assert "consumer_timeout" in plant.run("doctor") or not rabbit.needs_consumer_timeout(plant.settings)


def test_a_killed_worker_process(plant):
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    kill(plant.children()[0].pid)
    plant.check(job.id)


def test_a_killed_server_that_comes_back(plant, server):
    plant.start_worker()
    job = plant.submit()
    plant.await_progress(job.id)
    server.kill()
    assert "no answer" in plant.run("doctor", status=1)
    late = plant.submit()
    server.start()
    server.await_start()
    for one in (job, late):
        plant.check(one.id)
