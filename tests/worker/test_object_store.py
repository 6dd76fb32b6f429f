"""Pictures, bundle, maps and thumbnails in an object store, and nothing on this machine but the home."""

import datetime as dt
import hashlib
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from shop import CARD, batch_row, draw, register, rows, work_off
from sqlalchemy import update

from db import jobs
from db.engine import writing
from db.items import get_item
from db.pruning import older_than
from db.schema import job as job_table
from ganomaly import bundle_store
from oddlot import object_calls, objects
from oddlot.errors import BundleError, OddlotError, StoreError
from oddlot.places import ObjectPath, place_of
from oddlot.settings import load_settings
from oddlot.words import BatchState, JobState
from report.thumbnails import thumbnail_of, thumbnail_path
from worker import explaining, inspection, scoring_process, submission
from worker.pruning import prune

pytestmark = pytest.mark.usefixtures("nothing_loaded")

COUNT = 20


@pytest.fixture
def database_url(tmp_path):
    """One engine: nothing here depends on it but what tests/db tries on both."""
    return f"sqlite:///{tmp_path}/oddlot.db"


@pytest.fixture
def far(object_store, locating, tmp_path, monkeypatch):
    """Settings whose stores are in the bucket, with a bundle and a lot of 20 pictures there."""
    bundle = locating[0] / "flange" / "1"
    for path in bundle.iterdir():
        object_store.put(f"models/flange/1/{path.name}", path.read_bytes())
    for number in range(COUNT):
        draw(tmp_path / "picture.png", seed=number)
        object_store.put(f"line 3/lot 7/{number:03}.png", (tmp_path / "picture.png").read_bytes())
    (tmp_path / "picture.png").unlink()
    variables = object_store.variables | {
        "ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_BATCH_SIZE": "16", "ODDLOT_S3_READS": "4",
        **{f"ODDLOT_{name}_STORE": f"{object_store.url}/{name.lower()}s" for name in ("MODEL", "MAP", "THUMB")},
    }  # fmt: skip
    settings = load_settings(variables)
    monkeypatch.setattr(scoring_process, "settings", lambda: settings)
    monkeypatch.setattr(inspection, "STORE_PAUSE", 0.0)
    monkeypatch.setattr(object_calls, "FIRST_PAUSE", 0.01)
    object_store.asked.clear()
    return settings


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(objects, "_patience", 0.5)


def submit(engine, settings, object_store, below="/line 3", **wish):
    folder = place_of(object_store.url + below)
    return submission.submit(engine, settings, submission.Submission(model="flange", folder=folder, **wish))


def outcomes(engine, job_id):
    return {row["path"].rpartition("/")[2]: (str(row["state"]), row["error"]) for row in rows(engine, job_id)}


def test_a_whole_job_with_everything_there(engine, far, locating, object_store, tmp_path):
    register(engine, locating[1])
    job = submit(engine, far, object_store)
    assert (job.state, job.listed, job.source, job.lot) == (
        JobState.QUEUED,
        COUNT,
        f"{object_store.url}/line 3",
        "line 3",
    )
    work_off(engine, far, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.unaccounted) == (JobState.DONE, COUNT, 0)
    flagged = [row for row in rows(engine, job.id) if row["flagged"]]
    assert flagged
    assert {f"maps/{job.id}/{row['item']}.png" for row in flagged} <= set(object_store.listed("maps/"))
    item = get_item(engine, flagged[0]["item"])
    assert item.path.startswith(f"{object_store.url}/line 3/lot 7/")
    found = explaining.explain(far, item)
    assert (found.same, found.heat_from, found.notes) == (True, "picture", [])
    assert thumbnail_of(far, item) == thumbnail_path(far, job.id, item.item_id).read_bytes()

    object_store.remove(item.path.removeprefix(f"{object_store.url}/"))
    found = explaining.explain(far, item)
    assert found.heat_from == "store"
    assert "not there any more" in found.notes[0]
    assert thumbnail_of(far, item) is not None  # the one that was kept

    with writing(engine) as connection:
        long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=100)
        connection.execute(update(job_table).values(finished_at=long_ago))
    freed = prune(engine, far, [older_than(engine, 90, keep_verdicts=False)])
    assert (freed.files["maps"] >= len(flagged), freed.files["thumbnails"], freed.failed) == (True, 1, [])
    assert object_store.listed("maps/") == object_store.listed("thumbs/") == []
    assert {path.name for path in tmp_path.iterdir()} <= {
        "home",
        *(f"oddlot.db{end}" for end in ("", "-shm", "-wal", ".lock")),
    }


