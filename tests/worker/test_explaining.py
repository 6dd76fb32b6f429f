"""Why an item got its score, also when picture, model or map are not what they were."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop import ONE_DATABASE, draw, register, work_off
from sqlalchemy import update

from db import endings
from db.engine import writing
from db.items import get_item
from db.results import ResultFilter, iter_results
from db.schema import result
from oddlot.words import ItemState
from pictures.preprocessing import Preprocessing
from pictures.region import Region
from pictures.sheet import draw_sheet
from worker import inspection, scoring_process
from worker.explaining import explain, why_not_scored
from worker.submission import Submission, submit

pytestmark = ONE_DATABASE


@pytest.fixture
def settings(locating_settings):
    return locating_settings


@pytest.fixture
def job(engine, settings, locating_job):
    work_off(engine, settings, locating_job.id)
    return locating_job


def items(engine, job, **wanted):
    rows = iter_results(engine, ResultFilter(job_id=job.id, **wanted))
    return [get_item(engine, row["item"]) for row in rows]


def test_any_scored_item_is_computed_again_and_stands_where_its_p_value_says(engine, settings, job):
    for item in items(engine, job):
        found = explain(settings, item)
        assert found.notes == []
        assert found.raw_score == pytest.approx(item.raw_score, rel=1e-5)
        assert found.heat.max() == pytest.approx(item.score, abs=1e-6)
        assert (found.heat_from, found.localises) == ("picture", True)
        assert found.picture.shape == (40, 40, 3)
        standing = found.standing
        assert item.p_value == pytest.approx((1 + standing.n - standing.higher_than) / (standing.n + 1))
        assert standing.below is None or standing.below < item.raw_score
        assert standing.at_least is None or standing.at_least >= item.raw_score


@pytest.mark.parametrize(
    ("harm", "words"), [("gone", "not there any more"), ("changed", "is not the file that was inspected")]
)
def test_only_the_picture_that_was_inspected_is_shown_and_else_its_stored_map(engine, settings, job, harm, words):
    item = items(engine, job, flagged_only=True)[0]
    before = explain(settings, item).heat
    if harm == "gone":
        Path(item.path).unlink()
    else:
        draw(Path(item.path), seed=1000)
    found = explain(settings, item)
    assert (found.raw_score, found.picture, found.heat_from) == (None, None, "store")
    assert np.abs(found.heat - before).max() <= 2e-5
    (said,) = found.notes
    assert item.path in said
    assert words in said


@pytest.mark.usefixtures("nothing_loaded")
def test_without_its_model_the_picture_is_shown_under_the_stored_map(engine, settings, job, tmp_path):
    item = items(engine, job, flagged_only=True)[0]
    scoring_process._models.clear()
    found = explain(replace(settings, model_store=tmp_path / "not mounted"), item)
    assert (found.raw_score, found.standing, found.heat_from) == (None, None, "store")
    assert found.picture.shape == (40, 40, 3)
    assert ["not mounted" in said for said in found.notes] == [True]


@pytest.fixture
def half(engine, settings, locating, trained, lot, tmp_path):
    """The settings of a store with a model that looks at the lower right quarter, and what it flagged of the lot."""
    from ganomaly.bundle import open_bundle

    bundle = open_bundle(locating[0] / "flange" / "1")
    looks = Preprocessing(32, 1, region=Region(0.5, 0.5, 0.5, 0.5)).to_dict()
    sha256 = trained.write(
        tmp_path / "store" / "flange" / "1", detector=bundle.detector, calibration=bundle.calibration,
        preprocessing=looks,
    )  # fmt: skip
    register(engine, sha256, card={"preprocessing": looks, "network": {"score": "latent"}})
    settings = replace(settings, model_store=tmp_path / "store")
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    yield settings, items(engine, job, flagged_only=True)[0]
    scoring_process._models.clear()


@pytest.mark.usefixtures("nothing_loaded")
def test_without_its_model_the_stored_map_lies_where_the_model_looked(half):
    settings, item = half
    before = explain(settings, item)
    scoring_process._models.clear()
    shutil.rmtree(settings.model_store)
    found = explain(settings, item)
    assert (found.heat_from, found.region, found.localises) == ("store", before.region, False)
    assert found.region == Region(0.5, 0.5, 0.5, 0.5)
    sheets = [np.asarray(draw_sheet(one.picture, one.heat, "", one.region), np.int64) for one in (before, found)]
    assert np.abs(sheets[0] - sheets[1]).max() <= 3  # a stored map is rounded


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("card", [{}, {"preprocessing": [1], "network": [1]}, {"preprocessing": {"region": "no"}}])
def test_where_a_card_does_not_say_where_the_stored_map_lies_it_is_not_shown(half, card):
    settings, item = half
    scoring_process._models.clear()
    shutil.rmtree(settings.model_store)
    found = explain(settings, replace(item, card=card))
    assert (found.heat, found.picture.shape) == (None, (40, 40, 3))
    assert "the model's card does not say where it lies" in found.notes[-1]


def test_with_nothing_left_the_notes_say_what_is_missing(engine, settings, job):
    item = items(engine, job, flagged_only=True)[0]
    Path(item.path).unlink()
    (settings.map_store / item.map_uri).write_bytes(b"no map")
    found = explain(settings, item)
    assert (found.heat, found.picture) == (None, None)
    assert found.standing is not None  # that needs no picture
    assert len(found.notes) == 2
    assert "heat map" in found.notes[1]
    (settings.map_store / item.map_uri).unlink()
    assert "No such file" in explain(settings, item).notes[1]


def test_another_score_than_the_stored_one_is_said(engine, settings, job):
    first = items(engine, job)[0]
    with writing(engine) as connection:
        changed = {"raw_score": first.raw_score * 1.01}
        connection.execute(update(result).where(result.c.item_id == first.item_id).values(changed))
    found = explain(settings, get_item(engine, first.item_id))
    assert found.raw_score == pytest.approx(first.raw_score, rel=1e-5)
    (said,) = found.notes
    assert f"{first.raw_score * 1.01:.6g}" in said


def test_what_was_scored_on_a_graphics_card_may_differ_by_more(engine, settings, job):
    item = next(one for one in items(engine, job) if one.raw_score > one.threshold)
    assert item.scored_on.startswith("OpenVINO ")
    other = item.raw_score * (1 + 5e-4)
    found = explain(settings, replace(item, raw_score=other))
    assert not found.same
    assert f"({item.scored_on}; now {item.scored_on})" in found.notes[0]
    assert explain(settings, replace(item, raw_score=other, scored_on="TensorFlow 2, float32, graphics card A")).same


def test_a_picture_is_shown_upright(engine, settings, job, lot):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter when it is looked at
    Image.new("L", (60, 40), 200).save(lot / "turned.jpg", exif=exif)
    turned = submit(engine, settings, Submission(model="flange", folder=lot, glob="*.jpg"))
    work_off(engine, settings, turned.id)
    (item,) = items(engine, turned)
    found = explain(settings, item)
    assert found.picture.shape == (60, 40, 3)
    assert found.raw_score == pytest.approx(item.raw_score, rel=1e-5)


def test_a_score_without_places_is_not_said_to_be_one_of_a_place(engine, settings, store, lot):
    register(engine, store[1])
    settings = replace(settings, model_store=store[0])
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    found = explain(settings, items(engine, job)[0])
    assert (found.localises, found.heat) == (False, None)
    assert "no heat map" in found.notes[0]


def test_what_was_not_scored_has_a_reason_in_plain_words(engine, settings, locating, lot):
    register(engine, locating[1])
    (lot / "notes.txt").write_text("not a picture")
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    assert "not looked at yet: its job is queued" in why_not_scored(items(engine, job)[0])
    inspection.inspect_batch(engine, settings, job.id, 2)
    endings.cancel_job(engine, job.id)
    states = {item.state: why_not_scored(item) for item in items(engine, job) if item.state != ItemState.SCORED}
    assert "cancelled" in states[ItemState.CANCELLED]
    assert "not a picture of a known format" in states[ItemState.UNREADABLE]
