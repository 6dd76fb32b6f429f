"""From the bytes of one file to pixels at their full depth."""

import hashlib
import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from oddlot.errors import UnreadablePicture
from oddlot.places import is_address
from pictures.stored import read_listed

# Our own limit is checked on the header before anything is decoded; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False

# Names of Pillow's readers, not of all its formats: MPO, for one, comes through JPEG and has no reader of its own.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "PPM")
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
    b"BM": "BMP", b"RIFF": "WebP",
}  # fmt: skip
"""First bytes of a file that was meant to be of a known format, for the reason that a person reads."""
ORIENTATION = 0x0112
PLANAR, BITS = 284, 258
CUT_BY_PILLOW = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")
"""Raw modes that Pillow cuts to 8 bit: OpenCV reads these."""
# Without O_NONBLOCK a pipe that took the file's place would be waited for.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
DRAFT_RATIO = 8
"""A JPEG is decoded at a reduced size only where it is so many times larger than the target on its shorter side:
on smaller ones the cheaper filter would move single pixels."""


@dataclass(frozen=True)
class Decoded:
    """`made` is what the decoder made, `pixels` the same as an array: (height, width) or (height, width, 3), uint8,
    uint16 or float32; `full_scale` is the value of white.

    Only float32 pixels may be larger than that. `width` and `height` are of the picture before it is turned, but for
    TIFF, where they are of the turned one; `note` says what a person should know, or is None; `turned` is whether the
    turn exchanged width and height.
    """

    made: np.ndarray | Image.Image
    full_scale: float
    width: int
    height: int
    note: str | None
    turned: bool = False

    @cached_property
    def pixels(self) -> np.ndarray:
        """Copied out of a Pillow picture only for who asks."""
        return np.asarray(self.made)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what was made."""
        return self.made.size if isinstance(self.made, Image.Image) else (self.made.shape[1], self.made.shape[0])

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the whole picture as a person sees it, however small it was decoded."""
        return (self.height, self.width) if self.turned else (self.width, self.height)


