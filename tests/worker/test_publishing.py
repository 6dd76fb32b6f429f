"""From SQL to a real queue and back: forgotten by the queue, told twice, told while the queue is down."""

import base64
import importlib
import json
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from shop import batch_row, rows
from sqlalchemy import update

from db import fits, jobs
from db.engine import now, writing
from db.schema import batch, fit
from oddlot import messages
from oddlot.queue import (
    BATCH_TIME_LIMIT,
    FIT_QUEUE,
    INSPECT_QUEUE,
    INSPECT_TASK,
    celery_settings,
    ready_keys,
    redis_url,
)
from oddlot.settings import load_settings
from oddlot.words import JobState
from worker import broker, inspection, publishing, submission
from worker.submission import Submission, submit
from worker.sweeper import sweep_once


@pytest.fixture(scope="module")
def queue_settings(tmp_path_factory):
    """Settings of a home whose embedded broker runs as long as this module's tests."""
    settings = load_settings({"ODDLOT_HOME": str(tmp_path_factory.mktemp("queue") / "home")})
    with broker.embedded_broker(settings):
        yield settings


@pytest.fixture
def settings(settings, queue_settings):
    return replace(settings, broker_url=f"redis+socket://{redis_url(queue_settings).removeprefix('unix://')}")


@pytest.fixture
def server(queue_settings):
    with redis.Redis.from_url(redis_url(queue_settings)) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)


@pytest.fixture
def app(settings, server):
    with closing(celery_of(settings)) as made:
        yield made


def celery_of(settings):
    app = Celery("publisher", set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


def in_queue(server, queue=INSPECT_QUEUE):
    """What waits in the queue, in the order in which a worker gets it."""
    messages = [json.loads(m) for key in ready_keys(queue) for m in reversed(server.lrange(key, 0, -1))]
    return [json.loads(base64.b64decode(message["body"]))[:2] for message in messages]


def a_minute_later(engine):
    """As if everything had been published a minute earlier."""
    with writing(engine) as connection:
        past = now(connection) - timedelta(minutes=1)
        for table in (batch, fit):
            connection.execute(update(table).where(table.c.published_at.is_not(None)).values(published_at=past))


def many(engine, settings, lot, **values):
    return submit(engine, replace(settings, batch_size=1), Submission(model="flange", folder=lot, **values))


def test_a_message_is_two_whole_numbers(engine, app, server, job):
    assert publishing.publish_due(engine, app) == 2
    assert in_queue(server) == [[[job.id, 1], {}], [[job.id, 2], {}]]
    assert publishing.publish_due(engine, app) == 0


def test_a_queue_that_forgot_everything_is_filled_again_from_sql(engine, settings, app, server, model, lot):
    many(engine, settings, lot)
    sweep_once(engine, settings, app)
    before = in_queue(server)
    assert len(before) == publishing.queue_depth(settings) == 20
    a_minute_later(engine)
    sweep_once(engine, settings, app)
    assert in_queue(server) == before  # nothing is told twice while messages wait
    server.flushall()
    sweep_once(engine, settings, app)
    assert in_queue(server) == before


def test_what_was_just_published_does_not_count_as_lost(engine, settings, app, server, model, lot):
    many(engine, settings, lot)
    sweep_once(engine, settings, app)
    server.flushall()
    sweep_once(engine, settings, app)  # a worker may have popped it a moment ago
    assert in_queue(server) == []


def test_what_was_told_tomorrow_is_told_again_where_the_queue_lost_it(engine, settings, app, server, job):
    """The clock was set back by a day after the messages were sent."""
    sweep_once(engine, settings, app)
    with writing(engine) as connection:
        connection.execute(update(batch).values(published_at=now(connection) + timedelta(days=1)))
    server.flushall()
    sweep_once(engine, settings, app)
    assert sorted(in_queue(server)) == [[[job.id, 1], {}], [[job.id, 2], {}]]


@pytest.mark.parametrize("chunk", [1000, 3])
def test_publishing_what_was_lost_comes_to_an_end(engine, settings, app, server, model, lot, chunk, monkeypatch):
    """Also where telling takes longer than it takes to count as lost: what it told itself it does not tell again."""
    real = publishing._send

    def slowly(*args):
        time.sleep(0.05)
        real(*args)

    monkeypatch.setattr(publishing, "PUBLISH_CHUNK", chunk)
    monkeypatch.setattr(publishing, "_send", slowly)
    many(engine, settings, lot)
    assert publishing.publish_due(engine, app, lost_after=0.5) == 20
    assert len(in_queue(server)) == 20


def test_messages_told_twice_give_one_set_of_results(engine, settings, app, server, job):
    publishing.publish_due(engine, app)
    a_minute_later(engine)
    publishing.publish_due(engine, app, lost_after=30.0)
    told = in_queue(server)
    assert len(told) == 4
    for (job_id, number), _ in told:
        inspection.inspect_batch(engine, settings, job_id, number)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.listed, done.scored, done.unaccounted) == (JobState.DONE, 20, 20, 0)
    assert len(rows(engine, job.id)) == 20
    assert [batch_row(engine, job.id, number).attempts for number in (1, 2)] == [1, 1]


