"""The main job as a user runs it: embedded queue and database, real workers, real pictures."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from db import workers
from db.engine import open_database
from ganomaly.bundle import open_bundle
from oddlot.settings import load_settings
from pictures.preprocessing import Preprocessing
from pictures.reading import read_picture

UNREADABLE = {"truncated.jpg", "empty.png", "notes.txt"}


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_inspect_alone_accounts_for_every_file_and_leaves_nothing_running(oddlot, messy_folder):
    job = oddlot.json("inspect", "flange", messy_folder, "--line", "press 3")
    files = [name for _, _, names in os.walk(os.fsencode(messy_folder)) for name in names]
    assert job["state"] == "done"
    assert job["listed"] == len(files) == job["scored"] + job["unreadable"]
    assert (job["unreadable"], job["quarantined"], job["cancelled"], job["unaccounted"]) == (3, 0, 0, 0)
    assert (job["line"], job["lot"]) == ("press 3", messy_folder.name)
    rows = csv_rows(oddlot.run("results", "--job", "last", "--format", "csv"))
    assert len(rows) == len(files)
    assert {Path(row["path"]).name for row in rows if row["state"] == "unreadable"} == UNREADABLE
    for row in rows:
        if row["state"] == "scored":
            assert 0 < float(row["score"]) < 1
            assert 0 < float(row["p_value"]) <= 1
            assert (row["flagged"] == "true") == (float(row["score"]) > 0.5)
            assert len(row["sha256"]) == 64
        else:
            assert row["error"]
            assert row["raw_score"] == row["score"] == row["p_value"] == ""
    notes = {Path(row["path"]).name: row["note"] for row in rows}
    assert "first" in notes["pages.tif"]
    oddlot.leaves_nothing()


def test_inspect_prints_table_completeness_and_the_way_on(oddlot, drawn):
    text = oddlot.run("inspect", "flange", drawn / "tonight")
    assert re.search(r"completeness: listed 24 = scored 24 \+ unreadable 0 .* unaccounted 0", text)
    assert "oddlot results --job 1" in text


def test_a_picture_scores_the_same_in_the_worker_as_alone_in_this_process(oddlot, drawn):
    oddlot.json("inspect", "flange", drawn / "tonight")
    rows = csv_rows(oddlot.run("results", "--format", "csv"))
    settings = load_settings(oddlot.environ)
    (shown,) = oddlot.json("models", "list")
    uri = next((oddlot.home / "models" / "flange").iterdir())
    bundle = open_bundle(uri)
    preprocessing = Preprocessing.from_dict(bundle.preprocessing)
    assert shown["threshold"] == bundle.calibration.threshold
    for row in rows:
        picture = read_picture(
            row["path"], preprocessing, max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes
        )
        alone = bundle.detector.score(picture.pixels[np.newaxis]).raw
        assert float(row["raw_score"]) == pytest.approx(alone[0], rel=1e-5)
        # From the raw score that is stored: far below the threshold the scale is steeper than that tolerance.
        score = bundle.calibration.normalise(np.array([float(row["raw_score"])]))[0]
        assert float(row["score"]) == pytest.approx(score, rel=1e-12)


def test_all_formats_tell_the_same(oddlot, drawn, tmp_path):
    oddlot.json("inspect", "flange", drawn / "tonight")
    from_csv = csv_rows(oddlot.run("results", "--format", "csv"))
    from_json = oddlot.json("results")
    oddlot.run("results", "--format", "parquet", "-o", tmp_path / "night.parquet")
    from_parquet = pq.read_table(tmp_path / "night.parquet").to_pylist()
    key = ("path", "raw_score", "score", "p_value", "flagged", "state", "sha256")
    as_json = [tuple(row[name] for name in key) for row in from_json]
    assert as_json == [tuple(row[name] for name in key) for row in from_parquet]
    assert as_json == [
        (r["path"], float(r["raw_score"]), float(r["score"]), float(r["p_value"]), r["flagged"] == "true", r["state"],
         r["sha256"]) for r in from_csv
    ]  # fmt: skip
    flagged = oddlot.json("flagged", "--job", "last")
    assert [row["item"] for row in flagged] == [
        row["item"] for row in sorted(from_json, key=lambda r: -r["score"]) if row["flagged"]
    ]
    assert len(oddlot.json("flagged", "--min-score", "1", "--line", "elsewhere")) == 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_inspect_leaves_no_process_and_loses_no_item(oddlot, drawn, stop, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(15):
        for original in (drawn / "tonight").iterdir():
            os.link(original, folder / f"{i}-{original.name}")
    oddlot.environ |= {"ODDLOT_BATCH_SIZE": "8", "ODDLOT_HOLD": "false"}  # a night of copies
    process = oddlot.start("inspect", "flange", folder)
    line = process.stderr.readline()  # the job is in the database when its summary is printed
    assert line.startswith("job 1 (queued)")
    process.send_signal(stop)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "oddlot cancel 1" in err
    oddlot.leaves_nothing()
    job = oddlot.json("job", "1")
    assert job["listed"] == 360 == job["scored"] + job["unaccounted"]
    cancelled = oddlot.json("cancel", "1")
    assert cancelled["listed"] == cancelled["scored"] + cancelled["cancelled"]
    rest = oddlot.json("inspect", "flange", folder, "--only-new")
    assert (rest["state"], rest["found"], rest["seen_before"]) == ("done", 360, cancelled["scored"])
    assert rest["listed"] == rest["scored"] == cancelled["cancelled"]


def test_up_serves_submissions_until_it_is_stopped(oddlot, drawn):
    up = oddlot.start("up", "--concurrency", "1")
    try:
        assert up.stdout.readline().startswith("Oddlot is up")
        first = oddlot.json("submit", "flange", drawn / "tonight", "--wait", "--key", "night 1")
        assert (first["state"], first["scored"]) == ("done", 24)
        again = oddlot.json("submit", "flange", drawn / "tonight", "--wait", "--key", "night 1")
        assert again["job"] == first["job"]
        nothing_new = oddlot.json("submit", "flange", drawn / "tonight", "--wait", "--only-new")
        assert (nothing_new["state"], nothing_new["listed"], nothing_new["seen_before"]) == ("done", 0, 24)
        # inspect uses the workers that run: its own would take seconds to load the model again
        third = oddlot.json("inspect", "flange", drawn / "tonight")
        assert third["scored"] == 24
        assert {finding["state"] for finding in oddlot.json("doctor")} <= {"ok", "note"}
    finally:
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=120)
    assert up.returncode == 0
    oddlot.leaves_nothing()


def test_a_job_waits_in_the_database_until_a_worker_comes_and_retry_redoes_only_the_rest(oddlot, messy_folder):
    job = oddlot.json("submit", "flange", messy_folder)
    assert job["state"] == "queued"
    cancelled = oddlot.json("cancel", job["job"])
    assert (cancelled["state"], cancelled["cancelled"], cancelled["scored"]) == (
        "cancelled",
        job["listed"],
        0,
    )
    put_back = oddlot.json("retry", job["job"])
    assert (put_back["state"], put_back["put_back"]) == ("queued", job["listed"])
    other = oddlot.json("inspect", "flange", messy_folder / "deep")  # its worker finds the older job in SQL
    assert other["state"] == "done"
    up = oddlot.start("up", "--concurrency", "1")
    try:
        assert up.stdout.readline().startswith("Oddlot is up")
        done = oddlot.json("job", job["job"], "--watch")
        assert (done["state"], done["unreadable"]) == ("done", 3)
        mended = sorted((messy_folder / "deep" / "er").iterdir())[0]
        shutil.copy(mended, messy_folder / "empty.png")
        assert oddlot.json("retry", job["job"])["put_back"] == 3
        done = oddlot.json("job", job["job"], "--watch")
        # the file is not the one that was listed: the next run takes it up, this one says so
        assert (done["state"], done["unreadable"]) == ("done", 3)
        (row,) = [r for r in oddlot.json("results", "--job", job["job"]) if r["path"].endswith("empty.png")]
        assert "changed" in row["error"]
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=120)


def test_a_missing_bundle_fails_the_job_in_one_line_and_retry_mends_it(oddlot, drawn):
    store = oddlot.home / "models"
    store.rename(oddlot.home / "elsewhere")
    error = oddlot.run("inspect", "flange", drawn / "tonight", status=1)
    assert "bundle" in error.splitlines()[-1]
    job = oddlot.json("job", "last")
    assert (job["state"], job["listed"], job["quarantined"], job["unaccounted"]) == ("failed", 24, 24, 0)
    assert oddlot.run("doctor", "--json", status=1) == ""
    (oddlot.home / "elsewhere").rename(store)
    assert oddlot.json("retry", "last")["put_back"] == 24
    oddlot.json("inspect", "flange", drawn / "tonight")
    assert oddlot.json("job", "1")["scored"] == 24


def test_models_are_versioned_promoted_rolled_back_and_carried(oddlot, drawn, tmp_path):
    oddlot.run("models", "export", "flange", tmp_path / "flange.oddlot")
    imported = oddlot.json("models", "import", tmp_path / "flange.oddlot")
    assert (imported["version"], imported["state"]) == (2, "active")
    assert oddlot.json("models", "rollback", "flange")["version"] == 1
    assert oddlot.json("models", "promote", "flange", "2")["version"] == 2
    states = {row["version"]: row["state"] for row in oddlot.json("models", "list")}
    assert states == {1: "retired", 2: "active"}
    assert oddlot.json("inspect", "flange", drawn / "tonight")["version"] == 2
    assert oddlot.json("models", "show", "flange")["card"]["pictures"]["usable"] == 60


def test_a_worker_of_celery_itself_is_the_same_thing(oddlot, drawn):
    worker = subprocess.Popen(
        ["celery", "-A", "worker.app", "worker", "--concurrency", "1"],
        env=oddlot.environ | {"PATH": f"{Path(os.sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        job = oddlot.json("submit", "flange", drawn / "tonight", "--wait")
        assert (job["state"], job["scored"]) == ("done", 24)
    finally:
        worker.terminate()
        worker.wait(60)
    assert worker.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "flange", "/nowhere/at/all"), "not a folder"),
        (("submit", "gearbox", "."), "flange"),
        (("job", "77"), "77"),
        (("job", "seven"), "'seven' is not a job"),
        (("flagged", "--since", "yesterdayish"), "--since"),
        (("flagged", "--since", "99999999999d"), "--since"),
        (("results", "--format", "parquet", "-o", "/nowhere/at/all.parquet"), "No such file"),
        (("results", "--format", "csv", "-o", "/dev/full"), "No space left"),
        (("models", "import", __file__, "--name", "../evil"), "name of a model"),
        (("fit", "../evil", "."), "name of a model"),
        (("models", "import", "/nowhere.oddlot"), "not a file"),
    ],
)
def test_errors_are_one_line_and_exit_1(oddlot, arguments, words):
    error = oddlot.run(*arguments, status=1)
    assert error.startswith("oddlot: ")
    assert len(error.strip().splitlines()) == 1
    assert words in error


def test_inspect_brings_a_worker_of_its_own_when_the_one_that_it_found_goes_away(oddlot, drawn):
    oddlot.environ["ODDLOT_SWEEP_SECONDS"] = "1"
    engine = open_database(load_settings(oddlot.environ).database_url)
    workers.beat(engine, "elsewhere", "other host", 1, workers.SUPERVISOR, progress=False, silent_seconds=3.0)
    engine.dispose()
    assert oddlot.json("inspect", "flange", drawn / "tonight")["scored"] == 24
    oddlot.leaves_nothing()


def test_what_nohup_started_does_not_end_with_the_terminal(oddlot):
    up = oddlot.start("up", "--concurrency", "1", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    try:
        assert up.stdout.readline().startswith("Oddlot is up")
        up.send_signal(signal.SIGHUP)
        up.send_signal(signal.SIGHUP)
        assert oddlot.json("jobs") == []
        assert up.poll() is None
    finally:
        up.terminate()
        _, err = up.communicate(timeout=120)
    assert up.returncode == 0, err


def test_a_python_file_in_the_current_folder_is_not_run(oddlot, drawn, tmp_path):
    for room in ("db", "worker", "cli", "pictures"):
        (tmp_path / f"{room}.py").write_text("raise SystemExit('not ours')")
    inspect = subprocess.run(
        [Path(os.sys.executable).with_name("oddlot"), "inspect", "flange", drawn / "tonight", "--json"],
        env=oddlot.environ, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert inspect.returncode == 0, inspect.stderr
    assert json.loads(inspect.stdout)["scored"] == 24


def test_a_database_that_does_not_answer_is_one_line_without_the_password(oddlot):
    oddlot.environ["ODDLOT_DATABASE_URL"] = "postgresql://oddlot:geheim@127.0.0.1:9/oddlot"
    error = oddlot.run("jobs", status=1)
    assert len(error.strip().splitlines()) == 1
    assert "geheim" not in error


def test_an_empty_home_is_ready_for_use(empty_oddlot):
    assert "No jobs yet" in empty_oddlot.run("jobs")
    assert empty_oddlot.json("models") == []
    assert json.loads(empty_oddlot.run("flagged", "--json")) == []
    assert "already" in empty_oddlot.run("db", "upgrade")
    states = {finding["what"]: finding["state"] for finding in empty_oddlot.json("doctor")}
    assert states["database"] == states["queue"] == states["home"] == states["heat maps"] == "ok"
    empty_oddlot.environ["ODDLOT_MAP_STORE"] = str(empty_oddlot.home / "oddlot.db")
    process = empty_oddlot.start("doctor", "--json")
    found = json.loads(process.communicate(timeout=120)[0])
    assert process.returncode == 1
    assert [finding["what"] for finding in found if finding["state"] == "wrong"] == ["heat maps"]