def read_bytes(
    path: str, *, max_file_bytes: int, root: str | None = None, expected: tuple[int, int] | None = None,
    etag: str | None = None,
) -> tuple[bytes, str]:  # fmt: skip
    """The whole file and its SHA-256, read once. Raises UnreadablePicture.

    `root`: an absolute folder without links in its own path; links must not lead out of it.
    `expected`: size in bytes and mtime in ns when it was listed.
    Of `s3://` addresses the size and the `etag` are what they were listed with, and StoreError is raised where the
    store is at fault and not the picture.
    """
    if is_address(path):
        return read_listed(path, max_file_bytes=max_file_bytes, root=root, expected=expected, etag=etag)
    with _open(path, root) as stream:
        before = os.fstat(stream.fileno())
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
        after = os.fstat(stream.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or len(data) != after.st_size:
        raise UnreadablePicture("the file changed while it was read; the next run inspects it")
    return data, hashlib.sha256(data).hexdigest()


def _open(path: str, root: str | None) -> BinaryIO:
    try:
        descriptor = os.open(path, _READ) if root is None else _open_below(root, os.path.realpath(path))
    except FileNotFoundError:
        if os.path.islink(path):
            raise UnreadablePicture("the link leads to a file that is not there") from None
        raise UnreadablePicture("the file is not there any more") from None
    except OSError as error:
        raise UnreadablePicture(f"cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadablePicture("not a regular file, but a folder, a pipe or a device")
    return open(descriptor, "rb")


def _open_below(root: str, path: str) -> int:
    """Open a path that has no links, folder by folder: one that was put into it since it was resolved is not followed.

    Raises OSError, and UnreadablePicture where the path is not below `root`.
    """
    if path != root and not path.startswith(root.rstrip("/") + "/"):
        raise UnreadablePicture("the link leads out of the submitted folder")
    *folders, name = os.path.relpath(path, root).split("/")
    folder = os.open(root, _READ | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for step in folders:
            below = os.open(step, _READ | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(name, _READ | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def decode(data: bytes, *, max_pixels: int, target: int | None = None) -> Decoded:
    """Decode a picture; `target` is the side it will be reduced to. Raises UnreadablePicture."""
    try:
        return _decode(data, max_pixels, target)
    except UnreadablePicture:
        raise
    except MemoryError:
        raise
    except UnidentifiedImageError:
        for signature, name in SIGNATURES.items():
            if data.startswith(signature):
                raise UnreadablePicture(f"{name} with a damaged header, or of a kind that is not supported") from None
        raise UnreadablePicture("not a picture of a known format (JPEG, PNG, BMP, TIFF, WebP, PNM)") from None
    except (
        OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError,
        AssertionError, EOFError, NotImplementedError, RuntimeError, struct.error, zlib.error, RecursionError,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        if "out of memory" in str(error):  # Pillow's word for it, of an OSError
            raise MemoryError("no memory for the pixels of a picture") from None
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
        pages = _pages(picture)
        # Before anything is decoded, metadata too: Pillow knows the depth of the file only until then.
        raw_mode = _raw_mode(picture)
        made: np.ndarray | Image.Image
        if raw_mode.startswith(CUT_BY_PILLOW):
            made, full_scale, scaled = _sixteen_bit(data, gray=raw_mode.startswith("LA")), 65535.0, None
            # OpenCV turns a TIFF, but not a PNG.
            orientation = 1 if picture.format == "TIFF" else picture.getexif().get(ORIENTATION, 1)
        else:
            if target is not None and picture.format in ("JPEG", "MPO") and min(width, height) >= DRAFT_RATIO * target:
                picture.draft(None, (2 * target, 2 * target))
            picture.load()
            made, full_scale, scaled = _pixels(picture)
            # After loading: Pillow turns a TIFF while it loads it, and from then on says 1.
            orientation = picture.getexif().get(ORIENTATION, 1)
        note = "; ".join(text for text in (pages, scaled) if text) or None
        turned = orientation in (5, 6, 7, 8)
        return Decoded(_turned(made, orientation), full_scale, width, height, note, turned)


def _pages(picture: Image.Image) -> str | None:
    # Not MPO: the second picture of a camera's or telephone's file is a preview.
    count = getattr(picture, "n_frames", 1) if picture.format in ("TIFF", "PNG", "WEBP") else 1
    if count == 1:
        return None
    if picture.format == "TIFF":
        return f"multi-page TIFF with {count} pages: the first was inspected"
    return f"animation with {count} pictures: the first was inspected"


def _pixels(picture: Image.Image) -> tuple[np.ndarray | Image.Image, float, str | None]:
    """Pixels at full depth, as an array or a picture of mode L or RGB, the value of white, and a word where something
    had to be assumed."""
    mode, note = picture.mode, None
    if mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16), 65535.0, None
    if mode in ("I", "F"):
        return _wide_range(np.asarray(picture), mode)
    if mode == "P" or mode == "PA":
        picture = picture.convert("RGBA" if "transparency" in picture.info or mode == "PA" else "RGB")
    if picture.mode in ("LA", "RGBA", "La", "RGBa"):
        picture, note = _over_black(picture)
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return picture, 255.0, note


def _wide_range(pixels: np.ndarray, mode: str) -> tuple[np.ndarray, float, str | None]:
    """32-bit pixels name no white. It is the same for all pictures, never guessed from one: the model's window fits."""
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise UnreadablePicture("some pixels are not finite numbers")
    if pixels.min() < 0:
        raise UnreadablePicture("some pixels are negative, or beyond 31 bit: a picture has values from 0 up")
    return (pixels, 65535.0, None) if mode == "I" else (pixels, 1.0, "pixels are fractions: 1.0 was taken as white")


def _over_black(picture: Image.Image) -> tuple[Image.Image, str | None]:
    mode = "L" if picture.mode in ("LA", "La") else "RGB"
    picture = picture.convert("LA" if mode == "L" else "RGBA")
    alpha = picture.getchannel("A")
    opaque = picture.convert(mode)
    if alpha.getextrema() == (255, 255):
        return opaque, None
    if alpha.getextrema() == (0, 0):
        # Some cameras write 32-bit BMP and leave the fourth byte zero.
        return opaque, "transparent everywhere: transparency was ignored"
    black = Image.new(mode, picture.size)
    black.paste(opaque, mask=alpha)
    return black, None


def _raw_mode(picture: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's words. Raises UnreadablePicture for what would be read wrongly."""
    tile = getattr(picture, "tile", None)
    arguments = tile[0][3] if tile else ""
    raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        bits = tags.get(BITS, (1,))
        if tags.get(PLANAR, 1) == 2 and len(bits) > 1 and max(bits) > 8:
            raise UnreadablePicture("16-bit TIFF with each colour stored apart is not supported")
    if picture.format == "PPM" and picture.mode == "RGB" and isinstance(arguments, tuple) and arguments[1] > 255:
        raise UnreadablePicture("16-bit colour PNM is not supported: PNG and TIFF are")
    return raw_mode if isinstance(raw_mode, str) else ""


def _sixteen_bit(data: bytes, *, gray: bool) -> np.ndarray:
    """(height, width, 3), or (height, width) where `gray`; uint16, over black where it is transparent."""
    import cv2

    if data.startswith(b"\x89PNG"):
        _check_chunks(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if getattr(error, "code", None) == cv2.Error.StsNoMem:
            raise MemoryError("no memory for the pixels of a picture") from None
        raise UnreadablePicture(f"damaged or truncated: {_plain(error)}") from None
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.uint16:
        raise UnreadablePicture("damaged or truncated: the 16-bit pixels cannot be decoded")
    colour = pixels[:, :, 0] if gray else pixels[:, :, 2::-1]
    if pixels.shape[2] == 4 and int(pixels[:, :, 3].min()) < 65535:
        alpha = pixels[:, :, 3].astype(np.float32) / 65535
        return np.rint(colour * (alpha if gray else alpha[:, :, np.newaxis])).astype(np.uint16)
    return np.ascontiguousarray(colour)


def _check_chunks(data: bytes) -> None:
    """Raises UnreadablePicture where a PNG chunk is longer than the file: OpenCV would take up to 4 GB for it."""
    at, kind = 8, b""
    while kind != b"IEND":
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at > len(data):
            raise UnreadablePicture("damaged or truncated: the PNG ends in the middle of its data")


def _turned(made: np.ndarray | Image.Image, orientation: object) -> np.ndarray | Image.Image:
    """Apply EXIF orientation 1..8 (EXIF 2.32, tag 0x0112); anything else is taken as 1."""
    turns = {
        2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1], 8: lambda a: a.swapaxes(0, 1)[::-1],
    }  # fmt: skip
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return made if turn is None else np.ascontiguousarray(turn(np.asarray(made)))
