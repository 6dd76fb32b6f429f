"""From the bytes of one file to pixels at their full depth."""

import hashlib
import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from oddlot.errors import UnreadablePicture

# Our own limit is checked on the header before anything is decoded; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False

FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "TIFF", "WEBP", "PPM")
ORIENTATION = 0x0112
DRAFT_RATIO = 8
"""A JPEG is decoded at a reduced size only where it is so many times larger than the target on its shorter side:
on smaller ones the cheaper filter would move single pixels."""


@dataclass(frozen=True)
class Decoded:
    """`pixels` is (height, width) or (height, width, 3), uint8, uint16 or float32, 0..`full_scale`."""

    pixels: np.ndarray
    full_scale: float
    width: int
    height: int
    note: str | None


def read_bytes(
    path: str, *, max_file_bytes: int, root: str | None = None, expected: tuple[int, int] | None = None
) -> tuple[bytes, str]:
    """The whole file and its SHA-256, read once. Raises UnreadablePicture.

    `root`: links must not lead out of that folder. `expected`: size in bytes and mtime in ns when it was listed.
    """
    if root is not None and not _inside(os.path.realpath(path), root):
        raise UnreadablePicture("the link leads out of the submitted folder")
    try:
        # Without O_NONBLOCK a pipe that took the file's place would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnreadablePicture("the file is not there any more") from None
    except OSError as error:
        raise UnreadablePicture(f"cannot be opened: {error.strerror}") from None
    with open(descriptor, "rb") as stream:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise UnreadablePicture("not a regular file")
        if expected is not None and (before.st_size, before.st_mtime_ns) != expected:
            raise UnreadablePicture("the file changed after it was listed; the next run inspects it")
        if before.st_size == 0:
            raise UnreadablePicture("the file is empty")
        if before.st_size > max_file_bytes:
            raise UnreadablePicture(f"the file has {before.st_size} bytes, more than the limit of {max_file_bytes}")
        try:
            data = stream.read()
        except OSError as error:
            raise UnreadablePicture(f"cannot be read: {error.strerror}") from None
        after = os.fstat(descriptor)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or len(data) != after.st_size:
        raise UnreadablePicture("the file changed while it was read; the next run inspects it")
    return data, hashlib.sha256(data).hexdigest()


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def decode(data: bytes, *, max_pixels: int, target: int | None = None) -> Decoded:
    """Decode a picture; `target` is the side it will be reduced to. Raises UnreadablePicture."""
    try:
        return _decode(data, max_pixels, target)
    except UnreadablePicture:
        raise
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise UnreadablePicture("not a picture of a known format") from None
    except (
        OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError,
        EOFError, NotImplementedError, RuntimeError, struct.error, zlib.error, RecursionError,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        # Decoders meet damaged files in many ways; none may stop a batch.
        raise UnreadablePicture(f"damaged or truncated: {_plain(error)}") from None


def _plain(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text[:120] if text and " at 0x" not in text else type(error).__name__) or type(error).__name__


def _decode(data: bytes, max_pixels: int, target: int | None) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise UnreadablePicture(
                f"{width} x {height} pixels by its header, more than the limit of {max_pixels}: not decoded"
            )
        note = None
        if picture.format == "TIFF" and getattr(picture, "n_frames", 1) > 1:
            note = f"multi-page TIFF with {picture.n_frames} pages: the first was inspected"
        orientation = picture.getexif().get(ORIENTATION, 1)
        if _keeps_sixteen_bit_colour(picture):
            # Pillow would cut these to 8 bit.
            return Decoded(_turned(_sixteen_bit_colour(data), orientation), 65535.0, width, height, note)
        if target is not None and picture.format == "JPEG" and min(width, height) >= DRAFT_RATIO * target:
            picture.draft(None, (2 * target, 2 * target))
        picture.load()
        pixels, full_scale, scaled = _pixels(picture)
        notes = "; ".join(text for text in (note, scaled) if text) or None
        return Decoded(_turned(pixels, orientation), full_scale, width, height, notes)


def _pixels(picture: Image.Image) -> tuple[np.ndarray, float, str | None]:
    """Pixels at full depth, the value of white, and a word where a scale had to be assumed."""
    mode = picture.mode
    if mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16), 65535.0, None
    if mode in ("I", "F"):
        return _wide_range(np.asarray(picture))
    if mode == "P" or mode == "PA":
        picture = picture.convert("RGBA" if "transparency" in picture.info or mode == "PA" else "RGB")
    if picture.mode in ("LA", "RGBA", "La", "RGBa"):
        picture = _over_black(picture)
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return np.asarray(picture), 255.0, None


def _wide_range(pixels: np.ndarray) -> tuple[np.ndarray, float, str | None]:
    """32-bit pictures name no white: 0..1 is taken as it is, else the smallest usual full scale that holds them."""
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise UnreadablePicture("some pixels are not finite numbers")
    if pixels.min() < 0:
        raise UnreadablePicture("some pixels are negative: a picture has values from 0 up")
    largest = float(pixels.max())
    for full_scale in (1.0, 255.0, 65535.0, 4294967295.0):
        if largest <= full_scale:
            scaled = pixels * np.float32(65535.0 / full_scale)
            return scaled, 65535.0, f"32-bit pixels, taken as 0 to {full_scale:.0f}"
    raise UnreadablePicture("pixel values beyond 32 bit")


def _over_black(picture: Image.Image) -> Image.Image:
    mode = "L" if picture.mode in ("LA", "La") else "RGB"
    picture = picture.convert("LA" if mode == "L" else "RGBA")
    alpha = picture.getchannel("A")
    opaque = picture.convert(mode)
    if alpha.getextrema() == (255, 255):
        return opaque
    black = Image.new(mode, picture.size)
    black.paste(opaque, mask=alpha)
    return black


def _keeps_sixteen_bit_colour(picture: Image.Image) -> bool:
    if picture.format not in ("PNG", "TIFF") or not getattr(picture, "tile", None):
        return False
    arguments = picture.tile[0][3]
    raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
    return isinstance(raw_mode, str) and raw_mode.startswith(("RGB;16", "RGBA;16", "RGBX;16"))


def _sixteen_bit_colour(data: bytes) -> np.ndarray:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.uint16:
        raise UnreadablePicture("damaged or truncated: the 16-bit colour picture cannot be decoded")
    colour = pixels[:, :, 2::-1]
    if pixels.shape[2] == 4 and int(pixels[:, :, 3].min()) < 65535:
        alpha = pixels[:, :, 3:].astype(np.float32) / 65535
        return np.rint(colour * alpha).astype(np.uint16)
    return np.ascontiguousarray(colour)


def _turned(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Apply EXIF orientation 1..8 (EXIF 2.32, tag 0x0112); anything else is taken as 1."""
    turns = {
        2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1], 8: lambda a: a.swapaxes(0, 1)[::-1],
    }  # fmt: skip
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))
