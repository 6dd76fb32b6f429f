"""What nobody holds any more is put back, by real processes that watch real processes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import redis
from shop import ONE_DATABASE, batch_row, child, eventually

from db import endings, jobs, workers
from oddlot.queue import INSPECT_QUEUE, INSPECT_TASK, redis_url
from oddlot.words import BatchState, JobState
from worker import broker, publishing, submission, supervision
from worker.app import app
from worker.submission import Submission, submit
from worker.sweeper import sweep_once

HOLDER = """
import sys
from db import batches
from db.engine import open_database
from oddlot.processes import identity
from oddlot.settings import load_settings

engine = open_database(load_settings().database_url)
assert batches.claim_batch(engine, int(sys.argv[1]), int(sys.argv[2]), identity(), 3600.0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def variables(variables, database_url):
    return variables | {"ODDLOT_DATABASE_URL": database_url, "ODDLOT_SWEEP_SECONDS": "0.1"}


@pytest.fixture
def queue(settings, monkeypatch):
    """A broker of this home; the application of the workers tells it."""
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis+socket://{redis_url(settings).removeprefix('unix://')}")
    with broker.embedded_broker(settings), redis.Redis.from_url(redis_url(settings)) as client:
        yield client


@contextmanager
def holding(job, number, variables):
    with child(HOLDER, str(job.id), str(number), variables=variables) as holder:
        assert holder.stdout.readline() == "held\n"
        yield holder


def test_a_batch_whose_owner_was_killed_is_back_in_the_queue_after_one_sweep(engine, settings, job, variables, queue):
    with holding(job, 1, variables) as killed, holding(job, 2, variables):
        sweep_once(engine, settings, app)
        assert publishing.queue_depth(settings) == 0
        killed.kill()
        killed.wait()
        sweep_once(engine, settings, app)
        assert publishing.queue_depth(settings) == 1
        put_back, held = batch_row(engine, job.id, 1), batch_row(engine, job.id, 2)
    assert (put_back.state, put_back.owner, put_back.attempts) == (BatchState.WAITING, None, 1)
    assert put_back.error == "the worker died or fell silent"
    assert put_back.published_at is not None
    assert held.state == BatchState.LEASED


@ONE_DATABASE
def test_a_batch_of_a_killed_owner_is_closed_where_its_job_was_cancelled(engine, settings, job, variables, queue):
    with holding(job, 1, variables) as holder:
        endings.cancel_job(engine, job.id)
        holder.kill()
        holder.wait()
        sweep_once(engine, settings, app)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.cancelled, done.unaccounted) == (JobState.CANCELLED, 20, 0)


@contextmanager
def sweeper(variables, log):
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.sweeper", str(os.getpid())], env={**os.environ, **variables}, stderr=stream
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_sweeper_outlives_a_queue_and_a_database_that_are_away_and_ends_when_told(
    engine, settings, job, variables, postgres_server, tmp_path
):
    log = tmp_path / "sweeper.log"
    name = engine.url.database
    # As on many hosts: a queue of this home's own it would start itself.
    elsewhere = {"ODDLOT_BROKER_URL": f"redis+socket://{redis_url(settings).removeprefix('unix://')}"}
    with sweeper(variables | elsewhere, log) as process, psycopg.connect(postgres_server, autocommit=True) as server:
        eventually(lambda: "sweep failed, trying again" in log.read_text(), "it said nothing about the queue")
        assert [row.pid for row in workers.living(engine)] == [os.getpid()]
        with broker.embedded_broker(settings):
            eventually(lambda: publishing.queue_depth(settings) == 2, "nothing was published")
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            eventually(lambda: "not currently accepting connections" in log.read_text(), "it did not notice")
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            before = workers.living(engine)[0].seen_at
            eventually(lambda: workers.living(engine)[0].seen_at > before, "it does not go on")
            process.terminate()
            assert process.wait(timeout=60) == 0
    assert workers.living(engine) == []
    assert "Traceback" not in log.read_text()


