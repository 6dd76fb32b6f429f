"""How a picture looks, in numbers: what each of them tells, and what it is deaf to."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pictures.appearance import appearance, centred, difference, standardised
from pictures.decoding import Decoded
from pictures.drawing import draw_part
from pictures.preprocessing import Preprocessing
from pictures.reading import preprocess


def look(picture, mask=None, channels=3):
    pixels = np.asarray(picture)
    decoded = Decoded(pixels, 255.0, pixels.shape[1], pixels.shape[0], None)
    return appearance(preprocess(decoded, Preprocessing(160, channels)), decoded, mask)


@pytest.fixture(scope="module")
def part():
    return Image.fromarray(draw_part(np.random.default_rng(3)))


@pytest.fixture(scope="module")
def usual(part):
    return look(part)


def test_light_moves_brightness_and_contrast_and_neither_sharpness_nor_shape(part, usual):
    dim = look(part.point(lambda v: v * 0.5))
    assert dim.brightness == pytest.approx(usual.brightness / 2, abs=1)
    assert dim.contrast == pytest.approx(usual.contrast / 2, rel=0.05)
    assert dim.sharpness == pytest.approx(usual.sharpness, abs=5)
    assert standardised(dim.thumbnail) @ standardised(usual.thumbnail) > 0.99


@pytest.mark.parametrize("channels", [1, 3])
def test_blur_moves_sharpness_alone(part, channels):
    usual, blurred = look(part, channels=channels), look(part.filter(ImageFilter.GaussianBlur(2)), channels=channels)
    assert blurred.sharpness < usual.sharpness - 50
    assert blurred.brightness == pytest.approx(usual.brightness, abs=1)


def test_a_shift_moves_the_likeness_alone(part, usual):
    moved = look(Image.fromarray(np.roll(np.asarray(part), (20, 20), (0, 1))))
    assert standardised(moved.thumbnail) @ standardised(usual.thumbnail) < 0.8
    assert moved.brightness == pytest.approx(usual.brightness, abs=0.1)


def test_colour_is_that_of_the_file_where_the_model_looks_at_gray(part, usual):
    red = Image.merge("RGB", [part.getchannel(0), *(part.getchannel(c).point(lambda v: v * 0.7) for c in (1, 2))])
    assert look(red, channels=1).red > usual.red + 20
    blue = Image.merge("RGB", [*(part.getchannel(c).point(lambda v: v * 0.7) for c in (0, 1)), part.getchannel(2)])
    assert look(blue, channels=1).blue > usual.blue + 20


def test_noise_between_two_shots_of_one_part_is_less_than_between_two_parts(part, usual):
    noise = np.random.default_rng(0).normal(0, 3, (160, 160, 3))
    again = look(Image.fromarray(np.clip(np.asarray(part) + noise, 0, 255).astype(np.uint8)))
    other = look(Image.fromarray(draw_part(np.random.default_rng(4))))
    same, different = difference(centred(usual.thumbnail), centred(np.stack([again.thumbnail, other.thumbnail])))
    assert same < 1 < 3 < different


def test_only_what_is_inside_a_mask_has_a_brightness():
    pixels = np.zeros((64, 64, 1), np.uint8)
    pixels[16:48, 16:48] = 200
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    decoded = Decoded(pixels[:, :, 0], 255.0, 64, 64, None)
    assert appearance(pixels, decoded, mask).brightness == 200


@pytest.mark.parametrize(("width", "height"), [(8, 8), (31, 33), (32, 300), (500, 129)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_has_a_thumbnail_whose_mean_is_that_of_the_picture(width, height, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.float32)
    seen = appearance(pixels, Decoded(pixels[:, :, 0], 255.0, width, height, None), None)
    assert seen.thumbnail.shape == (32, 32)
    assert seen.thumbnail.mean() == pytest.approx(pixels.mean(), abs=15)
    assert (seen.width, seen.height) == (width, height)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 0.0])
def test_floats_that_no_camera_gives_are_no_error(value):
    file = np.full((40, 40, 3), value, np.float32)
    seen = appearance(np.zeros((40, 40, 3), np.float32), Decoded(file, 1.0, 40, 40, None), None)
    assert (seen.brightness, seen.contrast) == (0, 0)
    assert np.isnan(seen.sharpness)
