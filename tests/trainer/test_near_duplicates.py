"""Near-duplicates among good pictures: copies are found, other parts of the same kind are not."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganomaly.room import Room
from oddlot.settings import load_settings
from pictures.drawing import draw_part
from pictures.preprocessing import Preprocessing
from trainer.grouping import join_groups
from trainer.near_duplicates import near_duplicates
from trainer.training_set import find_good_pictures, read_pictures


@pytest.fixture(scope="module")
def parts():
    """80 drawn parts, gray: all of one kind and very alike. uint8 (80, 160, 160, 1)."""
    rng = np.random.default_rng(0)
    drawn = [Image.fromarray(draw_part(rng)).convert("L") for _ in range(80)]
    return np.stack([np.asarray(picture) for picture in drawn])[..., np.newaxis]


def groups_of(pixels, hashes=None):
    """The groups of more than one picture, as sets of indices."""
    pairs = near_duplicates(pixels, hashes or [str(i) for i in range(len(pixels))])
    labels = join_groups(None, pairs, len(pixels))
    groups = [{i for i, other in enumerate(labels) if other == label} for label in sorted(set(labels), key=int)]
    return [group for group in groups if len(group) > 1]


def encoded(pixels, quality):
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))[..., np.newaxis]


def with_copies(pixels, change):
    """The pictures, and behind them copies of the first ten."""
    return np.concatenate([pixels, np.stack([change(one) for one in pixels[:10]])])


def test_other_parts_of_the_same_kind_are_not_merged(parts):
    assert groups_of(parts) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one,
        lambda one: np.clip(one.astype(int) + 1, 0, 255).astype(np.uint8),
        lambda one: np.clip(one.astype(int) - 3, 0, 255).astype(np.uint8),
        lambda one: encoded(one, 65),
        lambda one: encoded(one, 75),
        lambda one: encoded(one, 90),
    ],
    ids=["equal", "brighter by 1", "darker by 3", "JPEG 65", "JPEG 75", "JPEG 90"],
)
def test_copies_are_found_and_nothing_else(parts, change):
    assert groups_of(with_copies(parts, change)) == [{i, 80 + i} for i in range(10)]


def test_float_pictures_and_colour_are_compared_likewise(parts):
    colour = np.repeat(with_copies(parts, lambda one: encoded(one, 75)).astype(np.float32), 3, axis=3)
    assert groups_of(colour) == [{i, 80 + i} for i in range(10)]


def test_a_mark_at_one_place_makes_another_part(parts):
    def scratched(one):
        marked = one.copy()
        marked[60:66, 60:90] = 255 - marked[60:66, 60:90]
        return marked

    assert groups_of(with_copies(parts, scratched)) == []


def test_parts_that_differ_by_noise_alone_are_not_merged():
    """A fixed pattern under noise of 2 levels: nothing but the noise tells the pictures apart."""
    rng = np.random.default_rng(1)
    pattern = np.repeat(np.linspace(60, 180, 64), 64).reshape(64, 64, 1)
    noisy = (pattern + rng.normal(0, 2, (300, 64, 64, 1))).round().astype(np.uint8)
    assert groups_of(noisy) == []
    assert groups_of(with_copies(noisy, lambda one: one + 1)) == [{i, 300 + i} for i in range(10)]


def test_files_of_one_hash_are_copies_whatever_else(parts):
    hashes = [str(i % 70) for i in range(80)]
    pairs = near_duplicates(parts, hashes)
    assert sorted(pairs) == [(i, 70 + i) for i in range(10)]


def test_sets_with_many_copies_of_each_picture_hide_none(parts):
    qualities = (95, 90, 80, 70)
    pixels = np.concatenate([parts, *(np.stack([encoded(one, quality) for one in parts]) for quality in qualities)])
    assert groups_of(pixels) == [{i + 80 * k for k in range(5)} for i in range(80)]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_few_pictures_are_no_special_case(parts, n):
    assert groups_of(parts[:n]) == []
    assert groups_of(np.concatenate([parts[:n], parts[:1]])) == [{0, n}]


def test_sizes_that_32_does_not_divide(parts):
    assert groups_of(with_copies(parts[:40, :150, :150], lambda one: encoded(one, 75))) == [
        {i, 40 + i} for i in range(10)
    ]


@pytest.mark.data
@pytest.mark.parametrize("name", ["magnetic_tile", "elpv_mono"])
def test_on_real_pictures_copies_are_found_and_nothing_else(name, tmp_path):
    if "ODDLOT_DATA" not in os.environ:
        pytest.skip(f"ODDLOT_DATA does not name the folder of image sets; {name}/train/good in it is needed")
    settings = load_settings({"ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_SETTLE_SECONDS": "0"})
    originals = sorted((Path(os.environ["ODDLOT_DATA"]) / name / "train" / "good").iterdir())
    folder = tmp_path / "good"
    folder.mkdir()
    for path in originals:
        shutil.copy(path, folder / path.name)
    expected = []
    for k, path in enumerate(originals[::20]):
        copy = folder / f"{path.stem}-copy.jpg"
        Image.open(path).convert("L").save(copy, quality=(50, 75, 90)[k % 3])
        expected.append({path.name, copy.name})
    files = find_good_pictures(folder, settings)
    good = read_pictures(files, folder, Preprocessing(256, 1), settings, Room(), threads=2)
    found = [{Path(files[i].path).name for i in group} for group in groups_of(good.pixels, good.hashes)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))


def test_copies_are_found_among_pictures_that_are_not_square(parts):
    wide = np.concatenate([parts, parts[:, ::-1]], axis=2)
    wide[7] = np.clip(wide[2].astype(int) + 1, 0, 255)
    assert groups_of(wide) == [{2, 7}]
