"""The split of good pictures: sizes, chance, and groups that stay whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlot.errors import CalibrationError, TrainingError
from trainer.splitting import split, split_sizes


@pytest.mark.parametrize("n", [20, 57, 1000])
def test_every_picture_is_in_exactly_one_part(n):
    parts = split(n, None, seed=4)
    together = np.concatenate([parts.train, parts.validation, parts.calibration])
    assert sorted(together) == list(range(n))
    assert len(parts.train) >= n // 2


def test_the_split_follows_the_seed_alone():
    first, again, other = split(100, None, 1), split(100, None, 1), split(100, None, 2)
    assert np.array_equal(first.calibration, again.calibration)
    assert not np.array_equal(first.calibration, other.calibration)


def test_a_rate_gets_the_calibration_pictures_that_it_needs():
    _, few = split_sizes(1000, 0.1)
    _, many = split_sizes(1000, 0.004)
    assert few == 200
    assert many == 249


def test_a_rate_that_the_pictures_cannot_support_is_refused_with_the_number_that_can():
    with pytest.raises(CalibrationError, match=r"needs 999 good pictures .* at least 2498 in all; there are 500"):
        split_sizes(500, 0.001)
    assert split_sizes(2498, 0.001)[1] == 999


def parts_of(parts):
    return parts.train, parts.validation, parts.calibration


@given(st.lists(st.integers(1, 6), min_size=40, max_size=120), st.integers(0, 5))
def test_no_group_is_in_two_parts_and_the_sizes_are_nearly_kept(sizes, seed):
    groups = [f"part {k}" for k, size in enumerate(sizes) for _ in range(size)]
    n = len(groups)
    groups = list(np.random.default_rng(seed).permutation(groups))
    parts = split(n, None, seed, groups)
    assert sorted(np.concatenate(parts_of(parts)).tolist()) == list(range(n))
    held = [{groups[i] for i in part} for part in parts_of(parts)]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert not held[1] & held[2]
    validation, calibration = split_sizes(n, None)
    assert abs(len(parts.validation) - validation) <= 3
    assert abs(len(parts.calibration) - calibration) <= 3


def test_groups_of_one_picture_change_nothing():
    plain, grouped = split(100, None, 3), split(100, None, 3, [f"{i}" for i in range(100)])
    assert all(np.array_equal(a, b) for a, b in zip(parts_of(plain), parts_of(grouped), strict=True))


def test_the_split_with_groups_follows_the_seed_alone():
    groups = [str(i // 4) for i in range(200)]
    first, again, other = split(200, None, 1, groups), split(200, None, 1, groups), split(200, None, 2, groups)
    assert np.array_equal(first.calibration, again.calibration)
    assert first.fingerprint == again.fingerprint
    assert not np.array_equal(first.calibration, other.calibration)
    assert first.fingerprint != other.fingerprint


def test_every_group_may_be_in_every_part():
    groups = [str(i // 4) for i in range(200)]
    seen = [set(), set(), set()]
    for seed in range(60):
        for names, part in zip(seen, parts_of(split(200, None, seed, groups)), strict=True):
            names.update(groups[i] for i in part)
    assert all(len(names) == 50 for names in seen)


def test_a_few_large_groups_are_shared_out():
    parts = split(1000, None, 0, [str(i // 200) for i in range(1000)])
    assert [len(part) for part in parts_of(parts)] == [600, 200, 200]


def test_one_large_group_trains():
    groups = ["large"] * 700 + [str(i) for i in range(300)]
    for seed in range(10):
        parts = split(1000, 0.01, seed, groups)
        assert set(range(700)) <= set(parts.train.tolist())
        assert (len(parts.validation), len(parts.calibration)) == (100, 200)


def test_a_rate_that_was_asked_for_gets_its_pictures_in_whole_groups_too():
    # 0.004 needs 249 of 630; groups of 90 pass that by 21
    for seed in range(5):
        parts = split(630, 0.004, seed, [str(i // 90) for i in range(630)])
        assert len(parts.calibration) >= 249


@pytest.mark.parametrize(("count", "words"), [(1, "only 1 group "), (2, "only 2 groups ")])
def test_too_few_groups_are_refused(count, words):
    with pytest.raises(TrainingError, match=words) as refusal:
        split(100, None, 0, [str(i % count) for i in range(100)])
    assert "\n" not in str(refusal.value)


def test_groups_that_leave_too_few_to_learn_from_are_refused():
    with pytest.raises(TrainingError, match=r"3 groups, the largest of 10: .* leave 5 to learn from"):
        split(20, None, 0, ["a"] * 10 + ["b"] * 5 + ["c"] * 5)