def test_urgent_jobs_overtake_a_night_that_is_in_the_queue_already(
    engine, settings, app, server, model, lot, monkeypatch
):
    monkeypatch.setattr(publishing, "LEAST_WAITING", 64)  # all of them
    night = many(engine, settings, lot, priority=2)
    publishing.publish_due(engine, app)
    urgent = many(engine, settings, lot, priority=9)
    usual = many(engine, settings, lot)
    publishing.publish_due(engine, app)
    with app.connection_for_read() as connection, connection.SimpleQueue(INSPECT_QUEUE) as queue:
        order = []
        for _ in range(60):
            message = queue.get(timeout=10)
            order.append(tuple(message.payload[0]))
            message.ack()
    expected = [(job.id, number) for job in (urgent, usual, night) for number in range(1, 21)]
    assert order == expected


def test_what_a_process_publishes_that_has_loaded_the_tasks_passes_the_gate_of_the_workers(engine, app, server, job):
    importlib.import_module("worker.tasks")  # shared with every application of the process
    assert app.tasks[INSPECT_TASK].time_limit == BATCH_TIME_LIMIT
    publishing.publish_due(engine, app)
    with app.connection_for_read() as connection, connection.SimpleQueue(INSPECT_QUEUE) as queue:
        message = queue.get(timeout=10)
        message.ack()
    assert messages.is_ours(message), message.headers


def test_without_a_queue_a_job_is_safe_and_goes_on_when_there_is_one(engine, settings, app, server, job, tmp_path):
    down = load_settings({"ODDLOT_HOME": str(tmp_path), "ODDLOT_BROKER_URL": f"redis+socket://{tmp_path}/none.sock"})
    assert submission.publish(engine, down) is False
    with pytest.raises(redis.RedisError):
        sweep_once(engine, down, celery_of(down))
    with pytest.raises(OperationalError), closing(celery_of(down)) as other:
        publishing.publish_due(engine, other)
    assert [batch_row(engine, job.id, number).published_at for number in (1, 2)] == [None, None]
    sweep_once(engine, settings, app)
    assert len(in_queue(server)) == 2


def test_a_queue_that_is_full_half_way_is_told_again_later(engine, settings, app, server, model, lot, monkeypatch):
    monkeypatch.setattr(publishing, "PUBLISH_CHUNK", 8)
    real = publishing._send

    def fill_up(*args):
        if len(in_queue(server)) == 12:
            server.config_set("maxmemory", 1)  # what the server then says is its own
        real(*args)

    job = many(engine, settings, lot)
    monkeypatch.setattr(publishing, "_send", fill_up)
    with pytest.raises((OperationalError, redis.RedisError)):
        publishing.publish_due(engine, app)
    told = [number for number in range(1, 21) if batch_row(engine, job.id, number).published_at]
    assert told == list(range(1, 9))
    server.config_set("maxmemory", 0)
    monkeypatch.undo()
    sweep_once(engine, settings, app)
    assert {number for (_, number), _ in in_queue(server)} == set(range(1, 21))


def test_submitting_says_whether_the_queue_was_told(engine, settings, server, job, monkeypatch):
    """The application of the workers is used; its address is that of the settings."""
    monkeypatch.setenv("CELERY_BROKER_URL", settings.broker_url)
    assert submission.publish(engine, settings) is True
    assert len(in_queue(server)) == 2
    server.config_set("maxmemory", 1)
    another = submit(engine, settings, Submission(model="flange", folder=Path(job.source)))
    assert submission.publish(engine, settings) is False
    assert batch_row(engine, another.id, 1).published_at is None


def test_a_fit_that_waits_for_a_busy_trainer_is_not_told_again_and_again(engine, settings, app, server):
    fits.ask_fit(engine, "flange", {})
    for _ in range(3):
        sweep_once(engine, settings, app)
        a_minute_later(engine)
    assert len(in_queue(server, FIT_QUEUE)) == 1
    server.flushall()
    sweep_once(engine, settings, app)
    assert len(in_queue(server, FIT_QUEUE)) == 1
