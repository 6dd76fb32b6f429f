"""A heat map keeps its side of the threshold on the disk, and its colours mean the same everywhere."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pictures.heatmap import COLD, HOTTEST, colours, pack_heat, peak, place_box, unpack_heat
from pictures.region import Region


def test_a_map_comes_back_on_the_same_side_of_the_threshold():
    close = np.array([np.nextafter(0.5, 0), 0.5, np.nextafter(0.5, 1), np.nextafter(0, 1), np.nextafter(1, 0)])
    heat = np.concatenate([close, np.random.default_rng(0).random(91)]).reshape(8, 12)
    back = unpack_heat(pack_heat(heat))
    assert back.shape == heat.shape
    assert np.abs(back - heat).max() <= 1 / 65536
    assert np.array_equal(back > 0.5, heat > 0.5)
    assert back[0, 1] == 0.5
    assert pack_heat(back) == pack_heat(heat)


def png(mode, size=(4, 4)):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n", pack_heat(np.full((64, 64), 0.3))[:-40], png("L"), png("RGB")])
def test_what_is_no_map_is_refused(data):
    with pytest.raises(ValueError, match="it is not"):
        unpack_heat(data)


@pytest.mark.parametrize("side", [5000, 30_000])  # for the larger one Pillow has an error of its own
def test_a_map_that_claims_to_be_enormous_is_refused_like_any_other(monkeypatch, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(ValueError, match="it is not"):
        unpack_heat(data + png("I;16")[33:])


def test_the_colour_of_a_heat_does_not_depend_on_the_rest_of_the_map():
    beside_cold, beside_hot = colours(np.array([0.6, 0.2])), colours(np.array([0.6, 0.99]))
    assert np.array_equal(beside_cold[0], beside_hot[0])
    assert not np.array_equal(beside_cold[1], beside_hot[1])


def test_cold_is_invisible_the_threshold_is_a_border_and_very_hot_is_all_the_same():
    cold, below, above, hottest, beyond = colours(
        np.array([COLD, 0.5, np.nextafter(0.5, 1), HOTTEST, 0.9999])
    ).astype(int)  # fmt: skip
    assert cold[3] == 0
    assert below[2] > below[0]  # blue
    assert above[0] > above[2] + 100  # yellow
    assert np.array_equal(hottest, beyond)
    assert hottest[0] > 200 > 50 > hottest[1]  # red


def test_places_are_found_in_the_upright_picture():
    assert place_box(0, 0, (8, 16), 320, 80).center == (10.0, 5.0)
    last = place_box(7, 15, (8, 16), 320, 80)
    assert (last.left, last.top, last.right, last.bottom) == (300.0, 70.0, 320.0, 80.0)
    heat = np.full((8, 16), 0.1)
    heat[3, 11] = 0.4
    assert peak(heat) == (3, 11)


def test_the_places_of_a_model_that_looks_at_a_region_lie_inside_of_it():
    region = Region(left=100, top=40, width=80, height=20, picture=(320, 80))
    first, last = place_box(0, 0, (4, 8), 320, 80, region), place_box(3, 7, (4, 8), 320, 80, region)
    assert (first.left, first.top, last.right, last.bottom) == (100.0, 40.0, 180.0, 60.0)
    assert place_box(0, 0, (4, 8), 160, 40, region).center == (52.5, 21.25)  # shown at half its size
