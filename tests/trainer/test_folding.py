"""Folds: every picture calibrates once, groups stay whole, and what few pictures cannot support is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlot.errors import CalibrationError, TrainingError
from trainer.folding import FOLDS, choose_folds, split_or_fold
from trainer.splitting import FEWEST_LEARNT, split


@given(st.lists(st.integers(1, 4), min_size=30, max_size=60), st.integers(2, 8), st.integers(0, 5))
def test_every_picture_calibrates_once_and_no_group_is_in_two_parts(sizes, folds, seed):
    groups = [f"part {k}" for k, size in enumerate(sizes) for _ in range(size)]
    groups = list(np.random.default_rng(seed).permutation(groups))
    n = len(groups)
    parts = split_or_fold(n, None, folds, seed, groups)
    assert len(parts) == folds
    assert sorted(np.concatenate([part.calibration for part in parts]).tolist()) == list(range(n))
    for part in parts:
        assert sorted(np.concatenate([part.train, part.validation, part.calibration]).tolist()) == list(range(n))
        held = [{groups[i] for i in indices} for indices in (part.train, part.validation, part.calibration)]
        assert not held[0] & held[1]
        assert not held[0] & held[2]
        assert not held[1] & held[2]
        assert abs(len(part.calibration) - n / folds) <= max(sizes)
        assert len(part.validation) >= 1


@pytest.mark.parametrize(
    ("n", "rate", "asked", "folds"),
    [(20, None, None, FOLDS), (247, None, None, FOLDS), (248, None, None, 1), (100, 0.1, None, 1),
     (100, 0.01, None, FOLDS), (100, None, 1, 1), (1000, None, 3, 3)],
)  # fmt: skip
def test_folds_are_for_pictures_that_are_too_few_for_a_split_at_the_rate(n, rate, asked, folds):
    assert choose_folds(n, rate, asked) == folds


def test_one_fold_is_a_split():
    [part] = split_or_fold(100, None, 1, seed=3)
    assert np.array_equal(part.calibration, split(100, None, 3).calibration)


def test_twenty_pictures_are_enough():
    parts = split_or_fold(20, None, FOLDS, seed=0)
    assert [len(part.calibration) for part in parts] == [4] * 5
    assert min(len(part.train) for part in parts) >= FEWEST_LEARNT


def test_there_are_no_more_folds_than_groups():
    groups = [f"day {i % 4}" for i in range(80)]
    assert len(split_or_fold(80, None, 5, 0, groups)) == 4


def test_a_rate_beyond_all_pictures_is_refused_and_one_that_folds_support_is_offered():
    with pytest.raises(CalibrationError, match="needs 199 good pictures and there are 120: give more"):
        split_or_fold(120, 0.005, 5, seed=0)
    with pytest.raises(CalibrationError, match="or give --folds 5"):
        split(120, 0.01, seed=0)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (["a"] * 15 + ["b"] * 15, "only 2 groups"),
        (["a"] * 24 + ["b", "c", "d"], "has . to learn from and 8 are needed"),
    ],
)
def test_groups_that_leave_too_little_are_refused(groups, words):
    with pytest.raises(TrainingError, match=words):
        split_or_fold(len(groups), None, 5, 0, groups)
