"""The picture reader under damaged, made-up and boastful files: it reads or refuses, in time and in little memory.

The files are read in another process, whose memory the kernel bounds: one that crashes or hangs there is seen here.
"""

import io
import json
import os
import select
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hostile import bounded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

MIB = 192
SECONDS = 60.0
COLOUR = np.random.default_rng(2).integers(0, 256, (40, 56, 3), np.uint8)
DEEP = COLOUR.astype(np.uint16) * 257


def encoded(pixels, kind, mode=None, **options):
    stream = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, kind, **options)
    return stream.getvalue()


def _frames():
    return {"save_all": True, "append_images": [Image.fromarray(COLOUR)] * 3}


FILES = {
    "JPEG": encoded(COLOUR, "JPEG"),
    "JPEG progressive": encoded(COLOUR, "JPEG", progressive=True),
    "JPEG CMYK": encoded(COLOUR, "JPEG", "CMYK"),
    "MPO": encoded(COLOUR, "MPO", **_frames()),
    "PNG": encoded(COLOUR, "PNG"),
    "PNG palette": encoded(COLOUR, "PNG", "P", transparency=3),
    "PNG alpha": encoded(COLOUR, "PNG", "RGBA"),
    "PNG bits": encoded(COLOUR, "PNG", "1"),
    "PNG animated": encoded(COLOUR, "PNG", **_frames()),
    "PNG 16": encoded(DEEP[:, :, 0], "PNG"),
    "PNG 16 colour": cv2.imencode(".png", DEEP)[1].tobytes(),
    "BMP": encoded(COLOUR, "BMP"),
    "BMP palette": encoded(COLOUR, "BMP", "P"),
    "DIB": encoded(COLOUR, "DIB"),
    "TIFF": encoded(COLOUR, "TIFF"),
    "TIFF pages": encoded(COLOUR, "TIFF", **_frames()),
    "TIFF LZW": encoded(DEEP[:, :, 0], "TIFF", compression="tiff_lzw"),
    "TIFF deflate": encoded(COLOUR, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF JPEG": encoded(COLOUR, "TIFF", compression="jpeg"),
    "TIFF G4": encoded(COLOUR, "TIFF", "1", compression="group4"),
    "TIFF float": encoded(COLOUR[:, :, 0].astype(np.float32) / 255, "TIFF"),
    "TIFF 16 colour": cv2.imencode(".tiff", DEEP)[1].tobytes(),
    "TIFF 32": encoded(COLOUR[:, :, 0].astype(np.int32), "TIFF"),
    "WebP": encoded(COLOUR, "WEBP"),
    "WebP lossless": encoded(COLOUR, "WEBP", lossless=True),
    "WebP animated": encoded(COLOUR, "WEBP", **_frames()),
    "PPM": encoded(COLOUR, "PPM"),
    "PGM 16": encoded(DEEP[:, :, 0], "PPM"),
    "PBM": encoded(COLOUR, "PPM", "1"),
    "PFM": b"Pf\n56 40\n-1.0\n" + (COLOUR[:, :, 0] / np.float32(255)).astype("<f4").tobytes(),
    "PPM text": b"P3\n4 4\n255\n" + b"12 " * 48,
}


class Reader:
    """The process that reads, started again where a picture took it down."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "picture"
        self._start()

    def _start(self) -> None:
        program = Path(__file__).with_name("bounded_reader.py")
        self._process = subprocess.Popen(
            [sys.executable, program, str(MIB)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip

    def read(self, data: bytes, max_pixels: int = 10**6) -> str:
        self._file.write_bytes(data)
        self._process.stdin.write(json.dumps({"path": str(self._file), "max_pixels": max_pixels}).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], SECONDS)[0]:
            self.close()
            self._start()
            return "hangs"
        line = self._process.stdout.readline()
        if not line:
            self.close()
            died = self._process.returncode
            self._start()
            return f"the process ended with {died}"
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    process = Reader(tmp_path_factory.mktemp("reader"))
    yield process
    process.close()


def fair(answer: str) -> bool:
    return answer == "read" or (answer.startswith("unreadable: ") and "\n" not in answer)


def test_every_kind_is_read_as_it_is(reader):
    refused = {kind: answer for kind, data in FILES.items() if (answer := reader.read(data)) != "read"}
    assert refused == {}


@st.composite
def mutated(draw):
    """A real file with a few changes, most of them where its headers are."""
    data = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 6))):
        if len(data) < 8:
            break
        place = int(draw(st.floats(0, 1)) ** 3 * (len(data) - 1))
        change = draw(st.sampled_from(["byte", "word", "cut", "insert", "double", "end"]))
        if change == "byte":
            data[place] = draw(st.integers(0, 255))
        elif change == "word":
            word = draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFF]))
            data[place : place + 4] = word.to_bytes(4, draw(st.sampled_from(["little", "big"])))
        elif change == "cut":
            del data[place : place + draw(st.integers(1, 40))]
        elif change == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=16))
        elif change == "double":
            data[place:place] = data[place : place + 64]
        else:
            del data[max(1, place) :]
    return bytes(data)


@bounded(700)
@given(data=mutated())
def test_damaged_files_are_read_or_refused(reader, data):
    answer = reader.read(data)
    assert fair(answer), answer


@bounded(200)
@given(
    start=st.sampled_from([data[:n] for data in FILES.values() for n in (0, 4, 12, 30)]), rest=st.binary(max_size=400)
)
def test_made_up_files_are_read_or_refused(reader, start, rest):
    answer = reader.read(start + rest)
    assert fair(answer), answer


def _png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _bombs():
    """Files of a few bytes that name 256 million pixels or more; MIB would not hold one of them."""
    side = 16_000
    sof = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", side, side) + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    jpeg = FILES["JPEG"]
    at = jpeg.index(b"\xff\xc0")
    yield "JPEG", jpeg[:at] + sof + jpeg[at + 19 :]
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    yield "PNG", b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IEND", b"")
    deep = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    yield "PNG 16 colour", b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", deep) + _png_chunk(b"IDAT", b"x") * 2
    bmp = bytearray(FILES["BMP"])
    bmp[18:26] = struct.pack("<II", side, side)
    yield "BMP", bytes(bmp)
    tiff = FILES["TIFF"]
    tags = {256: 56, 257: 40}
    for tag, value in tags.items():
        for kind in (3, 4):
            old = struct.pack("<HHII" if kind == 4 else "<HHIHxx", tag, kind, 1, value)
            tiff = tiff.replace(old, struct.pack("<HHII", tag, 4, 1, side))
    assert tiff != FILES["TIFF"]
    yield "TIFF", tiff
    canvas = struct.pack("<I", side - 1)[:3]
    frame = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas + canvas + FILES["WebP"][12:]
    yield "WebP", b"RIFF" + struct.pack("<I", len(frame) + 4) + b"WEBP" + frame
    yield "PPM", b"P6\n16000 16000\n255\n" + bytes(60)
    yield "PFM", b"Pf\n16000 16000\n-1.0\n" + bytes(60)
    yield "P3", b"P3\n16000 16000\n255\n" + b"1 2 3 "


@pytest.mark.parametrize(("kind", "data"), _bombs(), ids=[kind for kind, _ in _bombs()])
def test_a_pixel_bomb_of_any_kind_is_refused_by_its_header(reader, kind, data):
    answer = reader.read(data, max_pixels=200_000_000)
    assert answer.startswith("unreadable: ")
    if kind != "WebP":  # its decoder reserves the canvas, without using it, before it tells the size: refused here
        assert "16000 x 16000 pixels by its header" in answer


def test_a_picture_for_which_there_is_no_memory_is_not_called_damaged(reader):
    """Within the limits, but not of this process: the batch is to be halved, and the picture tried again."""
    for kind in ("PNG", "TIFF"):
        stream = io.BytesIO()
        Image.new("RGB", (9000, 9000)).save(stream, kind, compression="tiff_lzw")
        assert reader.read(stream.getvalue(), max_pixels=200_000_000).startswith("MemoryError")
    deep = cv2.imencode(".png", np.zeros((7000, 7000, 3), np.uint16))[1].tobytes()
    assert reader.read(deep, max_pixels=200_000_000).startswith("MemoryError")
