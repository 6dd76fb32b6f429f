"""A worker process that has grown is replaced between two batches, and no result shows it."""

import os
import subprocess
import sys

import pytest
from shop import ONE_DATABASE, by_name, work_off

from db import jobs, liveness
from oddlot.words import JobState
from worker.submission import Submission, submit

SAME = ("state", "raw_score", "score", "p_value", "flagged", "sha256", "error")


@pytest.mark.slow
@ONE_DATABASE
def test_results_are_the_same_where_each_batch_is_the_last_of_its_process(
    engine, settings, model, lot, variables, database_url, tmp_path
):
    undisturbed = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, undisturbed.id)
    seen_before = {name for name, _ in liveness.children_seen(engine)}
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    log = tmp_path / "worker.log"
    environ = {**os.environ, **variables, "ODDLOT_DATABASE_URL": database_url, "ODDLOT_SWEEP_SECONDS": "0.1"}
    with log.open("wb") as stream:
        worker = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "worker", "--concurrency", "1"],
            env=environ | {"ODDLOT_CHILD_MEGABYTES": "1"}, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        waiting = [sys.executable, "-m", "cli.main", "job", str(job.id), "--watch"]
        subprocess.run(waiting, env=environ, check=True, capture_output=True)
    finally:
        worker.terminate()
        assert worker.wait(timeout=60) == 0, log.read_text()
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.unaccounted) == (JobState.DONE, 20, 0), log.read_text()
    assert len({name for name, _ in liveness.children_seen(engine)} - seen_before) == 3, log.read_text()
    expected, found = by_name(engine, undisturbed.id), by_name(engine, job.id)
    assert [[row[name] for name in SAME] for row in found.values()] == [
        [expected[picture][name] for name in SAME] for picture in found
    ]


@pytest.fixture
def variables(variables):
    return variables | {"ODDLOT_BATCH_SIZE": "8"}
