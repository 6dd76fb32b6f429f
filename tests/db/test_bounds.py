"""The rules by which a night is held, on numbers alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom

from db.bounds import Night, chance_of_more, judge_night, quantile
from oddlot.appearance import NEAREST, STATISTICS, Reference, sketch

CALIBRATION = 100
USUAL = {
    "brightness": (120, 8), "contrast": (30, 3), "sharpness": (-60, 10), "red": (0, 1), "blue": (2, 1),
    "width": (640, 0), "height": (480, 0), "likeness": (85, 4),
}  # fmt: skip


def good_figures(rng, count):
    return {name: rng.normal(*USUAL[name], count) for name in STATISTICS} | {NEAREST: rng.normal(8, 1, count)}


@pytest.fixture(scope="module")
def reference():
    figures = good_figures(np.random.default_rng(0), 200)
    return Reference(
        pictures=200, sketches={name: sketch(figures[name].tolist()) for name in STATISTICS},
        thumbnail=(0.0,) * 1024, nearest_limit=1.0, repeated=0.0, blank=0.0, blank_limit=2.0, unreadable=0.0,
    )  # fmt: skip


def night(count, seed=1, *, scores=None, **changed):
    """A night of good pictures, but for the figures that are given; `scores` (count,) in place of uniform ones, beside
    a calibration that is uniform, too."""
    rng = np.random.default_rng(seed)
    figures = good_figures(rng, count) | changed
    calibration = np.sort(rng.random(CALIBRATION))
    scores = rng.random(count) if scores is None else scores
    p_values = (1 + CALIBRATION - np.searchsorted(calibration, scores)) / (CALIBRATION + 1)
    distinct, counts = np.unique(p_values, return_counts=True)
    return Night(
        listed=count, scored=count, flagged=int((p_values <= 0.01).sum()), unreadable=0, looks=figures,
        p_values=list(zip(distinct.tolist(), counts.tolist(), strict=True)), calibration=CALIBRATION, false_alarms=0.01,
    )  # fmt: skip


def whats(found):
    return {reason["what"] for reason in found.reasons}


def noted(found):
    return {note["what"] for note in found.notes}


@pytest.mark.parametrize(("k", "m", "j", "n"), [(0, 5, 1, 20), (5, 10, 1, 20), (3, 30, 5, 99), (40, 100, 25, 100)])
def test_the_chance_is_that_of_the_beta_binomial(k, m, j, n):
    assert chance_of_more(k, m, j, n) == pytest.approx(betabinom.sf(k - 1, m, j, n + 1 - j), rel=1e-6)


def test_the_chance_of_a_large_night_is_close_and_quickly_had():
    assert chance_of_more(120_000, 1_000_000, 5, 99) == pytest.approx(betabinom.sf(119_999, 10**6, 5, 95), abs=2e-3)


def test_a_quantile_of_a_sketch_is_that_of_the_values():
    values = np.random.default_rng(0).normal(size=5000)
    for share in (0.01, 0.05, 0.5, 0.95):
        assert quantile(sketch(values.tolist()), share) == pytest.approx(np.quantile(values, share), abs=0.05)


@pytest.mark.parametrize("count", [1, 5, 10, 30, 300, 100_000])
def test_good_nights_of_all_sizes_are_not_held(reference, count):
    held = [seed for seed in range(3 if count > 1000 else 60) if judge_night(night(count, seed), reference).reasons]
    assert held == []


@pytest.mark.parametrize("known", [20, 50, 200])
def test_a_small_reference_holds_no_good_night_either(known):
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        figures = good_figures(rng, known)
        sketches = {name: sketch(figures[name].tolist()) for name in STATISTICS}
        reference = Reference(known, sketches, (0.0,) * 1024, 1.0, 0.0, 0.0, 2.0, 0.0)
        held += bool(judge_night(night(40, seed + 1000), reference).reasons)
    assert held == 0


@pytest.mark.parametrize("count", [12, 300])
@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("brightness", (70, 8), "darker than those the model knows: the brightness of half of them is below"),
        ("brightness", (180, 8), "brighter"),
        ("contrast", (12, 2), "less contrast"),
        ("sharpness", (-120, 10), "less sharp"),
        ("red", (25, 2), "redder"),
        ("blue", (-20, 2), "yellower"),
        ("width", (320, 0), "narrower"),
        ("height", (960, 0), "taller"),
        ("likeness", (30, 10), "less like the usual picture"),
    ],
)
def test_a_shift_of_a_figure_is_a_reason_in_plain_words(reference, name, values, words, count):
    found = judge_night(night(count, **{name: np.random.default_rng(5).normal(*values, count)}), reference)
    assert whats(found) == {name}
    assert words in found.reasons[0]["text"]
    assert found.reasons[0]["text"].endswith("?")


def test_more_likeness_than_usual_is_no_reason(reference):
    assert judge_night(night(300, likeness=np.full(300, 99.0)), reference).reasons == []


def test_a_difference_too_small_to_matter_is_none_however_large_the_night(reference):
    rng = np.random.default_rng(3)
    assert judge_night(night(100_000, brightness=rng.normal(116, 8, 100_000)), reference).reasons == []


def test_a_lamp_that_died_half_way_is_seen(reference):
    brightness = np.random.default_rng(3).normal(120, 8, 100)
    brightness[60:] = 25
    (reason,) = judge_night(night(100, brightness=brightness), reference).reasons
    assert "many of the pictures are darker" in reason["text"]
    assert "40 of 100" in reason["text"]
    brightness[80:], brightness[60:80] = 25, 120
    assert judge_night(night(100, brightness=brightness), reference).reasons == []


def test_a_bad_lot_is_noted_and_not_held(reference):
    rng = np.random.default_rng(4)
    scores = np.concatenate([rng.random(240), 1 + rng.random(60)])
    found = judge_night(night(300, scores=scores), reference)
    assert found.reasons == []
    assert noted(found) == {"flagged"}
    assert "of 300" in found.notes[0]["text"]
    assert "look as usual" in found.notes[0]["text"]


def test_a_scene_in_which_all_scores_are_high_is_held(reference):
    rng = np.random.default_rng(4)
    found = judge_night(night(40, scores=0.6 + rng.random(40)), reference)
    assert whats(found) == {"scores"}
    assert "bad throughout" in found.reasons[0]["text"]


def test_scores_that_are_lower_than_usual_are_no_reason(reference):
    assert judge_night(night(300, scores=0.2 * np.random.default_rng(4).random(300)), reference).reasons == []


@pytest.mark.parametrize(("count", "held"), [(100, 12), (40, 8)])
def test_a_frozen_camera_is_seen_by_bytes_and_by_likeness(reference, count, held):
    assert whats(judge_night(replace(night(count), repeated=held), reference)) == {"repeated"}
    nearest = np.full(count, 8.0)
    nearest[0], nearest[-held:] = np.nan, 0.4
    assert whats(judge_night(night(count, nearest=nearest), reference)) == {"repeated"}
    assert judge_night(replace(night(count), repeated=3), reference).reasons == []


def test_pictures_that_repeat_among_the_good_ones_are_expected_to(reference):
    many = replace(reference, repeated=0.4)
    assert judge_night(replace(night(100), repeated=45), many).reasons == []
    assert whats(judge_night(replace(night(100), repeated=60), many)) == {"repeated"}


def test_blank_frames_and_unreadable_files_are_reasons_without_a_reference_too():
    blank = np.full(30, 30.0)
    blank[:6] = 0.1
    found = judge_night(night(30, contrast=blank), None)
    assert whats(found) == {"blank"}
    assert noted(found) >= {"model"}
    unread = replace(night(20), listed=30, unreadable=10)
    assert "10 of 30 files could not be read" in judge_night(unread, None).reasons[0]["text"]
    assert judge_night(replace(night(40), listed=44, unreadable=4), None).reasons == []
    nothing = judge_night(Night(listed=8, scored=0, flagged=0, unreadable=8), None)
    assert whats(nothing) == {"unreadable"}


def test_a_handful_of_parts_is_whatever_it_is(reference):
    few = night(6, brightness=np.full(6, 10.0), scores=np.full(6, 2.0))
    found = judge_night(few, reference)
    assert found.reasons == []
    assert "few" in noted(found)


def test_evidence_is_shares_of_both_in_the_same_bins(reference):
    found = judge_night(night(50, brightness=np.full(50, 30.0)), reference)
    assert set(found.evidence) == {*STATISTICS, "p_value"}
    for shown in found.evidence.values():
        assert len(shown["edges"]) == len(shown["model"]) + 1 == len(shown["tonight"]) + 1
        assert sum(shown["model"]) == pytest.approx(1, abs=1e-3)
        assert sum(shown["tonight"]) == pytest.approx(1, abs=1e-3)
        assert shown["edges"] == sorted(set(shown["edges"]))


def test_figures_that_could_not_be_measured_are_left_out(reference):
    nothing = {name: np.full(20, np.nan) for name in (*STATISTICS, NEAREST)}
    assert judge_night(night(20, **nothing), reference).reasons == []
    assert judge_night(replace(night(20), looks={}), reference).reasons == []
