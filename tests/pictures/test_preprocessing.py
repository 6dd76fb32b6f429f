"""A model's fixed way from pixels to its array: the same for every container, depth and shape of the same picture."""

import json

import numpy as np
import pytest
from PIL import Image

from oddlot.errors import BundleError
from pictures.decoding import Decoded, decode
from pictures.drawing import draw_part
from pictures.preprocessing import Preprocessing, choose_preprocessing
from pictures.reading import preprocess, read_picture

PART = draw_part(np.random.default_rng(1))
GRAY = np.asarray(Image.fromarray(PART).convert("L"))


def read(path, model):
    return read_picture(str(path), model, max_pixels=10**7, max_file_bytes=10**7).pixels


def write(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("model", [Preprocessing(32, 3), Preprocessing(48, 1), Preprocessing(32, 3, 16, (0.1, 0.8))])
def test_lossless_containers_of_one_picture_give_one_array(tmp_path, model):
    first, *others = (read(write(tmp_path / f"a.{suffix}", PART), model) for suffix in ("png", "bmp", "tif"))
    assert first.shape == (model.size, model.size, model.channels)
    assert first.dtype == (np.uint8 if model.depth == 8 else np.float32)
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_sixteen_bit_picture_is_near_its_eight_bit_twin(tmp_path, depth):
    model = Preprocessing(32, 1, depth)
    eight = read(write(tmp_path / "8.png", GRAY), model)
    sixteen = read(write(tmp_path / "16.png", GRAY.astype(np.uint16) * 257), model)
    assert eight.dtype == sixteen.dtype
    assert np.abs(eight.astype(float) - sixteen).max() <= 1


def test_the_window_is_stretched_over_the_whole_range_and_keeps_what_eight_bits_would_lose(tmp_path):
    faint = (1000 + GRAY.astype(np.uint16) // 4).astype(np.uint16)  # 64 of 65536 levels: one level of 8 bit
    stretched = read(write(tmp_path / "a.tif", faint), Preprocessing(32, 1, 16, (990 / 65535, 1075 / 65535)))
    flat = read(tmp_path / "a.tif", Preprocessing(32, 1, 8))
    assert np.ptp(flat.astype(int)) <= 1
    assert np.ptp(stretched) > 100


def test_values_outside_of_the_window_are_clipped():
    model = Preprocessing(8, 1, 16, (0.25, 0.5))
    picture = np.repeat(np.array([[0, 65535]], np.uint16), 8, axis=1).repeat(16, axis=0)
    array = preprocess(Decoded(picture, 65535.0, 16, 16, None), model)
    assert (array[0, 0, 0], array[0, -1, 0]) == (0.0, 255.0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 60_000), (30_000, 2), (7, 5)])
@pytest.mark.parametrize("depth", [8, 16])
def test_pictures_of_any_shape_become_the_model_s(tmp_path, shape, depth):
    pixels = np.full(shape, 90, np.uint8) if depth == 8 else np.full(shape, 90 * 257, np.uint16)
    array = read(write(tmp_path / "a.png", pixels), Preprocessing(16, 3, depth))
    assert array.shape == (16, 16, 3)
    assert np.allclose(array, 90)


def test_gray_files_fill_three_channels_and_colour_files_one(tmp_path):
    three = read(write(tmp_path / "gray.png", GRAY), Preprocessing(32, 3))
    assert np.array_equal(three[:, :, 0], three[:, :, 2])
    one = read(write(tmp_path / "colour.png", PART), Preprocessing(32, 1))
    assert np.array_equal(one, three[:, :, :1])


def test_gray_and_colour_files_of_gray_parts_make_a_gray_model(tmp_path):
    paths = [str(write(tmp_path / "a.png", GRAY)), str(write(tmp_path / "b.png", np.dstack([GRAY] * 3)))]
    assert choose_preprocessing(paths, 32) == Preprocessing(32, 1)
    red = PART.copy()
    red[:, :, 0] = 200
    assert choose_preprocessing([*paths, str(write(tmp_path / "c.png", red))], 32) == Preprocessing(32, 3)


def test_one_deep_picture_makes_a_deep_model_with_room_around_what_was_seen(tmp_path):
    values = np.linspace(20_000, 40_000, 64 * 64).astype(np.uint16).reshape(64, 64)
    chosen = choose_preprocessing([str(write(tmp_path / "a.png", values))], 32)
    low, high = (bound * 65535 for bound in chosen.window)
    assert (chosen.channels, chosen.depth) == (1, 16)
    assert 10_000 < low < 19_000
    assert 41_000 < high < 50_000
    array = read(tmp_path / "a.png", chosen)
    assert 0 < array.min() < array.max() < 255


def test_the_sample_does_without_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    good = str(write(tmp_path / "b.png", PART))
    assert choose_preprocessing([str(tmp_path / "a.png"), good], 32) == choose_preprocessing([good], 32)
    assert choose_preprocessing([str(tmp_path / "a.png")], 32).depth == 8


@pytest.mark.parametrize(("kind", "white"), [(np.float32, 1.0), (np.float32, 5000.0), (np.int32, 200_000)])
def test_a_darker_picture_of_32_bits_stays_darker(tmp_path, kind, white):
    """Its full scale must not be guessed from the picture: half the light would come out as bright as the whole."""
    lit = GRAY.astype(np.float64) / 255 * white
    chosen = choose_preprocessing([str(write(tmp_path / "good.tif", lit.astype(kind)))], 32)
    assert Preprocessing.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen
    good = read(tmp_path / "good.tif", chosen)
    dark = read(write(tmp_path / "dark.tif", (lit / 1000).astype(kind)), chosen)
    bright = read(write(tmp_path / "bright.tif", (lit * 1.02).astype(kind)), chosen)
    assert good.max() > 150
    assert dark.max() < good.min() + 5
    assert np.abs(bright - good).max() < 10


@pytest.mark.parametrize(
    "change",
    [
        {"size": 7}, {"size": True}, {"channels": 2}, {"depth": 12}, {"window": [0.5, 0.5]}, {"window": [-0.1, 1]},
        {"window": [0, float("nan")]}, {"window": [0, float("inf")]}, {"window": "01"}, {"extra": 1},
    ],
)  # fmt: skip
def test_a_preprocessing_that_could_not_have_been_chosen_is_refused(change):
    with pytest.raises(BundleError):
        Preprocessing.from_dict({**Preprocessing(32, 3).to_dict(), **change})


@pytest.mark.parametrize("key", sorted(Preprocessing(32, 3).to_dict()))
def test_a_preprocessing_without_one_of_its_keys_is_refused(key):
    values = Preprocessing(32, 3).to_dict()
    del values[key]
    with pytest.raises(BundleError, match="does not have the keys of a preprocessing"):
        Preprocessing.from_dict(values)


def test_a_deep_colour_picture_keeps_its_channels_apart():
    pixels = np.zeros((20, 20, 3), np.uint16)
    pixels[:, :, 1] = 65535
    array = preprocess(Decoded(pixels, 65535.0, 20, 20, None), Preprocessing(8, 3, 16))
    assert (array[:, :, 1] == 255).all()
    assert not array[:, :, [0, 2]].any()


def test_the_same_bytes_give_the_same_array_whatever_the_target(tmp_path):
    """The reduced decoding is for large JPEGs alone: a PNG is never touched by it."""
    data = write(tmp_path / "a.png", PART).read_bytes()
    assert np.array_equal(decode(data, max_pixels=10**6, target=8).pixels, PART)
