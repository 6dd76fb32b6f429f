"""Every kind of file that a camera or a scanner writes becomes the same pixels, at the file's own depth."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from oddlot.errors import UnreadablePicture
from pictures.decoding import Decoded, decode, read_bytes

RNG = np.random.default_rng(0)
GRAY, COLOUR = RNG.integers(0, 256, (24, 36), np.uint8), RNG.integers(0, 256, (24, 36, 3), np.uint8)
GRAY_16, COLOUR_16 = RNG.integers(0, 65536, (24, 36), np.uint16), RNG.integers(0, 65536, (24, 36, 3), np.uint16)
SMOOTH = np.dstack([np.tile(np.arange(0, 240, 4, np.uint8), (40, 1)), np.full((40, 60, 2), 90, np.uint8)])


def load(path) -> Decoded:
    return decode(read_bytes(str(path), max_file_bytes=10**7)[0], max_pixels=10**7)


def saved(path, picture, **options):
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(path, **options)
    return path


def written_by_opencv(path, pixels, *options):
    """16-bit colour and alpha, which Pillow does not write; channels are given as red, green, blue, alpha."""
    order = [2, 1, 0, 3][: pixels.shape[2]]
    assert cv2.imwrite(str(path), pixels[:, :, order], options)
    return path


def sixteen_bit_gray_alpha_png(path, gray, alpha):
    """PNG colour type 4 at 16 bit, which neither Pillow nor OpenCV writes."""
    samples = np.stack([gray, alpha], axis=-1).astype(">u2")
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", gray.shape[1], gray.shape[0], 16, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}), ("a.bmp", {}), ("a.tif", {}), ("a.TIFF", {"compression": "tiff_lzw"}), ("a.ppm", {}),
        ("b.tif", {"compression": "tiff_adobe_deflate"}), ("c.tif", {"compression": "packbits"}),
        ("d.tif", {"compression": "tiff_deflate"}), ("e.tif", {"big_tiff": True}),
    ],
)  # fmt: skip
def test_lossless_containers_give_the_very_same_pixels(tmp_path, pixels, name, options):
    decoded = load(saved(tmp_path / name, pixels, **options))
    assert decoded.pixels.dtype == np.uint8
    assert np.array_equal(decoded.pixels, pixels)
    assert (decoded.full_scale, decoded.width, decoded.height, decoded.note) == (255.0, 36, 24, None)


def test_lossless_webp_gives_the_very_same_pixels(tmp_path):
    assert np.array_equal(load(saved(tmp_path / "a.webp", COLOUR, lossless=True)).pixels, COLOUR)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "in_jpeg.tif"])
def test_lossy_pictures_are_near_the_original(tmp_path, name):
    options = {"compression": "jpeg"} if name == "in_jpeg.tif" else {}
    decoded = load(saved(tmp_path / name, SMOOTH, quality=95, **options))
    assert decoded.pixels.shape == SMOOTH.shape
    assert np.abs(decoded.pixels.astype(int) - SMOOTH).mean() < 5


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_gray_tiff_keeps_sixteen_bits_in_both_byte_orders(tmp_path, compression, order):
    mode = "I;16" if order == "<" else "I;16B"
    picture = Image.frombytes(mode, (36, 24), GRAY_16.astype(f"{order}u2").tobytes())
    decoded = load(saved(tmp_path / "a.tif", picture, compression=compression))
    assert decoded.pixels.dtype == np.uint16
    assert np.array_equal(decoded.pixels, GRAY_16)
    assert decoded.full_scale == 65535.0


@pytest.mark.parametrize("name", ["gray.png", "gray.pgm"])
def test_other_gray_files_keep_sixteen_bits(tmp_path, name):
    decoded = load(saved(tmp_path / name, GRAY_16))
    assert decoded.full_scale == 65535.0
    assert np.array_equal(decoded.pixels, GRAY_16)


@pytest.mark.parametrize("extra", [(), (cv2.IMWRITE_TIFF_COMPRESSION, 1), (cv2.IMWRITE_TIFF_COMPRESSION, 8)])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_keeps_sixteen_bits_with_and_without_alpha(tmp_path, suffix, extra, channels):
    pixels = np.dstack([COLOUR_16, np.full(GRAY.shape, 65535, np.uint16)])[:, :, :channels]
    decoded = load(written_by_opencv(tmp_path / f"a.{suffix}", pixels, *(extra if suffix == "tiff" else ())))
    assert decoded.pixels.dtype == np.uint16
    assert np.array_equal(decoded.pixels, COLOUR_16)


def test_sixteen_bit_gray_with_alpha_stays_gray_and_deep(tmp_path):
    alpha = np.full(GRAY.shape, 65535, np.uint16)
    alpha[:, :10] = 0
    decoded = load(sixteen_bit_gray_alpha_png(tmp_path / "a.png", GRAY_16, alpha))
    assert decoded.pixels.dtype == np.uint16
    assert np.array_equal(decoded.pixels, np.where(alpha > 0, GRAY_16, 0))


def test_what_is_transparent_is_black_in_eight_and_sixteen_bit(tmp_path):
    alpha = np.full(GRAY.shape, 255, np.uint8)
    alpha[:12] = 0
    eight = load(saved(tmp_path / "a.png", np.dstack([COLOUR, alpha]))).pixels
    wide = np.dstack([COLOUR_16, alpha.astype(np.uint16) * 257])
    sixteen = load(written_by_opencv(tmp_path / "b.png", wide)).pixels
    assert not eight[:12].any()
    assert not sixteen[:12].any()
    assert np.array_equal(eight[12:], COLOUR[12:])
    assert np.array_equal(sixteen[12:], COLOUR_16[12:])


def test_alpha_that_is_zero_everywhere_does_not_blacken_the_picture(tmp_path):
    decoded = load(saved(tmp_path / "a.png", np.dstack([COLOUR, np.zeros(GRAY.shape, np.uint8)])))
    assert np.array_equal(decoded.pixels, COLOUR)
    assert "transparency was ignored" in decoded.note


def test_palette_pictures_get_their_colours(tmp_path):
    palette = Image.fromarray(SMOOTH).quantize(32)
    assert np.array_equal(load(saved(tmp_path / "a.png", palette)).pixels, np.asarray(palette.convert("RGB")))
    clear = palette.getpixel((0, 0))
    pixels = load(saved(tmp_path / "b.png", palette, transparency=clear)).pixels
    assert not pixels[np.asarray(palette) == clear].any()


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.bmp", {}), ("a.tif", {"compression": "group4"})])
def test_one_bit_pictures_are_black_and_white(tmp_path, name, options):
    decoded = load(saved(tmp_path / name, GRAY > 127, **options))
    assert np.array_equal(decoded.pixels, np.where(GRAY > 127, 255, 0))


def test_printers_colours_become_red_green_blue(tmp_path):
    decoded = load(saved(tmp_path / "a.jpg", Image.fromarray(SMOOTH).convert("CMYK"), quality=95))
    assert np.abs(decoded.pixels.astype(int) - SMOOTH).mean() < 5


def test_float_tiff_keeps_its_values_and_says_what_white_is(tmp_path):
    values = np.linspace(0, 1.25, GRAY.size, dtype=np.float32).reshape(GRAY.shape)
    decoded = load(saved(tmp_path / "a.tif", values))
    assert np.array_equal(decoded.pixels, values)
    assert (decoded.full_scale, decoded.note) == (1.0, "pixels are fractions: 1.0 was taken as white")


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "not finite"), (np.inf, "not finite"), (-0.5, "negative")])
def test_float_pixels_that_are_no_brightness_are_refused(tmp_path, value, reason):
    with pytest.raises(UnreadablePicture, match=reason):
        load(saved(tmp_path / "a.tif", np.array([[0.5, value]], np.float32)))


@pytest.mark.parametrize(
    ("name", "note"), [("a.tif", "multi-page TIFF with 3 pages: the first"), ("a.webp", "animation with 3 pictures")]
)
def test_the_first_page_is_taken_and_that_is_said(tmp_path, name, note):
    more = [Image.fromarray(255 - COLOUR), Image.fromarray(COLOUR[::-1])]
    options = {} if name == "a.tif" else {"lossless": True}
    decoded = load(saved(tmp_path / name, COLOUR, save_all=True, append_images=more, **options))
    assert note in decoded.note
    assert np.array_equal(decoded.pixels, COLOUR)