@ONE_DATABASE
def test_a_parent_starts_its_sweeper_again_and_does_not_wait_for_one_that_hangs(engine, variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0.1)
    cancelled = []
    timer = SimpleNamespace(call_repeatedly=lambda *_: SimpleNamespace(cancel=lambda: cancelled.append(True)))
    parent = SimpleNamespace(timer=timer, concurrency=1)
    step = supervision.SweeperStep(parent)
    step.start(parent)
    first = step.process
    first.kill()
    first.wait()
    step._ensure()
    second = step.process
    assert second.pid != first.pid
    step._ensure()
    assert step.process is second
    eventually(lambda: workers.living(engine), "it does not sweep")
    second.send_signal(signal.SIGSTOP)
    step.stop(parent)
    assert second.returncode == -signal.SIGKILL
    assert cancelled == [True]


@ONE_DATABASE
def test_an_embedded_queue_whose_keeper_was_killed_is_back_after_one_sweep(engine, settings, job, queue):
    server = queue.info("server")["process_id"]
    keeper = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{server}").exists(), "the server outlived its keeper")
    sweep_once(engine, settings, app)
    assert publishing.queue_depth(settings) == 2


@ONE_DATABASE
def test_what_children_held_that_were_stopped_is_given_back_without_an_attempt(
    engine, settings, job, variables, monkeypatch
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with holding(job, 1, variables) as stopped, holding(job, 2, variables):
        stopped.terminate()
        stopped.wait()
        supervision.give_back()
        back, held = batch_row(engine, job.id, 1), batch_row(engine, job.id, 2)
    assert (back.state, back.owner, back.attempts) == (BatchState.WAITING, None, 0)
    assert held.state == BatchState.LEASED


def processes_of(home):
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and f"ODDLOT_HOME={home}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return [line for line in found if line]


@ONE_DATABASE
def test_a_real_worker_outlives_messages_of_all_kinds_and_leaves_nothing_when_it_is_killed(
    engine, settings, model, lot, variables, queue, tmp_path
):
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    with app.connection_for_write() as connection, connection.SimpleQueue(INSPECT_QUEUE):
        producer = connection.Producer(auto_declare=False)
        headers = {"task": INSPECT_TASK, "id": "1", "lang": "py"}
        for args in (["/etc/passwd", 1], [1.5, 1], [], [1, 2, 3], [True, True]):
            body = (args, {}, {})
            producer.publish(body, routing_key=INSPECT_QUEUE, serializer="json", headers=headers)
        producer.publish({"no": "task"}, routing_key=INSPECT_QUEUE, serializer="json")
        producer.publish(([1, 1], {}, {}), routing_key=INSPECT_QUEUE, headers=headers | {"task": "os.system"})
        kind = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
        producer.publish(b"\x80\x04.", routing_key=INSPECT_QUEUE, headers=headers, **kind)
    assert submission.publish(engine, settings)
    assert publishing.queue_depth(settings) == 10
    log = tmp_path / "worker.log"
    with log.open("wb") as stream:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--concurrency", "1", "--loglevel", "INFO",
             "--without-gossip", "--without-mingle", "--without-heartbeat"],
            env={**os.environ, **variables, "ODDLOT_LOG": "json"}, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        eventually(lambda: worker.poll() is not None or jobs.get_job(engine, job.id).finished_at, "it is not done")
        done = jobs.get_job(engine, job.id)
        assert (done.state, done.scored, done.unaccounted) == (JobState.DONE, 20, 0), log.read_text()
        told = [line for line in log.read_text().splitlines() if "a message of another shape than ours" in line]
        # Each once: which of them, their sizes tell.
        assert sorted(json.loads(line)["size"] for line in told) == [3, 12, 14, 16, 18, 19, 22, 28], log.read_text()
        assert len(processes_of(settings.home)) >= 3
    finally:
        worker.kill()
        worker.wait()
    others = [b"worker.broker", b"-server"]  # the queue belongs to this test as well
    eventually(
        lambda: all(any(name in line for name in others) for line in processes_of(settings.home)),
        "a child or the sweeper outlived its parent",
    )
