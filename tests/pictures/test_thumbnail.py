"""Thumbnails: the whole picture, upright, as bright as the model sees it, and nothing but the file that was meant."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from oddlot.errors import UnreadablePicture
from pictures.region import Region
from pictures.thumbnail import EDGE, make_layer, make_thumbnail, size_of

LIMITS = {"max_pixels": 10**8, "max_file_bytes": 10**8}


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1600, 800), (320, 160)), ((800, 1600), (160, 320)), ((40, 30), (40, 30)), ((4000, 3), (320, 1)),
     ((5000, 4000), (320, 256)), ((1, 1), (1, 1))],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_longer_side_is_at_most_the_edge_and_small_ones_stay(tmp_path, size, expected, suffix) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("L", size, 90).save(path)
    data = make_thumbnail(str(path), **LIMITS)
    assert data[8:12] == b"WEBP"
    assert max(size_of(data)) <= EDGE
    assert size_of(data) == pytest.approx(expected, abs=1)
    assert abs(opened(data) - 90).max() <= 3


def test_it_is_turned_as_the_camera_says(tmp_path) -> None:
    picture = Image.new("RGB", (400, 200), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    pixels = opened(make_thumbnail(str(tmp_path / "a.jpg"), **LIMITS))
    assert pixels.shape[0] > pixels.shape[1]
    assert pixels[:100].mean() > 200
    assert pixels[-100:].mean() < 50


@pytest.mark.parametrize("side", [50, 3000])
def test_sixteen_bit_pictures_are_as_bright_as_the_model_sees_them(tmp_path, side) -> None:
    pixels = np.full((side, side), 3000, np.uint16)
    pixels[: side // 2] = 1000
    Image.fromarray(pixels).save(tmp_path / "a.png")
    window = (1000 / 65535, 3000 / 65535)
    shown = opened(make_thumbnail(str(tmp_path / "a.png"), window=window, **LIMITS))
    assert shown[: shown.shape[0] // 4].max() < 10
    assert shown[-shown.shape[0] // 4 :].min() > 245


def test_another_file_than_the_one_that_was_inspected_is_refused(tmp_path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (9, 9)).save(path)
    with pytest.raises(UnreadablePicture, match="not the file that was inspected"):
        make_thumbnail(str(path), sha256="0" * 64, **LIMITS)
    status = path.stat()
    make_thumbnail(str(path), expected=(status.st_size, status.st_mtime_ns), **LIMITS)
    with pytest.raises(UnreadablePicture, match="changed"):
        make_thumbnail(str(path), expected=(status.st_size, 1), **LIMITS)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "secret.png")
    lot = tmp_path / "lot"
    lot.mkdir()
    os.symlink(tmp_path / "secret.png", lot / "a.png")
    with pytest.raises(UnreadablePicture, match="leads out"):
        make_thumbnail(str(lot / "a.png"), root=str(lot), **LIMITS)


def test_what_is_too_large_or_no_picture_is_refused(tmp_path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (100, 100)).save(path)
    with pytest.raises(UnreadablePicture, match="more than the limit"):
        make_thumbnail(str(path), max_pixels=99, max_file_bytes=10**8)
    path.write_text("not a picture")
    with pytest.raises(UnreadablePicture, match="not a picture"):
        make_thumbnail(str(path), **LIMITS)


def test_the_layer_lies_where_the_region_is_and_is_clear_elsewhere() -> None:
    heat = np.full((4, 4), 0.95)
    layer = make_layer(heat, 200, 100, Region(0.5, 0.0, 0.5, 1.0))
    pixels = np.asarray(Image.open(io.BytesIO(layer)))
    assert pixels.shape == (100, 200, 4)
    assert pixels[:, :98, 3].max() == 0
    assert pixels[:, 102:, 3].min() > 150
    assert np.asarray(Image.open(io.BytesIO(make_layer(np.zeros((4, 4)), 20, 10))).convert("RGBA"))[..., 3].max() == 0
