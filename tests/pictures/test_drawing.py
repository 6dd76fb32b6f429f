"""The drawn parts: the seed decides all, and every defect is in the picture without shouting."""

import csv
import hashlib

import numpy as np
import pytest
from PIL import Image

from pictures.drawing import DEFECTS, SIDE, draw_part, draw_set


def test_the_seed_decides_the_whole_picture():
    first, again, other = (draw_part(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_part_is_bright_metal_with_a_bore_on_a_dark_ground():
    part = draw_part(np.random.default_rng(3)).astype(int)
    middle = SIDE // 2
    assert part[:8, :8].mean() < 60
    assert part[middle - 4 : middle + 4, middle - 4 : middle + 4].mean() < 60
    assert part[middle, int(middle + SIDE * 0.40 * 0.6)].mean() > 100


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_visible_and_covers_a_small_part_of_the_picture(defect):
    """Somewhere farther from the nearest of many good parts than good parts are from each other."""
    good = np.stack([draw_part(np.random.default_rng([9, i])) for i in range(24)]).astype(np.float32).mean(axis=3)
    odd = np.stack([draw_part(np.random.default_rng([8, i]), defect) for i in range(8)]).astype(np.float32).mean(axis=3)

    def blocks(pictures):
        """Means over 8 x 8 pixels, which the noise does not move, each picture at the same brightness."""
        means = pictures.reshape(-1, SIDE // 8, 8, SIDE // 8, 8).mean(axis=(2, 4))
        return means / means.mean(axis=(1, 2), keepdims=True)

    known = blocks(good)
    nearest = [np.abs(known - one).max(axis=(1, 2)).min() for one in blocks(odd)]
    among_good = [np.abs(np.delete(known, i, 0) - one).max(axis=(1, 2)).min() for i, one in enumerate(known)]
    assert np.median(nearest) > np.median(among_good)
    assert np.abs(odd.mean(axis=(1, 2)) - good.mean()).max() < 40


def test_a_set_is_labelled_file_by_file_and_the_names_do_not_tell(tmp_path):
    draw_set(tmp_path, good_train=3, good_test=4, defects=6, seed=1)
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as stream:
        labels = {row["file"]: row["label"] for row in csv.DictReader(stream)}
    assert sorted(labels) == sorted(path.name for path in (tmp_path / "tonight").iterdir())
    assert len(list((tmp_path / "train" / "good").iterdir())) == 3
    assert sorted(labels.values()) == sorted(["good"] * 4 + [DEFECTS[i % len(DEFECTS)] for i in range(6)])
    assert not any(defect.split()[0] in name for name in labels for defect in DEFECTS)
    for name in labels:
        with Image.open(tmp_path / "tonight" / name) as picture:
            assert picture.size == (SIDE, SIDE)


def test_no_picture_of_a_set_is_there_twice(tmp_path):
    draw_set(tmp_path, good_train=5, good_test=5, defects=5, seed=2)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.jpg")]
    assert len(set(hashes)) == 15
