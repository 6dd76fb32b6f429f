"""Two versions compared on last nights: exactly what each of them would have flagged, and what that costs."""

from dataclasses import replace

import numpy as np
import pytest
from shop import ONE_DATABASE, draw, register, rows, work_off
from sqlalchemy import func, select

from db.engine import reading
from db.schema import audit, batch, result
from db.verdicts import add_verdict
from ganomaly.calibration import Calibration
from ganomaly.rethreshold import rethreshold
from oddlot.errors import BundleError
from oddlot.words import Verdict
from pictures.preprocessing import Preprocessing
from pictures.reading import read_picture
from worker import scoring_process
from worker.comparison import compare, says, scoring_alike
from worker.submission import Submission, submit

pytestmark = ONE_DATABASE


@pytest.fixture
def shelf(trained, locating, own_store):
    """A store with two networks and one of them with another threshold; their hashes by name."""
    loose = Calibration.fit(trained.calibration.scores, 0.8)
    sha256 = trained.write(own_store / "first")
    other_network, other_sha256 = locating
    (own_store / "other").symlink_to(other_network / "flange" / "1")
    return own_store, {
        "first": sha256,
        "loose": rethreshold(own_store / "first", sha256, own_store / "loose", calibration=loose, card={}),
        "other": other_sha256,
    }


@pytest.fixture
def versions(engine, shelf, settings):
    """The model rows, with the thresholds of their bundles; and settings for their store."""
    from ganomaly.bundle import read_bundle_head

    store, hashes = shelf
    made = {}
    for name, sha256 in hashes.items():
        threshold = read_bundle_head(store / name, sha256).calibration.threshold
        made[name] = replace(register(engine, sha256, name), threshold=threshold)
    return made, replace(settings, model_store=store)


@pytest.fixture
def night(engine, versions, lot):
    """The lot inspected by the first version, some items judged; its rows by number."""
    settings = versions[1]
    job = submit(engine, settings, Submission(model="flange", folder=lot, version=1))
    work_off(engine, settings, job.id)
    found = {row["item"]: row for row in rows(engine, job.id)}
    for word, chosen in ((Verdict.DEFECT, list(found)[:5]), (Verdict.GOOD, list(found)[5:9])):
        for item_id in chosen:
            add_verdict(engine, item_id, word, reviewer="Ada")
    return found


def flags_of(versions, night, name):
    """Which items that version flags, computed by hand."""
    made, settings = versions
    model = scoring_process.model(settings.model_store, made[name].bundle_uri, made[name].bundle_sha256)
    preprocessing = Preprocessing.from_dict(model.bundle.preprocessing)
    pixels = [
        read_picture(row["path"], preprocessing, max_pixels=10**6, max_file_bytes=10**6).pixels
        for row in night.values()
    ]
    raw = model.bundle.detector.score(np.stack(pixels)).raw
    return {item for item, score in zip(night, raw, strict=True) if score > model.bundle.calibration.threshold}


def parts(judged):
    return judged.kept, judged.dropped, judged.gained, judged.passed


def by_hand(items, then, now):
    return tuple(
        tuple(item for item in items if (item in then, item in now) == pair)
        for pair in ((True, True), (True, False), (False, True), (False, False))
    )


@pytest.mark.parametrize(("active", "candidate"), [("first", "loose"), ("loose", "first"), ("loose", "other")])
def test_it_says_what_looking_at_every_picture_with_both_would(engine, versions, night, active, candidate):
    made, settings = versions
    told = []
    found = compare(
        engine, settings, made[active], made[candidate], nights=7, on_scored=lambda *done: told.append(done)
    )
    then, now = (flags_of(versions, night, name) for name in (active, candidate))
    assert then != now
    assert (found.scored, found.flagged) == (20, len(then))
    assert (found.would_flag.low, found.would_flag.value, found.would_flag.high) == (len(now),) * 3
    assert parts(found.defects) == by_hand(list(night)[:5], then, now)
    assert parts(found.alarms) == by_hand(list(night)[5:9], then, now)
    assert found.again == (candidate == "other")
    assert told == ([(20, 20)] if found.again else [])
    text = " ".join(says(found))
    assert f"flags {len(now)}" in text
    assert ("were scored again" in text) == found.again


def test_nothing_of_it_is_written(engine, versions, night):
    made, settings = versions

    def counted():
        with reading(engine) as connection:
            return [
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (result, audit, batch)
            ]

    before = counted(), rows(engine, 1)
    compare(engine, settings, made["loose"], made["other"], nights=7)
    assert (counted(), rows(engine, 1)) == before


def test_pictures_that_are_gone_or_changed_are_counted_and_their_defects_named(engine, versions, night, lot):
    made, settings = versions
    (lot / "000.png").unlink()
    draw(lot / "001.png", 77)
    (lot / "019.png").write_bytes(b"")
    found = compare(engine, settings, made["first"], made["other"], nights=7)
    assert (found.looked_at, found.unavailable) == (17, 3)
    assert found.unseen_defects == tuple(list(night)[:2])
    text = " ".join(says(found))
    assert "3 pictures could not be" in text
    assert "Whether 2 confirmed defects would be lost is not known" in text


def test_without_any_picture_left_there_is_no_estimate(engine, versions, night, lot):
    made, settings = versions
    for path in lot.iterdir():
        path.unlink()
    found = compare(engine, settings, made["first"], made["other"], nights=7)
    assert found.would_flag is None
    assert len(found.unseen_defects) == 5
    assert "cannot be estimated" in says(found)[0]


def test_a_sample_is_called_an_estimate_with_its_bounds(engine, versions, night):
    made, settings = versions
    found = compare(engine, settings, made["loose"], made["other"], nights=7, most=12)
    assert (found.looked_at, found.unavailable) == (12, 0)
    assert found.would_flag.low <= found.would_flag.value <= found.would_flag.high
    assert found.would_flag.low < found.would_flag.high
    assert (
        len(parts(found.defects)[0] + parts(found.defects)[1]) + len(found.defects.gained + found.defects.passed) == 5
    )
    assert "95 % confidence" in says(found)[0]


def test_without_a_night_there_is_nothing_to_compare(engine, versions):
    made, settings = versions
    assert compare(engine, settings, made["first"], made["loose"], nights=7) is None


def test_a_candidate_that_cannot_be_loaded_is_no_comparison(engine, versions, night, shelf):
    made, settings = versions
    (shelf[0] / "other").unlink()
    scoring_process._models.clear()
    with pytest.raises(BundleError, match="is missing"):
        compare(engine, settings, made["first"], made["other"], nights=7)


def test_versions_of_one_network_are_known_by_their_files(engine, versions, shelf):
    made, settings = versions
    alike = sorted([made["first"].id, made["loose"].id])
    assert scoring_alike(engine, settings, made["first"]) == alike
    assert scoring_alike(engine, settings, made["loose"]) == alike
    assert scoring_alike(engine, settings, made["other"]) == [made["other"].id]
    (shelf[0] / "loose").rename(shelf[0] / "gone")
    assert scoring_alike(engine, settings, made["first"]) == [made["first"].id]
    assert scoring_alike(engine, settings, made["loose"]) == [made["loose"].id]
