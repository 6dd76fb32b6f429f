"""Anything may stand in the queue: only two whole numbers in JSON are acted on, and the worker goes on."""

import base64
import json
import os
import pickle
import zlib

import pytest
import redis
from hostile import eventually

from db import jobs
from oddlot.queue import INSPECT_QUEUE, INSPECT_TASK, TICK_TASK, redis_url
from oddlot.settings import load_settings
from worker import broker


class Trap:
    """Unpickling this makes the folder `sprung`."""

    def __init__(self, folder):
        self._folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self._folder),)


def message(body, *, task=INSPECT_TASK, kind="application/json", encoding="utf-8", **headers):
    """A message as the Celery of a submitter writes it into the queue."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {
        "body": base64.b64encode(body).decode(), "content-encoding": encoding, "content-type": kind,
        "headers": {"lang": "py", "task": task, "id": "0d", "root_id": "0d", **headers},
        "properties": {
            "correlation_id": "0d", "delivery_mode": 2, "priority": 0, "body_encoding": "base64", "delivery_tag": "0d",
            "delivery_info": {"exchange": "", "routing_key": INSPECT_QUEUE},
        },
    }  # fmt: skip


def deep(levels):
    return b"[" * levels + b"]" * levels


def hostile_messages(sprung):
    good = [[1, 1], {}, {}]
    trap = pickle.dumps(Trap(sprung))
    yaml = f"!!python/object/apply:os.mkdir ['{sprung}']".encode()
    path = "/etc/passwd"
    yield from [
        message(trap, kind="application/x-python-serialize", encoding="binary"),
        message(yaml, kind="application/x-yaml"),
        message(b"\x93\x01\x80\x80", kind="application/x-msgpack", encoding="binary"),
        message(json.dumps(good).encode(), kind="text/plain"),
        message(trap, kind="application/data", encoding="binary"),
        message(good, kind="application/../json"),
        message(good, kind=""),
        message([[path, 1], {}, {}]),
        message([[1, 1], {"path": path}, {}]),
        message([[], {"job_id": path, "number": 1}, {}]),
        message([[1.0, 1], {}, {}]),
        message([[True, True], {}, {}]),
        message([[2**70, 1], {}, {}]),
        message([[-1, 0], {}, {}]),
        message([["9" * 10**6, 1], {}, {}]),
        message([list(range(10**5)), {}, {}]),
        message([[[[[1]]], 1], {}, {}]),
        message(b"[[1, 1]"),
        message(b"\xff\xfe"),
        message(b""),
        message({}),
        message([]),
        message("x"),
        message(7),
        message([[1, 1]]),
        message([[1, 1], {}, {}, {}]),
        message([[1, 1], [], {}]),
        message([[1, 1], {}, []]),
        message(deep(5000)),
        message(deep(100_000)),
        message(good, task=TICK_TASK),
        message([[path], {}, {}], task=TICK_TASK),
        message([[], {"moment": path}, {}], task=TICK_TASK),
        message(good, task="os.system"),
        message(good, task=""),
        message(good, task=None),
        message(good, task=[1]),
        message([[INSPECT_TASK, [[path, 1]]], {}, {}], task="celery.map"),
        message([[{"task": "os.system", "args": [path]}, [[1]]], {}, {}], task="celery.starmap"),
        message([[path, 1], {}, {"chain": [{"task": "os.system", "args": [path], "kwargs": {}, "options": {}}]}]),
        message([[path, 1], {}, {"errbacks": [{"task": "os.system", "args": [path], "kwargs": {}, "options": {}}]}]),
        message([[path, 1], {}, {}], eta="not a time"),
        message([[path, 1], {}, {}], expires="x", timelimit="x"),
        message([[path, 1], {}, {}], retries="many", group=[1], timelimit=[None, None]),
        message(zlib.compress(bytes(10**8)), compression="application/x-gzip"),
        message(good, compression="no such thing"),
    ]


@pytest.fixture
def settings(home):
    return load_settings(home.environ)


@pytest.mark.slow
def test_messages_of_any_kind_are_refused_and_the_worker_goes_on(home, settings, lot, tmp_path):
    sprung = tmp_path / "sprung"
    raw = [json.dumps(one).encode() for one in hostile_messages(sprung)]
    with broker.embedded_broker(settings), redis.Redis.from_url(redis_url(settings)) as client:
        client.lpush(INSPECT_QUEUE, *raw)
        job = home.json("submit", "flange", lot)
        home.environ["ODDLOT_LOG"] = "json"
        with home.worker() as worker, home.database() as engine:
            eventually(
                lambda: worker.poll() is not None or jobs.get_job(engine, job["job"]).finished_at, home.log.read_text
            )
            done = jobs.get_job(engine, job["job"])
            assert worker.poll() is None, home.log.read_text()
            eventually(lambda: not client.llen(INSPECT_QUEUE), home.log.read_text)
    assert (done.scored, done.unaccounted) == (24, 0)
    assert not sprung.exists()
    log = home.log.read_text()
    # Two are of the right shape, and their numbers are none of a job: the task refuses them.
    assert log.count("a message of another shape than ours was dropped") == len(raw) - 2
    assert log.count('"exception"') == log.count("TypeError: oddlot.inspect_batch takes two whole numbers") == 2