def test_only_new_is_told_by_the_etag(engine, far, locating, object_store):
    register(engine, locating[1])
    work_off(engine, far, submit(engine, far, object_store, only_new=True).id)
    same, other = object_store.get("line 3/lot 7/000.png"), object_store.get("line 3/lot 7/001.png")
    object_store.put("line 3/lot 7/000.png", same)  # a copy of itself: another time, the same content
    changed = bytearray(other)
    changed[-1] ^= 1  # of the same size
    object_store.put("line 3/lot 7/001.png", bytes(changed))
    object_store.put("line 3/lot 7/new.png", same)
    again = submit(engine, far, object_store, only_new=True)
    assert (again.found, again.seen_before) == (COUNT + 1, COUNT - 1)
    assert set(outcomes(engine, again.id)) == {"001.png", "new.png"}


def test_what_is_gone_changed_refused_or_no_picture_is_recorded_as_such(engine, far, locating, object_store):
    register(engine, locating[1])
    object_store.put("line 3/lot 7/empty.png", b"")
    object_store.put("line 3/lot 7/text.png", b"not a picture")
    job = submit(engine, far, object_store)
    object_store.remove("line 3/lot 7/000.png")
    object_store.put("line 3/lot 7/001.png", object_store.get("line 3/lot 7/002.png"))
    object_store.fault = lambda method, key: (403, "AccessDenied") if key.endswith("003.png") else None
    work_off(engine, far, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.unreadable, done.unaccounted) == (JobState.DONE, COUNT - 3, 5, 0)
    found = outcomes(engine, job.id)
    reasons = {
        "000.png": "not there any more", "001.png": "changed after it was listed", "003.png": "access is denied",
        "empty.png": "the file is empty", "text.png": "not a picture of a known format",
    }  # fmt: skip
    for name, reason in reasons.items():
        assert found[name][0] == "unreadable"
        assert reason in found[name][1]


def test_keys_that_would_be_paths_are_only_keys(engine, far, locating, object_store):
    register(engine, locating[1])
    data = object_store.get("line 3/lot 7/000.png")
    odd = ["../up.png", "a//b.png", "/c.png", "Müller 部品 #1?.png", "q'\"<&>.png", "%41.png", "a/./d.png", "e+f.png"]
    for name in odd:
        ObjectPath(f"{object_store.url}/odd/{name}").write_bytes(data)  # boto3 would make another key of dots
    for name in ("odd/", "odd/.hidden.png", "odd/.git/x.png", "odd/Thumbs.db"):
        object_store.put(name, b"")
    object_store.put("oddity/not-below.png", data)
    job = submit(engine, far, object_store, "/odd/")
    assert job.left_out == {
        "folder marker of an object store": 1, "hidden or system file": 2, "in a hidden folder": 1,
    }  # fmt: skip
    work_off(engine, far, job.id)
    assert jobs.get_job(engine, job.id).scored == len(odd)
    assert {row["path"] for row in rows(engine, job.id)} == {f"{object_store.url}/odd/{name}" for name in odd}


def test_sub_folders_and_names_are_chosen_as_in_a_folder(engine, far, locating, object_store):
    register(engine, locating[1])
    object_store.put("line 3/top.PNG", b"x")
    object_store.put("line 3/top.txt", b"x")
    shallow = submit(engine, far, object_store, recursive=False, glob="*.png")
    assert (shallow.listed, shallow.left_out) == (1, {"sub-folder, not looked into": 1, "name does not match *.png": 1})


def test_throttling_and_broken_answers_cost_time_alone(engine, far, locating, object_store):
    register(engine, locating[1])
    job = submit(engine, far, object_store)
    chance = np.random.default_rng(3)
    faults = [(503, "SlowDown"), (500, "InternalError"), "broken", "closed", None, None, None]
    object_store.fault = lambda method, key: faults[chance.integers(len(faults))] if "lot 7" in key else None
    work_off(engine, far, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.unaccounted) == (JobState.DONE, COUNT, 0)
    assert object_store.faults > COUNT / 2
    assert object_store.peak <= far.s3_reads


