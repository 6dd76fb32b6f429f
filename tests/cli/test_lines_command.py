"""`oddlot lines`: what each line may take, what waits of it, and that a job which waits for its line says so."""

import pytest

from db import batches, lines, listing, models, workers
from db.engine import open_database
from db.jobs import create_job
from db.lines import Quota
from oddlot.settings import load_settings
from worker.broker import embedded_broker


@pytest.fixture
def engine(empty_oddlot):
    opened = open_database(load_settings(empty_oddlot.environ).database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def flood(engine):
    """The number of a job of five batches of a line."""
    row = models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.1,
        false_alarms=0.1, card={},
    )  # fmt: skip
    job_id, _ = create_job(
        engine, model_id=row.id, source="/data", line="press-3", lot="lot", priority=5, recursive=True, glob=None,
        only_new=False, key=None,
    )  # fmt: skip
    listing.add_items(engine, job_id, [(f"/data/{i}.png", 1, 1) for i in range(5)], 1, 1)
    listing.close_listing(engine, job_id, found=5, seen_before=0, left_out={}, deferred=[])
    return job_id


def test_a_quota_is_set_shown_changed_and_taken_away(empty_oddlot, engine):
    assert "No lines yet" in empty_oddlot.run("lines")
    said = empty_oddlot.run("lines", "quota", "press-3", "--batches", "4", "--items-per-day", "50000")
    bounds = "at most 4 batches in work at once; what is more than 50000 items a night waits until"
    assert f"line press-3: {bounds}" in " ".join(said.split())
    assert lines.list_quotas(engine) == {"press-3": Quota("press-3", 4, 50000)}
    assert empty_oddlot.json("lines", "quota", "press-3", "--batches", "0") == {
        "line": "press-3", "batches": None, "items_per_day": 50000
    }  # fmt: skip
    assert "no quota" in empty_oddlot.run("lines", "quota", "press-3", "--items-per-day", "0")
    assert lines.list_quotas(engine) == {}
    assert "cannot be the name of a line" in empty_oddlot.run("lines", "quota", " ", "--batches", "1", status=1)


def test_the_list_says_what_waits_and_jobs_and_doctor_say_why(empty_oddlot, engine, flood):
    lines.set_quota(engine, Quota("press-3", batches=1))
    (row,) = empty_oddlot.json("lines", "list")
    assert row.pop("last_night")
    assert row == {
        "line": "press-3", "items": 5, "waiting_batches": 5, "waiting_items": 5, "in_work": 0, "share": None,
        "quota_batches": 1, "quota_items_per_day": None,
    }  # fmt: skip
    workers.beat(engine, "press-pc", "press-pc", 4711, workers.SUPERVISOR, progress=False, silent_seconds=600)
    batches.claim_batch(engine, flood, 1, "somebody elsewhere", 600.0)
    assert "100%" in empty_oddlot.run("lines")
    with embedded_broker(load_settings(empty_oddlot.environ)):
        rows = empty_oddlot.start("doctor", "--json").communicate(timeout=120)[0]
        why = "4 batches wait, 1 in work: the others wait because line press-3 has its quota of 1 batches in work"
        assert f"job {flood}: {why}" in rows
        lines.set_quota(engine, Quota("press-3", batches=1))
        second, _ = create_job(
            engine, model_id=1, source="/data", line="press-3", lot="lot", priority=5, recursive=True, glob=None,
            only_new=False, key=None,
        )  # fmt: skip
        listing.add_items(engine, second, [("/data/9.png", 1, 1)], 1, 1)
        listing.close_listing(engine, second, found=1, seen_before=0, left_out={}, deferred=[])
        _, said = empty_oddlot.start("jobs").communicate(timeout=120)
    assert f"job {second}: 1 batches wait because line press-3 has its quota of 1 batches in work" in said


def test_what_is_beyond_the_items_of_a_night_is_taken_and_said_to_wait(empty_oddlot, engine, flood, tmp_path):
    lines.set_quota(engine, Quota("press-3", items_per_day=6))
    for number in range(2):
        (tmp_path / f"{number}.png").touch()
    process = empty_oddlot.start("submit", "flange", tmp_path, "--line", "press-3", "--glob", "*.png")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, int(out)) == (0, flood + 1)
    assert "line press-3 has more than its items a night: the job is done when nothing else waits" in err
    assert empty_oddlot.json("job", "last")["priority"] == 0
