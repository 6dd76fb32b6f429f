"""Nights of real solar cells, through a real fit: real defects are a bad lot, and a changed scene is held."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from shop import work_off

from db import jobs
from db.engine import open_database
from oddlot.settings import load_settings
from oddlot.words import JobState
from trainer.fit import FitOptions, fit
from worker.submission import Submission, submit

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(1800)]

NIGHT = 60


@pytest.fixture(scope="module")
def sets():
    data = os.environ.get("ODDLOT_DATA")
    if not data:
        pytest.skip("needs the image sets of ODDLOT_DATA")
    return Path(data)


@pytest.fixture(scope="module")
def shop(sets, tmp_path_factory):
    home = tmp_path_factory.mktemp("real") / "home"
    settings = load_settings({"ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0"})
    engine = open_database(settings.database_url)
    good = str(sets / "elpv_mono" / "train" / "good")
    fit(engine, settings, FitOptions("cell", good, size=128, epochs=2, force=True), threads=2)
    yield settings, engine
    engine.dispose()


def inspected(shop, folder):
    settings, engine = shop
    job = submit(engine, settings, Submission(model="cell", folder=folder))
    work_off(engine, settings, job.id)
    return jobs.get_job(engine, job.id)


def write(folder, paths, how=lambda picture: picture):
    for i, path in enumerate(paths):
        with Image.open(path) as picture:
            how(picture).save(folder / f"{i:03}.png")


def good(sets):
    return sorted((sets / "elpv_mono" / "test" / "good").iterdir())[:NIGHT]


def test_a_usual_night_is_done(shop, sets, tmp_path):
    write(tmp_path, good(sets))
    done = inspected(shop, tmp_path)
    assert (done.state, done.validity["reasons"]) == (JobState.DONE, [])


def test_a_night_with_a_fifth_of_real_defects_is_not_held(shop, sets, tmp_path):
    defects = sorted((sets / "elpv_mono" / "test" / "defect").iterdir())
    chosen = np.random.default_rng(1).choice(len(defects), NIGHT // 5, replace=False)
    mixed = good(sets)[NIGHT // 5 :] + [defects[i] for i in chosen]
    write(tmp_path, [mixed[i] for i in np.random.default_rng(2).permutation(NIGHT)])
    done = inspected(shop, tmp_path)
    assert (done.state, done.validity["reasons"], done.scored) == (JobState.DONE, [], NIGHT)


SCENES = {
    "dimmed light": (lambda p: p.point(lambda v: v * 0.6), "brightness"),
    "a shifted camera": (lambda p: Image.fromarray(np.roll(np.asarray(p), (25, 25), (0, 1))), "likeness"),
    "blur": (lambda p: p.filter(ImageFilter.GaussianBlur(6)), "sharpness"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_changed_scene_is_held(shop, sets, tmp_path, scene):
    how, what = SCENES[scene]
    write(tmp_path, good(sets), how)
    held = inspected(shop, tmp_path)
    assert held.state == JobState.HELD
    assert what in {reason["what"] for reason in held.validity["reasons"]}


def test_a_wrong_product_of_the_same_size_is_held(shop, sets, tmp_path):
    tiles = sorted((sets / "magnetic_tile" / "test" / "good").iterdir())[:NIGHT]
    write(tmp_path, tiles, lambda p: p.resize((300, 300)))
    held = inspected(shop, tmp_path)
    assert held.state == JobState.HELD
    assert {"likeness", "scores"} <= {reason["what"] for reason in held.validity["reasons"]}
