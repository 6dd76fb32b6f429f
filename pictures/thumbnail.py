"""A small picture for a page, and its heat as a layer that a page lays over it."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from oddlot.errors import UnreadablePicture
from pictures.decoding import Decoded, decode, read_bytes
from pictures.heatmap import Heat, colours, covered
from pictures.region import Region
from pictures.sheet import as_seen

EDGE = 320
"""Longer side of a thumbnail, in pixels; smaller pictures stay as they are."""
QUALITY = 82


def make_thumbnail(
    path: str, *, sha256: str | None = None, root: str | None = None, expected: tuple[int, int] | None = None,
    window: tuple[float, float] = (0.0, 1.0), max_pixels: int, max_file_bytes: int, edge: int = EDGE,
) -> bytes:  # fmt: skip
    """The whole upright picture as WebP, at most `edge` pixels on its longer side, bright as the model sees it.

    `window` is that of the model's preprocessing; `root` and `expected` as for `read_bytes`; `sha256` is the hash that
    the file must still have. Raises UnreadablePicture.
    """
    data, found = read_bytes(path, max_file_bytes=max_file_bytes, root=root, expected=expected)
    if sha256 is not None and found != sha256:
        raise UnreadablePicture("not the file that was inspected: its SHA-256 differs", found)
    try:
        decoded = _reduced(decode(data, max_pixels=max_pixels, target=edge), edge)
    except UnreadablePicture as reason:
        raise UnreadablePicture(str(reason), found) from None
    picture = Image.fromarray(as_seen(decoded, window))
    picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return _webp(picture)


def make_layer(heat: Heat, width: int, height: int, region: Region | None = None) -> bytes:
    """The colours of `heat` as WebP with transparency, (`width`, `height`) pixels, to be laid over a picture of the
    same shape; `region` is the part of the picture that the heat covers, None for all of it."""
    whole = covered(width, height, region)
    left, top = round(whole.left), round(whole.top)
    size = max(1, round(whole.right) - left), max(1, round(whole.bottom) - top)
    # Enlarged before it is coloured: between two colours of the scale there may be a third.
    spread = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    layer = Image.new("RGBA", (max(1, width), max(1, height)))
    layer.paste(Image.fromarray(colours(spread)), (left, top))
    return _webp(layer)


def size_of(thumbnail: bytes) -> tuple[int, int]:
    """Width and height in pixels of what `make_thumbnail` gave."""
    with Image.open(io.BytesIO(thumbnail), formats=["WEBP"]) as picture:
        return picture.size


def _reduced(decoded: Decoded, edge: int) -> Decoded:
    """By a whole factor first, so that no large copy at another depth is made of a large picture."""
    made = decoded.made
    factor = min(max(decoded.size) // (2 * edge), *decoded.size)
    if factor < 2:
        return decoded
    if isinstance(made, Image.Image):
        return replace(decoded, made=made.reduce(factor))
    if made.dtype == np.uint8:
        return replace(decoded, made=Image.fromarray(made).reduce(factor))
    height, width = (side // factor for side in made.shape[:2])
    cut = made[: height * factor, : width * factor]
    means = cut.reshape(height, factor, width, factor, *made.shape[2:]).mean(axis=(1, 3))
    return replace(decoded, made=means.astype(made.dtype))


def _webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=QUALITY, method=4)
    return stream.getvalue()
