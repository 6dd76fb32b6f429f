"""Whole nights through fit and inspection, on drawn parts: which are held, for what, and which are not."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from shop import child, eventually, work_off

from db import jobs, sweeping
from db.engine import open_database
from oddlot.settings import load_settings
from oddlot.words import JobState
from pictures.drawing import draw_part
from trainer.fit import FitOptions, fit
from worker.submission import Submission, submit

NIGHT = 30


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Good parts: 100 to learn from and a night of others."""
    folder = tmp_path_factory.mktemp("parts")
    for name, first, count in (("good", 0, 100), ("night", 1000, NIGHT)):
        (folder / name).mkdir()
        for i in range(count):
            pixels = draw_part(np.random.default_rng([7, first + i]), side=96)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def learnt(parts, tmp_path_factory):
    """A home with a model that is made in seconds: it sees next to nothing, but it knows how its pictures look."""
    home = tmp_path_factory.mktemp("learnt") / "home"
    settings = load_settings({"ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0"})
    engine = open_database(settings.database_url)
    options = FitOptions("flange", str(parts / "good"), size=64, architecture="paper", epochs=1, force=True, folds=1)
    fit(engine, settings, options, threads=2)
    engine.dispose()
    return home


@pytest.fixture
def shop(learnt, tmp_path):
    """Settings and database of a home of its own with that model in it."""
    home = Path(shutil.copytree(learnt, tmp_path / "home"))
    settings = load_settings({"ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_BATCH_SIZE": "16"})
    engine = open_database(settings.database_url)
    yield settings, engine
    engine.dispose()


@pytest.fixture
def night(parts, tmp_path):
    return Path(shutil.copytree(parts / "night", tmp_path / "tonight"))


def inspected(shop, folder):
    settings, engine = shop
    job = submit(engine, settings, Submission(model="flange", folder=folder))
    work_off(engine, settings, job.id)
    return jobs.get_job(engine, job.id)


def change(folder, how, which=slice(None)):
    for path in sorted(folder.iterdir())[which]:
        with Image.open(path) as picture:
            changed = how(picture.convert("RGB"))
        changed.save(path)


def reasons(job):
    return {reason["what"] for reason in job.validity["reasons"]}


def test_a_usual_night_is_done_and_nothing_is_said(shop, night):
    done = inspected(shop, night)
    assert (done.state, done.scored) == (JobState.DONE, NIGHT)
    assert (done.validity["reasons"], done.validity["notes"]) == ([], [])
    assert {"brightness", "sharpness", "likeness", "p_value"} <= set(done.validity["evidence"])


