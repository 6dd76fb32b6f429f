"""Everything that `oddlot up` runs, watched from outside: health checks, metrics, and logs that a program can read."""

import json
import signal
import socket
from contextlib import contextmanager
from functools import partial

import polling
import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow
eventually = partial(polling.eventually, seconds=120.0)
SECRET = "s3kr1t-Geheim"
STOPPING = "\nworker: Warm shutdown (MainProcess)\n"


def healthy(oddlot, part):
    process = oddlot.start("health", part, "--json")
    out, err = process.communicate(timeout=120)
    found = json.loads(out)
    assert (process.returncode == 0) == found["healthy"], err
    return found["healthy"]


@contextmanager
def up(oddlot):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    oddlot.environ |= {
        "ODDLOT_LOG": "json", "ODDLOT_REVIEW_PORT": str(port), "ODDLOT_REVIEW_PASSWORD": SECRET,
        "ODDLOT_SWEEP_SECONDS": "0.5", "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    process = oddlot.start("up", "--concurrency", "1")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.err = process.communicate(timeout=120)[1]


def test_what_up_runs_is_healthy_measured_and_logged_as_json(oddlot, drawn):
    assert not healthy(oddlot, "worker")
    with up(oddlot) as process:
        for part in ("worker", "trainer", "beat", "review"):
            eventually(lambda part=part: healthy(oddlot, part), f"the {part} is not healthy")
        job = oddlot.json("submit", "flange", drawn / "tonight", "--line", "press-3", "--wait")
        assert healthy(oddlot, "all")
        text = oddlot.run("metrics")
        (oddlot.home / "out").mkdir()
        oddlot.run("metrics", "-o", oddlot.home / "out" / "oddlot.prom")
    seen = {s.name + s.labels.get("state", ""): s.value
            for family in text_string_to_metric_families(text) for s in family.samples}  # fmt: skip
    assert seen["oddlot_items_totalscored"] == job["scored"] == 24
    assert [path.name for path in (oddlot.home / "out").iterdir()] == ["oddlot.prom"]
    assert not healthy(oddlot, "review")
    assert not healthy(oddlot, "beat"), "it was stopped in order, and is not waited for"
    logs = {path.stem: path.read_text() for path in (oddlot.home / "logs").iterdir()} | {"up": process.err}
    assert set(logs) == {"worker", "trainer", "beat", "review", "up"}
    for name, log in logs.items():
        # Celery says that from within a signal handler, where nobody may log.
        lines = [json.loads(line) for line in log.replace(STOPPING, "").splitlines()]
        assert lines, name
        for line in lines:
            assert {"timestamp", "level", "event", "host", "pid"} <= set(line), name
        assert SECRET not in log
    (done,) = [json.loads(line) for line in logs["worker"].splitlines() if '"batch done"' in line]
    assert (done["job"], done["batch"], done["items"]) == (job["job"], 1, 24)
    assert done["reading"] + done["scoring"] <= done["seconds"]