def test_a_store_that_is_away_uses_up_no_attempt(engine, far, locating, object_store, impatient, logs):
    register(engine, locating[1])
    job = submit(engine, far, object_store)
    object_store.stop()
    for _ in range(2):
        inspection.inspect_batch(engine, far, job.id, 1)  # the bundle cannot be had
    waiting = batch_row(engine, job.id, 1)
    assert (waiting.state, waiting.attempts) == (BatchState.WAITING, 0)
    assert "does not answer" in waiting.error
    object_store.start()
    objects.close()  # patient again
    object_store.fault = lambda method, key: "closed" if "lot 7" in key or (loaded and not key) else None
    loaded = False
    scoring_process.model(far.model_store, "flange/1", locating[1])
    loaded = True
    inspection.inspect_batch(engine, far, job.id, 1)  # nor the pictures
    assert batch_row(engine, job.id, 1).attempts == 0
    object_store.fault = lambda method, key: None
    objects.close()
    work_off(engine, far, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.unreadable, done.unaccounted) == (JobState.DONE, COUNT, 0, 0)
    assert object_store.variables["AWS_SECRET_ACCESS_KEY"] not in str(logs) + waiting.error


def test_a_store_that_cannot_be_written_costs_the_maps_alone(engine, far, locating, object_store, impatient):
    register(engine, locating[1])
    job = submit(engine, far, object_store)
    object_store.fault = lambda method, key: (403, "AccessDenied") if method == "PUT" else None
    work_off(engine, far, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored) == (JobState.DONE, COUNT)
    assert done.flagged
    assert object_store.listed("maps/") == []


def test_a_bundle_is_fetched_once_verified_and_fetched_again_where_the_copy_is_damaged(far, locating, object_store):
    from ganomaly.bundle_store import bundle_folder

    place = far.model_store / "flange/1"
    kept = bundle_folder(place, locating[1], far.home)
    asked = object_store.asked["GET"]
    assert bundle_folder(place, locating[1], far.home) == kept
    assert object_store.asked["GET"] == asked
    (kept / "weights.npz").write_bytes(b"rubbish")
    assert bundle_folder(place, locating[1], far.home) == kept
    assert (kept / "weights.npz").read_bytes() == object_store.get("models/flange/1/weights.npz")
    object_store.put("models/flange/1/weights.npz", b"rubbish")
    (kept / "weights.npz").unlink()
    with pytest.raises(BundleError, match=r"s3://.*flange/1 is refused: weights.npz is damaged"):
        bundle_folder(place, locating[1], far.home)
    assert not kept.exists()
    object_store.remove("models/flange/1/manifest.json")
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        bundle_folder(place, locating[1], far.home)


def test_a_new_bundle_appears_with_its_manifest_last(far, trained, object_store):
    from ganomaly.bundle_store import bundle_folder, new_bundle

    put = []
    object_store.fault = lambda method, key: put.append(key.rpartition("/")[2]) if method == "PUT" else None
    with new_bundle(far.model_store / "seal/1", far.home) as folder:
        sha256 = trained.write(folder)
    assert put[-1] == "manifest.json"
    assert len(put) == 8
    assert (bundle_folder(far.model_store / "seal/1", sha256, far.home) / "manifest.json").is_file()
    object_store.fault = lambda method, key: (403, "AccessDenied") if key.endswith("network.json") else None
    with (
        pytest.raises(BundleError, match=r"cannot be written: .*denied"),
        new_bundle(far.model_store / "x", far.home) as new,
    ):
        trained.write(new)
    assert "models/x/manifest.json" not in object_store.listed()
    assert [path.name for path in (far.home / "cache").iterdir()] == ["bundles"]


