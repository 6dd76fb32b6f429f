"""What a fit says about itself: true of detectors of which it is known what they see."""

import io

import numpy as np
import pytest
from PIL import Image

from ganomaly.calibration import Calibration
from ganomaly.manifest import LIMITS, SHEET
from ganomaly.synthetic import KINDS
from pictures.drawing import draw_part
from trainer.honesty import Honesty, measure, warn_of_blindness
from trainer.trivial import Trivial

SIDE = 64


@pytest.fixture(scope="module")
def parts() -> np.ndarray:
    """80 good parts, of which the last 40 are held out; always at the same place, so that a mean picture knows them."""
    return np.stack([draw_part(np.random.default_rng(i), side=SIDE)[:, :, :1] for i in range(80)])


def measured(parts, score, seed=0, inside=None) -> Honesty:
    held_out = parts[40:]
    raw = score(held_out)
    calibration = Calibration.fit(raw, 0.05)
    trivial = Trivial.fit(parts, np.arange(40), inside)
    return measure(
        score, calibration.flagged, trivial, parts, np.arange(40, len(parts)), raw, seed=seed, inside=inside
    )  # fmt: skip


def coin(pictures):
    """Another number for every picture, which says nothing about it."""
    return np.array([np.random.default_rng(list(picture.tobytes()[:4000])).random() for picture in pictures])


def oracle(parts):
    """Zero where a picture is a held-out one, else by how much it is not: no real detector is that good."""
    known = parts[40:].astype(float)

    def score(pictures):
        return np.array([np.abs(known - picture).max(axis=(1, 2, 3)).min() for picture in pictures])

    return score


@pytest.fixture(scope="module")
def of_oracle(parts) -> Honesty:
    return measured(parts, oracle(parts), seed=1)


@pytest.fixture(scope="module")
def of_coin(parts) -> Honesty:
    return measured(parts, coin)


def test_a_detector_that_sees_everything_is_told_so_and_nothing_speaks_against_it(of_oracle):
    record = of_oracle.record
    assert of_oracle.reason == ""
    assert record["auroc"]["model"] == 1.0
    assert record["smallest"]["spot"]["clear"] == {"size": 0.06, "pixels": 4}
    assert "The smallest spot that it reliably sees is 6 % of the picture's side (4 of 64 pixels)." in record["says"]
    assert {grade["kind"] for grade in record["grades"]} == set(KINDS)
    assert sum(grade["pictures"] for grade in record["grades"]) == record["pictures"]["synthetic"] <= 600
    assert warn_of_blindness(record) == []


def test_a_coin_is_no_better_than_chance_and_sees_nothing(of_coin):
    assert "not clearly better than" in of_coin.reason
    assert all(found is None for by_contrast in of_coin.record["smallest"].values() for found in by_contrast.values())
    assert of_coin.record["says"] == [
        "Up to 25 % of the picture's side, the largest that was tried, it does not reliably see: scratch, spot, "
        "missing piece, blurred place, swapped piece, rough place."
    ]
    assert len(warn_of_blindness(of_coin.record)) == 1


@pytest.mark.parametrize(
    ("name", "words"), [("brightness", "the mean brightness"), ("pixels", "the distance of its pixels")]
)
def test_a_network_that_only_repeats_a_trivial_score_is_found_out(parts, name, words):
    trivial = Trivial.fit(parts, np.arange(40))
    honesty = measured(parts, lambda pictures: trivial.scores(pictures)[name])
    assert honesty.record["auroc"]["model"] == honesty.record["auroc"][name]
    assert honesty.record["leads"][name]["measured"] == 0
    assert "not clearly better than" in honesty.reason
    if honesty.record["auroc"][name] == max(honesty.record["auroc"].values()):
        assert words in honesty.reason


def test_only_sizes_above_which_everything_is_seen_count_as_reliable(parts):
    """One that sees large defects and, by an oddity, none in between."""
    sharp = oracle(parts)
    known = parts[40:].astype(float)

    def score(pictures):
        changed = [(np.abs(known - picture).max(axis=3) > 0).sum(axis=(1, 2)).min() for picture in pictures]
        return np.where(np.array(changed) > 60, sharp(pictures), 0.0)

    record = measured(parts, score).record
    assert record["smallest"]["spot"]["clear"]["size"] == 0.25
    assert record["smallest"]["scratch"]["clear"] is None


