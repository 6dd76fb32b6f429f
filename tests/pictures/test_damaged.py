"""Whatever is wrong with a file, it becomes an unreadable picture with a reason, and never anything else."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oddlot.errors import UnreadablePicture
from pictures.decoding import decode

# Pillow warns of damaged metadata, and goes on. Outside of tests a warning is a line in the log.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

# Noise, so that the last tenth of a file holds pixels, however well it is packed.
COLOUR = np.random.default_rng(2).integers(0, 256, (40, 56, 3), np.uint8)
GRAY_16 = COLOUR[:, :, 0].astype(np.uint16) * 257


def encoded(pixels, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def _orientation():
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


FILES = {
    "JPEG": encoded(COLOUR, "JPEG", exif=_orientation()),
    "progressive JPEG": encoded(COLOUR, "JPEG", progressive=True),
    "MPO": encoded(COLOUR, "MPO", save_all=True, append_images=[Image.fromarray(COLOUR)]),
    "PNG": encoded(COLOUR, "PNG", exif=_orientation()),
    "16-bit PNG": encoded(GRAY_16, "PNG"),
    "16-bit colour PNG": cv2.imencode(".png", COLOUR.astype(np.uint16) * 257)[1].tobytes(),
    "BMP": encoded(COLOUR, "BMP"),
    "TIFF": encoded(COLOUR, "TIFF", exif=_orientation()),
    "LZW TIFF": encoded(GRAY_16, "TIFF", compression="tiff_lzw"),
    "multi-page TIFF": encoded(COLOUR, "TIFF", save_all=True, append_images=[Image.fromarray(COLOUR)]),
    "16-bit colour TIFF": cv2.imencode(".tiff", COLOUR.astype(np.uint16) * 257)[1].tobytes(),
    "WebP": encoded(COLOUR, "WEBP"),
    "PNM": encoded(COLOUR, "PPM"),
}


def png_claiming(width, height, data=b"\0"):
    """A PNG whose header names a size that its few bytes do not hold."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_bytes_decode_or_are_unreadable(kind, changes, kept):
    data = bytearray(FILES[kind])
    for place, value in changes:
        # Cubed: most changes fall near the beginning or, from below zero, the end, where the headers are.
        data[int(abs(place) ** 3 * (len(data) - 1)) * (1 if place >= 0 else -1)] = value
    try:
        decoded = decode(bytes(data[: int(kept * len(data))]), max_pixels=10**6, target=8)
    except UnreadablePicture:
        return
    assert decoded.pixels.ndim in (2, 3)
    assert decoded.pixels.size


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_a_file_of_which_the_end_is_missing_is_not_read_half(kind, share):
    if kind in ("MPO", "multi-page TIFF"):
        share /= 2  # so that the first picture, too, is cut
    with pytest.raises(UnreadablePicture, match=r"damaged|truncated"):
        decode(FILES[kind][: int(share * len(FILES[kind]))], max_pixels=10**6)


@pytest.mark.parametrize("data", [b"Dear colleague, the pictures follow", bytes(5000), b"GIF89a" + bytes(60), b"x"])
def test_what_is_no_picture_is_called_that(data):
    with pytest.raises(UnreadablePicture, match="not a picture of a known format"):
        decode(data, max_pixels=10**6)


def test_a_kind_of_tiff_that_is_not_supported_is_not_called_foreign():
    floats = cv2.imencode(".tiff", np.zeros((4, 4, 3), np.float32))[1].tobytes()
    with pytest.raises(UnreadablePicture, match="TIFF with a damaged header, or of a kind that is not supported"):
        decode(floats, max_pixels=10**6)


def test_a_decompression_bomb_is_refused_by_its_header():
    with pytest.raises(
        UnreadablePicture, match="100000 x 100000 pixels by its header, more than the limit of 200000000"
    ):
        decode(png_claiming(100_000, 100_000), max_pixels=200_000_000)


def test_the_pixel_limit_is_the_largest_size_that_is_read():
    data = encoded(COLOUR, "BMP")
    assert decode(data, max_pixels=40 * 56).width == 56
    with pytest.raises(UnreadablePicture, match="more than the limit"):
        decode(data, max_pixels=40 * 56 - 1)


def test_a_header_that_promises_more_pixels_than_follow_is_damage():
    with pytest.raises(UnreadablePicture, match="damaged or truncated"):
        decode(png_claiming(300, 200), max_pixels=10**6)


def test_a_damaged_length_in_a_deep_png_does_not_take_the_memory_that_it_names():
    """OpenCV takes what the length says before it reads: 4 GB, and the worker is gone."""
    data = bytearray(FILES["16-bit colour PNG"])
    place = data.index(b"IDAT") - 4
    data[place : place + 4] = b"\xf0\0\0\0"
    with pytest.raises(UnreadablePicture, match="ends in the middle"):
        decode(bytes(data), max_pixels=10**6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "16-bit colour PNG", "BMP", "TIFF", "WebP"])
def test_garbage_after_the_picture_changes_nothing(kind):
    plain = decode(FILES[kind], max_pixels=10**6)
    garbage = np.random.default_rng(3).bytes(5000)
    assert np.array_equal(decode(FILES[kind] + garbage, max_pixels=10**6).pixels, plain.pixels)


def test_sixteen_bit_colour_that_would_be_cut_or_mixed_up_is_refused():
    wide = cv2.imencode(".ppm", COLOUR.astype(np.uint16) * 257)[1].tobytes()
    with pytest.raises(UnreadablePicture, match="16-bit colour PNM is not supported"):
        decode(wide, max_pixels=10**6)
    together, apart = (struct.pack("<HHIHH", 284, 3, 1, planes, 0) for planes in (1, 2))
    assert together in FILES["16-bit colour TIFF"]
    with pytest.raises(UnreadablePicture, match="16-bit TIFF with each colour stored apart is not supported"):
        decode(FILES["16-bit colour TIFF"].replace(together, apart), max_pixels=10**6)