def test_what_cannot_be_listed_makes_no_job(engine, far, locating, object_store, impatient):
    register(engine, locating[1])
    with pytest.raises(OddlotError, match=r"nothing below s3://.*/nowhere: give the prefix"):
        submit(engine, far, object_store, "/nowhere")
    with pytest.raises(OddlotError, match="the bucket is not there"):
        submission.submit(engine, far, submission.Submission(model="flange", folder=place_of("s3://no-such-bucket")))
    object_store.stop()
    with pytest.raises(StoreError, match="does not answer"):
        submit(engine, far, object_store)
    assert jobs.list_jobs(engine, limit=1) == []


def test_a_list_that_broke_off_is_begun_again_by_retry(engine, far, locating, object_store, impatient, monkeypatch):
    register(engine, locating[1])
    monkeypatch.setattr(object_calls, "PAGE", 8)
    object_store.fault = lambda method, key: "closed" if object_store.asked["GET"] > 2 else None
    with pytest.raises(OddlotError, match=r"does not answer.*`oddlot retry 1` begins it again"):
        submit(engine, far, object_store)
    object_store.fault = lambda method, key: None
    objects.close()
    job, count = submission.retry(engine, far, 1)
    assert (job.state, count) == (JobState.QUEUED, COUNT)


def test_pictures_that_are_too_large_are_refused_unread(engine, far, locating, object_store):
    from dataclasses import replace

    register(engine, locating[1])
    object_store.put("line 3/large.png", bytes(100_000))
    job = submit(engine, far, object_store)
    small = replace(far, max_file_bytes=50_000)
    work_off(engine, small, job.id)
    assert "100000 bytes, more than the limit of 50000" in outcomes(engine, job.id)["large.png"][1]


def test_absolute_bundles_and_folders_still_do(far, locating):
    assert far.model_store / "/srv/models/1" == Path("/srv/models/1")
    assert scoring_process.model(far.model_store, str(locating[0] / "flange" / "1"), locating[1]).preprocessing
    assert CARD["preprocessing"]["size"] == 32


def test_doctor_says_whether_each_store_answers(far, object_store, impatient):
    from cli.doctor import _object_store

    assert [(one.state, one.found) for one in _object_store(far)] == [
        ("ok", f"{object_store.url}/{name}s") for name in ("model", "map", "thumb")
    ]
    object_store.fault = lambda method, key: (403, "AccessDenied") if key.startswith("maps/") else None
    found = list(_object_store(far))
    assert [one.state for one in found] == ["ok", "wrong", "ok"]
    assert "access is denied" in found[1].found
    assert object_store.listed("models/.oddlot") == object_store.listed("thumbs/") == []


def test_a_copy_of_the_bundle_does_while_the_store_is_away(far, locating, object_store, impatient):
    scoring_process.model(far.model_store, "flange/1", locating[1])
    scoring_process._models.clear()
    object_store.stop()
    assert scoring_process.model(far.model_store, "flange/1", locating[1]).preprocessing


def test_copies_that_are_not_used_go_but_for_those_that_another_process_is_at(far, locating, object_store, monkeypatch):
    """Two processes of a host fetch different bundles at the same time; a copy that one verifies stays."""
    monkeypatch.setattr(bundle_store, "MOST_BYTES", 0)
    first = bundle_store.bundle_folder(far.model_store / "flange/1", locating[1], far.home)
    half_written = first.parent / ".another.12345678.partial"
    half_written.mkdir()
    (first.parent / "lost+found").write_bytes(b"somebody's")
    long_ago = time.time() - 2 * bundle_store.LEAST_SECONDS
    manifest = (first / "manifest.json").read_bytes() + b"\n"  # the same bundle by another hash
    other = hashlib.sha256(manifest).hexdigest()
    for path in first.iterdir():
        object_store.put(f"models/other/1/{path.name}", manifest if path.name == "manifest.json" else path.read_bytes())

    def fetch_other() -> None:
        shutil.rmtree(first.parent / other, ignore_errors=True)
        if first.exists():
            os.utime(first, (long_ago, long_ago))
        bundle_store.bundle_folder(far.model_store / "other/1", other, far.home)

    with bundle_store._alone(first.parent, first.name):
        fetch_other()
    assert first.is_dir()
    fetch_other()
    assert not first.exists()
    assert half_written.is_dir()
    os.utime(half_written, (long_ago, long_ago))
    fetch_other()
    assert not half_written.exists(), "nobody writes it any more"