SCENES = {
    "dimmed light": (lambda p: p.point(lambda v: v * 0.6), "brightness", "darker"),
    "a stronger lamp": (lambda p: p.point(lambda v: min(255, v * 1.35)), "brightness", "brighter"),
    "blur": (lambda p: p.filter(ImageFilter.GaussianBlur(2)), "sharpness", "less sharp"),
    "a shifted camera": (
        lambda p: Image.fromarray(np.roll(np.asarray(p), (12, 12), (0, 1))), "likeness", "less like the usual picture",
    ),
    "a wrong product": (
        lambda p: Image.fromarray(np.kron(np.random.default_rng(p.getpixel((9, 9))[0]).integers(
            60, 200, (6, 6, 1), dtype=np.uint8), np.ones((16, 16, 3), np.uint8))), "likeness", "another product",
    ),
    "a red light": (
        lambda p: Image.merge("RGB", [p.getchannel(0), *(p.getchannel(c).point(lambda v: v * 0.8) for c in (1, 2))]),
        "red", "redder",
    ),
    "another camera": (lambda p: p.resize((192, 96)), "width", "wider"),
    "a covered lens": (lambda p: Image.new("RGB", p.size, (3, 3, 3)), "blank", "blank"),
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_a_changed_scene_is_held_and_says_what_it_is(shop, night, scene):
    how, what, words = SCENES[scene]
    change(night, how)
    held = inspected(shop, night)
    assert (held.state, held.scored, held.unaccounted) == (JobState.HELD, NIGHT, 0)
    assert what in reasons(held)
    assert words in next(reason["text"] for reason in held.validity["reasons"] if reason["what"] == what)


def test_a_lamp_that_dies_half_way_is_held(shop, night):
    change(night, lambda p: p.point(lambda v: v * 0.4), slice(int(0.6 * NIGHT), None))
    held = inspected(shop, night)
    assert held.state == JobState.HELD
    assert "12 of 30" in next(r["text"] for r in held.validity["reasons"] if r["what"] == "brightness")


def test_a_frozen_frame_is_held_whether_its_files_are_equal_or_only_show_the_same(shop, night):
    first, *_, last = sorted(night.iterdir())
    with Image.open(last) as picture:
        frozen = np.asarray(picture)
    noise = np.random.default_rng(0)
    for path in sorted(night.iterdir())[-10:]:
        seen = frozen + noise.normal(0, 1.5, frozen.shape)
        Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).save(path)
    held = inspected(shop, night)
    assert (held.state, reasons(held)) == (JobState.HELD, {"repeated"})
    for path in sorted(night.iterdir())[-10:]:
        shutil.copy(first, path)
    held = inspected(shop, night)
    assert (held.state, reasons(held)) == (JobState.HELD, {"repeated"})
    assert "10 of 30 pictures repeat" in held.validity["reasons"][0]["text"]


def test_a_sudden_share_of_unreadable_files_is_held(shop, night):
    for path in sorted(night.iterdir())[:10]:
        path.write_bytes(path.read_bytes()[:200])
    held = inspected(shop, night)
    assert (held.state, held.unreadable, reasons(held)) == (JobState.HELD, 10, {"unreadable"})
    assert "10 of 30 files could not be read" in held.validity["reasons"][0]["text"]


def test_a_tiny_night_is_not_held_for_how_it_looks(shop, night):
    for path in sorted(night.iterdir())[4:]:
        path.unlink()
    change(night, lambda p: p.point(lambda v: v * 0.6))
    done = inspected(shop, night)
    assert done.state == JobState.DONE
    assert "only 4 pictures" in done.validity["notes"][0]["text"]


def test_a_night_is_only_noted_where_nothing_is_to_be_held(shop, night):
    settings, engine = shop
    change(night, lambda p: p.point(lambda v: v * 0.6))
    done = inspected((replace(settings, hold=False), engine), night)
    assert (done.state, done.validity["reasons"]) == (JobState.DONE, [])
    assert any("darker" in note["text"] for note in done.validity["notes"])


DIES = """
import os, signal, sys
from db import settling
from db.engine import open_database
from oddlot.settings import load_settings
from worker import inspection
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
settling.judge = die
settings = load_settings()
engine = open_database(settings.database_url)
for number in (1, 2):
    inspection.inspect_batch(engine, settings, int(sys.argv[1]), number)
"""


def test_a_worker_killed_between_the_last_batch_and_the_check_changes_nothing(shop, night):
    settings, engine = shop
    change(night, lambda p: p.point(lambda v: v * 0.6))
    job = submit(engine, settings, Submission(model="flange", folder=night))
    variables = {"ODDLOT_HOME": str(settings.home), "ODDLOT_BATCH_SIZE": "16", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with child(DIES, str(job.id), variables=variables) as process:
        eventually(lambda: process.poll() is not None, "the worker did not come to its check")
        assert process.returncode == -signal.SIGKILL
        dead = process.pid
    assert not os.path.exists(f"/proc/{dead}")
    row = jobs.get_job(engine, job.id)
    assert (row.state, row.finished_at) == (JobState.RUNNING, None)
    for owner in sweeping.lease_owners(engine):
        sweeping.expire_leases(engine, owner)
    work_off(engine, settings, job.id)
    row = jobs.get_job(engine, job.id)
    assert (row.state, row.scored, row.unaccounted) == (JobState.HELD, NIGHT, 0)
