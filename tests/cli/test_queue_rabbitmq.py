"""A queue that is RabbitMQ's own, over TLS and with certificates on both sides: jobs, fits and schedules by it, and
what is said where it lets nobody in."""

import datetime as dt
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from polling import eventually
from rabbit import Rabbit, why_not
from sqlalchemy import select, update
from tls import Authority

from db import fits, jobs, models
from db.engine import open_database, reading, writing
from db.schema import schedule, schedule_run
from oddlot.queue import FIT_QUEUE, TICK_QUEUE
from oddlot.settings import load_settings
from worker import broker, publishing

if (REASON := why_not()) is not None:
    pytest.skip(f"nothing was tried with RabbitMQ over TLS: {REASON}", allow_module_level=True)

SECRET = "s3kr1t-Geheim"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority") / "plant")


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    user = f"default_user = oddlot\ndefault_pass = {SECRET}"
    made = Rabbit(tmp_path_factory.mktemp("rabbit") / "server", user, authority=authority)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def url(server, authority):
    """The URL of the server, by default over TLS and with all that it wants; other parts where they are named."""
    server.await_start()
    certificate, key = authority.issue("worker")
    usual = {"ssl_ca_certs": authority.certificate, "ssl_certfile": certificate, "ssl_keyfile": key}

    def made(scheme="amqps", host="localhost", port=server.tls_port, password=SECRET, **options):
        behind = "&".join(f"{name}={value}" for name, value in (usual | options).items() if value is not None)
        return f"{scheme}://oddlot:{password}@{host}:{port}//?{behind}"

    return made


@pytest.fixture
def plant(oddlot, url):
    oddlot.environ["ODDLOT_BROKER_URL"] = url()
    return oddlot


@pytest.fixture
def settings(plant):
    return load_settings(plant.environ)


@pytest.fixture
def engine(settings):
    opened = open_database(settings.database_url)
    yield opened
    opened.dispose()


@contextmanager
def running(*processes):
    """They go on for the length of the block, end in order, and say no secret."""
    try:
        yield lambda: all(process.poll() is None for process in processes)
        for process in processes:
            process.terminate()
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            assert SECRET not in out + err
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_job(plant, drawn):
    done = plant.json("inspect", "flange", drawn / "tonight")
    assert (done["state"], done["scored"], done["unaccounted"]) == ("done", 24, 0)
    found = plant.run("doctor", "--json")
    assert {row["state"] for row in json.loads(found) if row["what"] == "queue"} <= {"ok", "note"}
    assert SECRET not in found


def test_a_fit_that_a_trainer_takes_from_the_queue(plant, drawn, engine, settings):
    asked = plant.json(
        "fit", "washer", drawn / "train" / "good", "--queue", "--epochs", "1", "--force", "--architecture", "paper",
        "--size", "32",
    )  # fmt: skip
    assert asked["state"] == "queued"
    assert publishing.queue_depth(settings, FIT_QUEUE) == 1
    with running(plant.start("worker", "--fits")) as lives:
        eventually(lambda: not lives() or not fits.recent_fits(engine), "the fit is not done", seconds=120)
    # Held by the trainer to its end, and then taken off: else it would be there again now that nobody holds it.
    assert publishing.queue_depth(settings, FIT_QUEUE) == 0
    assert [row.version for row in models.list_models(engine, cards=False) if row.name == "washer"] == [1]


def test_a_schedule_that_the_clock_starts(plant, drawn, engine, settings):
    plant.run("nightly", "add", "flange", drawn / "tonight", "--at", "00:00", "--zone", "UTC")
    with writing(engine) as connection:
        since = dt.datetime.now(dt.UTC) - dt.timedelta(days=4)
        connection.execute(update(schedule).values(active_since=since, created_at=since))
    clock = subprocess.Popen(
        [sys.executable, "-m", "celery", "--quiet", "-A", "worker.app", "beat"], env=plant.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ended():
        with reading(engine) as connection:
            (number,) = connection.execute(select(schedule_run.c.job_id)).scalars().all() or [None]
        return number is not None and jobs.get_job(engine, number).finished_at is not None

    with running(clock, plant.start("worker", "--concurrency", "1")) as lives:
        eventually(lambda: not lives() or ended(), "what was due was not inspected", seconds=120)
    (done,) = jobs.list_jobs(engine, limit=10)
    assert (done.state, done.scored, done.unaccounted) == ("done", 24, 0)
    assert publishing.queue_depth(settings, TICK_QUEUE) <= 1


REFUSED = {
    "an authority that is not the server's": ({"ssl_ca_certs": "OTHER/ca.pem"}, "certificate verify failed"),
    "no authority named": ({"ssl_ca_certs": None}, "certificate verify failed"),
    "no way around it": ({"ssl_ca_certs": None, "ssl_cert_reqs": "none"}, "certificate verify failed"),
    "a name that is not the server's": ({"host": "127.0.0.2"}, "certificate is not valid for '127.0.0.2'"),
    # What Erlang 25 has to say about it may come too late to be read.
    "no certificate of the client's": ({"ssl_certfile": None, "ssl_keyfile": None}, "certificate required|EOF|reset"),
    "a client of another authority": (
        {"ssl_certfile": "OTHER/worker.pem", "ssl_keyfile": "OTHER/worker.key"}, "unknown ca|EOF|reset",
    ),
    "TLS to a port without": ({"port": "PLAIN"}, "wrong version number"),
    "a port with TLS without TLS": ({"scheme": "amqp"}, "reset by peer|closed connection"),
    "a wrong password": ({"password": f"{SECRET}-not"}, "ACCESS_REFUSED"),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(url, server, tmp_path_factory):
    """What is said in each of these cases; at once, because each asks a second time after two seconds."""
    folder = tmp_path_factory.mktemp("others")
    Authority(folder / "other").issue("worker")
    put = {"PLAIN": server.port}

    def answer(parts):
        asked = {k: put.get(v, v and v.replace("OTHER", f"{folder}/other")) for k, v in parts.items()}
        settings = load_settings({"ODDLOT_HOME": str(folder), "ODDLOT_BROKER_URL": url(**asked)})
        return broker.reason_for_no_answer(settings)

    with ThreadPoolExecutor(len(REFUSED)) as pool:
        return dict(zip(REFUSED, pool.map(answer, [parts for parts, _ in REFUSED.values()]), strict=True))


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_not_let_in_or_must_not_trust_reads_why(case, answers):
    said = answers[case]
    assert said is not None
    assert any(reason in said for reason in REFUSED[case][1].split("|")), said
    assert (len(said.splitlines()), SECRET in said) == (1, False)


def test_what_is_submitted_to_a_queue_that_cannot_be_trusted_is_safe_and_doctor_says_why(plant, drawn, url, tmp_path):
    other = Authority(tmp_path / "other")
    plant.environ["ODDLOT_BROKER_URL"] = url(ssl_ca_certs=other.certificate)
    doctor = plant.start("doctor", "--json")
    out, err = doctor.communicate(timeout=60)
    (queue,) = [row for row in json.loads(out) if row["what"] == "queue"]
    assert (doctor.returncode, queue["state"]) == (1, "wrong")
    assert "certificate verify failed" in queue["found"]
    assert (len(queue["found"].splitlines()), SECRET in out + err) == (1, False)
    submit = plant.start("submit", "flange", drawn / "tonight")
    out, err = submit.communicate(timeout=60)
    assert submit.returncode == 0, err
    assert "waits" in err or "queue" in err
    assert SECRET not in out + err
    assert "Traceback" not in err