def test_the_same_seed_gives_the_same_record_and_sheet(parts, of_oracle):
    again, other = (measured(parts, oracle(parts), seed) for seed in (1, 2))
    assert (of_oracle.record, of_oracle.sheet) == (again.record, again.sheet)
    assert of_oracle.sheet != other.sheet


def test_the_sheet_frames_what_was_flagged_in_green_and_the_rest_in_red(of_oracle, of_coin):
    def colours(honesty):
        assert len(honesty.sheet) < LIMITS[SHEET]
        pixels = np.asarray(Image.open(io.BytesIO(honesty.sheet)).convert("RGB")).reshape(-1, 3).astype(int)
        green = (pixels[:, 1] - pixels[:, [0, 2]].max(axis=1) > 90).sum()
        return green, (pixels[:, 0] - pixels[:, 1:].max(axis=1) > 90).sum()

    green, red = colours(of_oracle)
    assert green > 10 * red
    green, red = colours(of_coin)
    assert red > 3 * green


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_flat_pictures_have_nothing_to_blur_and_that_is_said(dtype):
    flat = np.stack([np.full((32, 32, 3), 100 + i, dtype) for i in range(30)])
    trivial = Trivial.fit(flat, np.arange(20))
    honesty = measure(
        lambda pictures: np.ptp(pictures.reshape(len(pictures), -1), axis=1).astype(float), lambda raw: raw > 0,
        trivial, flat, np.arange(20, len(flat)), np.zeros(10), seed=0,
    )  # fmt: skip
    grades = {(g["kind"], g["size"]): g["pictures"] for g in honesty.record["grades"]}
    assert grades["blur", 0.25] == grades["swap", 0.25] == 0
    assert honesty.record["smallest"]["blur"]["strong"] is None
    assert honesty.record["smallest"]["spot"]["clear"] == {"size": 0.12, "pixels": 4}
    assert honesty.reason == ""


def masked(parts, inside):
    """The pictures that a model with that mask is given."""
    return np.where(inside[..., np.newaxis], parts, 128).astype(parts.dtype)


def test_one_that_sees_all_before_a_mask_is_not_blamed_for_what_is_behind_it(parts):
    inside = np.zeros((SIDE, SIDE), bool)
    inside[8:56, 8:26] = True
    seen = masked(parts, inside)
    everywhere = oracle(seen)

    def score(pictures):
        return everywhere(masked(pictures, inside))

    record = measured(seen, score, seed=1, inside=inside).record
    assert record["auroc"]["model"] == 1.0
    assert record["smallest"]["spot"]["clear"]["size"] == 0.06
    assert record["reason"] == ""


def test_a_size_that_does_not_fit_into_the_mask_says_nothing_about_smaller_ones(parts):
    inside = np.zeros((SIDE, SIDE), bool)
    inside[30:35, :] = True
    seen = masked(parts, inside)
    record = measured(seen, oracle(seen), inside=inside).record
    made = {grade["size"]: grade["pictures"] for grade in record["grades"] if grade["kind"] == "spot"}
    assert made[0.25] == 0
    assert made[0.06] == 12
    assert record["smallest"]["spot"]["strong"]["size"] == 0.06


def test_where_no_defect_fits_into_the_mask_the_record_says_that_nothing_is_known():
    inside = np.zeros((2 * SIDE, 2 * SIDE), bool)
    inside[20, 20] = True
    flat = np.full((80, 2 * SIDE, 2 * SIDE, 1), 128, np.uint8)  # else that one pixel can be swapped with another
    honesty = measured(flat, oracle(flat), inside=inside)
    assert honesty.record["pictures"]["synthetic"] == 0
    assert honesty.reason == "no synthetic defect fits into its mask, so nothing is known of what it sees"
    assert honesty.record["says"] == ["No synthetic defect fits into the mask: what it sees is not known."]
    assert len(warn_of_blindness(honesty.record)) == 1
