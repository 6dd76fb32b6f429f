"""The same commands on PostgreSQL and a Redis-protocol server of its own, changed by two URLs."""

import json
import time

import pytest


@pytest.fixture
def servers(empty_oddlot, postgres_url, redis_url):
    empty_oddlot.environ |= {"ODDLOT_DATABASE_URL": postgres_url, "ODDLOT_BROKER_URL": redis_url}
    return empty_oddlot


def test_the_whole_job_on_postgresql_and_redis(servers, drawn, messy_folder):
    fit = servers.json(
        "fit", "flange", drawn / "train" / "good", "--architecture", "paper", "--size", "32", "--epochs", "1", "--force"
    )
    assert (fit["version"], fit["state"]) == (1, "active")
    findings = servers.run("doctor", "--json")
    assert "geheim" not in findings
    assert "postgresql" in findings
    alone = servers.json("inspect", "flange", messy_folder)  # nothing runs: it brings its own workers
    assert (alone["state"], alone["unreadable"], alone["unaccounted"]) == ("done", 3, 0)
    servers.leaves_nothing()
    worker = servers.start("worker", "--concurrency", "2")
    try:
        done = servers.json("submit", "flange", drawn / "tonight", "--wait", "--line", "press-3")
        assert (done["state"], done["listed"], done["scored"]) == ("done", 24, 24)
        queued = servers.json("submit", "flange", drawn / "train", "--priority", "9")
        watched = servers.json("job", queued["job"], "--watch")
        assert (watched["state"], watched["scored"]) == ("done", 60)
        assert not (servers.home / "broker").exists()
        assert not (servers.home / "oddlot.db").exists()
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    assert worker.returncode == 0
    rows = servers.json("results", "--line", "press-3")
    assert len(rows) == 24
    assert len(servers.json("flagged", "--line", "press-3")) == sum(row["flagged"] for row in rows)


def test_a_queued_fit_is_done_by_a_trainer_and_says_where_its_model_is_not_active(servers, drawn):
    command = ("fit", "flange", drawn / "train" / "good", "--architecture", "paper", "--size", "32", "--epochs", "1")
    assert servers.json(*command, "--queue")["state"] == "queued"  # after one epoch it is no better than a coin
    servers.environ["ODDLOT_LOG"] = "json"
    trainer = servers.start("worker", "--fits")
    try:
        deadline = time.monotonic() + 120
        while not (done := [f for f in servers.json("doctor") if f["what"] == "fits" and "is done" in f["found"]]):
            assert trainer.poll() is None
            assert time.monotonic() < deadline, "the queued fit was not done"
        assert [(m["model"], m["version"], m["state"]) for m in servers.json("models")] == [("flange", 1, "candidate")]
        assert "oddlot models promote flange 1" in done[0]["advice"]
    finally:
        trainer.terminate()
        _, log = trainer.communicate(timeout=60)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    said = [line for line in lines if line["logger"] == "trainer.tasks"]
    assert [(line["event"], line["fit"], line["model"]) for line in said] == [
        ("fit begun", 1, "flange"), ("fit done", 1, "flange"),
    ]  # fmt: skip
    assert (said[1]["version"], said[1]["state"]) == (1, "candidate")
