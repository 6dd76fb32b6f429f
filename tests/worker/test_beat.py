"""The clock of the schedules: it says that time goes by, fills no queue, and has nothing that could be lost."""

import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest
import redis
from celery import Celery
from kombu import Connection
from shop import eventually

from oddlot.messages import is_ours
from oddlot.queue import TICK_QUEUE, TICK_SECONDS, TICK_TASK, broker_url, redis_url
from oddlot.settings import load_settings
from worker import app as module
from worker import broker
from worker.beat import Scheduler
from worker.publishing import queue_depth


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Those of a home whose queue runs."""
    monkeypatch.setenv("ODDLOT_HOME", str(tmp_path / "home"))
    settings = load_settings()
    with broker.embedded_broker(settings):
        yield settings


@pytest.fixture
def scheduler(settings):
    with closing(Celery("beat", set_as_current=False)) as app:
        app.conf.update(module._configuration())
        yield Scheduler(app)


def test_celery_beat_sends_what_passes_the_gate_and_keeps_no_file_of_its_own(settings, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    beat = subprocess.Popen(
        [sys.executable, "-m", "celery", "--quiet", "-A", "worker.app", "beat"], cwd=elsewhere,
        env=os.environ | {"ODDLOT_HOME": str(settings.home)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: beat.poll() is not None or queue_depth(settings, TICK_QUEUE), "beat sent nothing")
        with Connection(broker_url(settings)) as connection, connection.SimpleQueue(TICK_QUEUE) as queue:
            message = queue.get(timeout=10)
            message.ack()
        assert is_ours(message), (message.headers, message.body)
        assert message.headers["task"] == TICK_TASK
    finally:
        beat.send_signal(signal.SIGTERM)
        _, err = beat.communicate(timeout=60)
    assert beat.returncode == 0, err
    assert list(elsewhere.iterdir()) == []
    names = {path.name.partition("-")[0].removesuffix(".lock") for path in settings.home.iterdir()}
    assert names == {"broker", "oddlot.db"}, "it says in SQL that it lives, and remembers nothing"


def test_ticks_that_nobody_takes_do_not_pile_up(scheduler, settings):
    for _ in range(5):
        assert scheduler.tick() == TICK_SECONDS
        assert queue_depth(settings, TICK_QUEUE) == 1
    with redis.Redis.from_url(redis_url(settings)) as client:
        client.flushall()
    scheduler.tick()
    assert queue_depth(settings, TICK_QUEUE) == 1


def test_a_queue_that_does_not_answer_is_said_and_told_later(scheduler, settings, monkeypatch, logs):
    monkeypatch.setenv("ODDLOT_BROKER_URL", "redis://127.0.0.1:9/0")
    assert scheduler.tick() == TICK_SECONDS
    assert [line["event"] for line in logs] == ["the queue cannot be told that time goes by"]
    monkeypatch.delenv("ODDLOT_BROKER_URL")
    scheduler.tick()
    assert queue_depth(settings, TICK_QUEUE) == 1
