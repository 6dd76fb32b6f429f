"""A picture that says which way is up is turned that way, whatever the file and its depth."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from pictures.decoding import decode

UPRIGHT = np.arange(2 * 3, dtype=np.uint16).reshape(2, 3) * 257 * 40
COLOUR = np.dstack([UPRIGHT, UPRIGHT[::-1], UPRIGHT[:, ::-1]])


def expected(pixels, orientation):
    """What Pillow's own function makes of the 8-bit picture."""
    picture = Image.fromarray((pixels // 257).astype(np.uint8))
    picture.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


def exif(orientation):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags


def colour_tiff_16(pixels, orientation, prefix):
    """A plain 16-bit colour TIFF: no library at hand writes one with an orientation."""
    strip = pixels.astype("<u2" if prefix == b"II" else ">u2").tobytes()
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=prefix)
    height, width, channels = pixels.shape
    for tag, value in {
        256: width, 257: height, 258: (16,) * channels, 259: 1, 262: 2, 273: 0, 274: orientation, 277: channels,
        278: height, 279: len(strip), 284: 1,
    }.items():  # fmt: skip
        directory[tag] = value  # Pillow adds the directory's end to 273, where the pixels begin
    header = prefix + (b"*\0\x08\0\0\0" if prefix == b"II" else b"\0*\0\0\0\x08")
    return header + directory.tobytes(8) + strip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixels", [UPRIGHT, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("suffix", ["png", "tif", "lzw.tif", "webp", "jpg"])
def test_eight_bit(tmp_path, suffix, pixels, orientation):
    path = tmp_path / f"a.{suffix}"
    options = {"webp": {"lossless": True}, "lzw.tif": {"compression": "tiff_lzw"}}.get(suffix, {})
    picture = Image.fromarray((pixels // 257).astype(np.uint8))
    if suffix in ("webp", "jpg"):  # blocks of one shade, which these keep; WebP knows colour alone
        picture = picture.convert("RGB").resize((3 * 16, 2 * 16), Image.Resampling.NEAREST)
    picture.save(path, exif=exif(orientation), **options)
    decoded = decode(path.read_bytes(), max_pixels=10**6).pixels
    wanted = expected(pixels, orientation)
    if suffix in ("webp", "jpg"):
        decoded = decoded[8::16, 8::16]
        wanted = wanted if wanted.ndim == 3 else np.dstack([wanted] * 3)
    assert decoded.shape == wanted.shape
    off = np.abs(decoded.astype(int) - wanted).max()
    assert off == 0 if suffix != "jpg" else off < 40  # the steps between the blocks are 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "lzw.tif"])
def test_sixteen_bit_gray(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    options = {"compression": "tiff_lzw"} if suffix == "lzw.tif" else {}
    Image.fromarray(UPRIGHT).save(path, exif=exif(orientation), **options)
    decoded = decode(path.read_bytes(), max_pixels=10**6).pixels
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded // 257, expected(UPRIGHT, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("prefix", [b"II", b"MM"])
def test_sixteen_bit_colour_tiff(orientation, prefix):
    decoded = decode(colour_tiff_16(COLOUR, orientation, prefix), max_pixels=10**6).pixels
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded // 257, expected(COLOUR, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_colour_png(orientation):
    plain = cv2.imencode(".png", COLOUR[:, :, ::-1])[1].tobytes()
    body = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = len(body).to_bytes(4, "big") + b"eXIf" + body
    header = 8 + 25
    checked = chunk + zlib.crc32(chunk[4:]).to_bytes(4, "big")
    decoded = decode(plain[:header] + checked + plain[header:], max_pixels=10**6).pixels
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded // 257, expected(COLOUR, orientation))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(tmp_path, orientation):
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=exif(orientation))
    assert np.array_equal(decode((tmp_path / "a.png").read_bytes(), max_pixels=10**6).pixels, UPRIGHT)
