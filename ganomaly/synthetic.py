"""Synthetic defects: marks of graded size and contrast pasted into pictures of good parts, arrays in and arrays out.

They serve to measure what a detector can see where nobody has pictures of defects. Pasting a piece of the picture
somewhere else is after Li, Sohn, Yoon, Pfister (CutPaste, CVPR 2021), the irregular outlines with the contrast of a
mark as a grade after Zavrtanik, Kristan, Skocaj (DRAEM, ICCV 2021).
"""

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("scratch", "spot", "missing", "blur", "swap", "texture")
SIZES = (0.03, 0.06, 0.12, 0.25)
"""Length of a scratch or diameter of any other mark, as shares of the shorter side of the picture."""
CONTRASTS = {"faint": 0.3, "clear": 0.6, "strong": 1.2}
"""Grades of contrast, in standard deviations of the picture's own gray values."""

LEAST_DIAMETER = 2
"""Pixels; what would be smaller is pasted as large as this."""
LEAST_DEVIATION = 10.0
"""Gray levels that stand for the deviation of a picture that is flatter than this."""
_LEAST_CHANGE = 1.5
# Root mean square in gray levels: a blur or a swap that changes less is nothing that anybody could see.
_TRIES = 24
_DRAWS = 12
# Defects that are drawn, at most, until half of one lies inside of a mask.
_FINE = 4
# Outlines are drawn this much larger and reduced, so that they are smooth.

Drawn = tuple[np.ndarray, np.ndarray, tuple[int, int]]
"""What a mark puts in place of the picture's pixels, (k, l, c); how much of it counts, (k, l) in 0..1; its corner."""


def diameter(size: float, shape: tuple[int, ...]) -> int:
    """Pixels that `size`, a share of the shorter side, has in a picture of this shape (height, width, ...)."""
    return max(LEAST_DIAMETER, round(size * min(shape[:2])))


def paste(
    picture: np.ndarray, kind: str, size: float, contrast: float, rng: np.random.Generator,
    inside: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A copy of a good picture with one defect in it, and the mask bool (h, w) of all that is not as it was.

    `picture` (h, w, c) uint8 or float32 in 0..255, c 1 or 3, sides of 16 or more; the copy has the same type. `kind`
    is one of KINDS. `size` in (0, 0.5] is the length of a scratch or the diameter of any other kind as a share of the
    shorter side. `contrast`, above 0, is the change that is made, in standard deviations of the picture's gray values:
    in the middle of a scratch, a spot or a missing piece (which stops at the gray of the background), on average (root
    mean square) with a texture. A blur and a swap are taken from several tries, as the one that comes nearest to it:
    where the picture is flat they stay below.

    Everything else is random, and the same for an `rng` in the same state: the place too, more often on the part than
    on an empty background. The mask is empty where the picture is too flat for any blur or swap to be seen.

    With `inside` (h, w) bool nothing else changes, and the deviation is that of the gray values inside. A defect of
    which less than half would lie inside is drawn again; where none is found, the mask is empty, too. Raises ValueError
    for a picture, kind, size or contrast that cannot be.
    """
    _check(picture, kind, size, contrast)
    exact = picture.astype(np.float32)
    gray = exact.mean(axis=2)
    deviation = max(float((gray if inside is None else gray[inside]).std()), LEAST_DEVIATION)
    wide, amount = diameter(size, picture.shape), contrast * deviation
    for _ in range(_DRAWS):
        drawn = _drawn(exact, kind, wide, amount, rng, inside)
        if drawn is None:
            break
        pasted = _put(picture, exact, drawn)
        changed = (pasted != picture).any(axis=2)
        if inside is None:
            return pasted, changed
        kept = changed & inside
        if 2 * kept.sum() >= changed.sum():
            pasted[~inside] = picture[~inside]
            return pasted, kept
    return picture.copy(), np.zeros(picture.shape[:2], bool)


def _drawn(
    exact: np.ndarray, kind: str, wide: int, amount: float, rng: np.random.Generator, inside: np.ndarray | None
) -> Drawn | None:
    if kind in ("blur", "swap"):
        return _nearest(exact, kind, wide, amount, rng, inside)
    draw = {"scratch": _scratch, "spot": _spot, "missing": _missing, "texture": _texture}[kind]
    return draw(exact, _places(exact, wide, 1, rng, inside)[0], wide, amount, rng)


def _put(picture: np.ndarray, exact: np.ndarray, drawn: Drawn) -> np.ndarray:
    """The picture, which is `exact` in float32, with a mark in it; of the picture's own type."""
    content, weight, (top, left) = drawn
    window = np.s_[top : top + content.shape[0], left : left + content.shape[1]]
    marked = exact.copy()
    marked[window] += weight[..., np.newaxis] * (content - exact[window])
    marked = np.clip(marked, 0, 255)
    return marked if picture.dtype == np.float32 else np.rint(marked).astype(np.uint8)


def _check(picture: np.ndarray, kind: str, size: float, contrast: float) -> None:
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or min(picture.shape[:2]) < 16:
        raise ValueError(f"a picture of the shape {picture.shape} is not (height, width, 1 or 3) of 16 pixels or more")
    if picture.dtype not in (np.uint8, np.float32):
        raise ValueError(f"a picture of {picture.dtype} is neither uint8 nor float32")
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of defect: there are {', '.join(KINDS)}")
    if not 0 < size <= 0.5 or not 0 < contrast < np.inf:
        raise ValueError(f"size {size} must lie in (0, 0.5], contrast {contrast} above 0")


def _scratch(exact: np.ndarray, place: tuple[int, int], wide: int, amount: float, rng: np.random.Generator) -> Drawn:
    """A thin, slightly curved line that fades at its ends."""
    crop, corner = _window(exact, place, wide)
    width = max(1.0, 0.04 * wide) * rng.uniform(0.8, 1.4)
    direction, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1.0, 1.0)
    along = np.linspace(-0.5, 0.5, max(12, 2 * wide * _FINE))
    angles = direction + bend * along
    steps = np.stack([np.sin(angles), np.cos(angles)], axis=1) * wide / len(along)
    points = np.cumsum(steps, axis=0)
    points += np.subtract(place, corner) - points.mean(axis=0)
    canvas = Image.new("L", (crop.shape[1] * _FINE, crop.shape[0] * _FINE), 0)
    pen = ImageDraw.Draw(canvas)
    for (y, x), share in zip((points + 0.5) * _FINE, along, strict=True):
        radius = width * _FINE / 2 * (1 - (2 * share) ** 4 * 0.7)
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    return crop + _sign(crop, amount, rng) * amount, _reduced(canvas), corner


def _spot(exact: np.ndarray, place: tuple[int, int], wide: int, amount: float, rng: np.random.Generator) -> Drawn:
    """A stain or a glare: a blob whose edge is soft, in colour with a slight tint."""
    crop, corner = _window(exact, place, wide)
    tint = rng.uniform(0.9, 1.1, (crop.shape[2],)).astype(np.float32)
    change = _sign(crop, amount, rng) * amount * tint / tint.mean()
    return crop + change, _blob(crop.shape, np.subtract(place, corner), wide, 0.5, rng), corner


def _missing(exact: np.ndarray, place: tuple[int, int], wide: int, amount: float, rng: np.random.Generator) -> Drawn:
    """A chip: an angular piece without any structure, off its surroundings towards what is seen at the border."""
    crop, corner = _window(exact, place, wide)
    weight = _polygon(crop.shape, np.subtract(place, corner), wide, rng)
    around = crop[weight == 0]
    base = (around if len(around) else crop.reshape(-1, crop.shape[2])).mean(axis=0)
    towards = float(_border(exact).mean() - base.mean())
    if abs(towards) > amount / 2:  # the background shows through: not beyond its gray
        change = float(np.clip(towards, -amount, amount))
    else:
        change = _sign(crop, amount, rng) * amount
    grain = _grain(exact) * rng.standard_normal((*crop.shape[:2], 1))
    return np.asarray(base + change + grain, np.float32), weight, corner


def _texture(exact: np.ndarray, place: tuple[int, int], wide: int, amount: float, rng: np.random.Generator) -> Drawn:
    """A rough place, as of corrosion or dirt: grain of a size that grows with the place."""
    crop, corner = _window(exact, place, wide)
    grain = _smoothed(rng.standard_normal((*crop.shape[:2], 1)).astype(np.float32), wide // 16)
    grain = (grain - grain.mean()) / max(float(grain.std()), 1e-6)
    return crop + amount * grain, _blob(crop.shape, np.subtract(place, corner), wide, 0.25, rng), corner


def _nearest(
    exact: np.ndarray, kind: str, wide: int, amount: float, rng: np.random.Generator, inside: np.ndarray | None
) -> Drawn | None:
    """Of several blurs or swaps the one whose change is nearest to `amount`; None where none can be seen."""
    places = _places(exact, wide, _TRIES, rng, inside)
    sources = _places(exact, wide, _TRIES, rng, inside)
    best, least = None, np.inf
    for place, source in zip(places, sources, strict=True):
        crop, corner = _window(exact, place, wide)
        if kind == "blur":
            content = _smoothed(crop, max(1, round(wide * rng.uniform(0.05, 0.25))))
        else:
            content, _ = _window(exact, source, wide)
            if content.shape != crop.shape:
                continue
        weight = _blob(crop.shape, np.subtract(place, corner), wide, 0.25, rng)
        change = float(np.sqrt(((content - crop)[weight > 0.5] ** 2).mean())) if (weight > 0.5).any() else 0.0
        if change >= _LEAST_CHANGE and abs(change - amount) < least:
            best, least = (content, weight, corner), abs(change - amount)
    return best


def _places(
    exact: np.ndarray, wide: int, count: int, rng: np.random.Generator, inside: np.ndarray | None
) -> list[tuple[int, int]]:
    """Centres (row, column) at which a mark of this width fits into the picture, inside or hardly beside `inside`.

    The chance of a place grows with the structure around it and with how far it is from the gray of the border, which
    is the background where a part stands before one; a twentieth of it is left to the flattest place.
    """
    step = max(1, min(exact.shape[:2]) // 64)
    rows, columns = exact.shape[0] // step, exact.shape[1] // step
    gray = exact[: rows * step, : columns * step].mean(axis=2).reshape(rows, step, columns, step).mean(axis=(1, 3))
    mean = _smoothed(gray[..., np.newaxis], 2)[..., 0]
    spread = np.sqrt(np.maximum(_smoothed(gray[..., np.newaxis] ** 2, 2)[..., 0] - mean**2, 0))
    unit = max(float(gray.std()), 1.0)
    likely = 0.05 + np.minimum(spread / unit, 1) + np.minimum(np.abs(mean - _border(exact).mean()) / unit, 1)
    y, x = (np.arange(n) * step + step // 2 for n in (rows, columns))
    half = wide / 2
    fits = ((y >= half) & (y < exact.shape[0] - half))[:, np.newaxis] & ((x >= half) & (x < exact.shape[1] - half))
    where = np.ones((rows, columns))
    if inside is not None:
        blocks = inside[: rows * step, : columns * step].reshape(rows, step, columns, step)
        where = np.asarray(blocks.any(axis=(1, 3)), np.float64)
    chances = (likely * fits * where, where, np.ones((rows, columns)))
    likely = next(chance for chance in chances if chance.any()).ravel()
    chosen = rng.choice(rows * columns, count, p=likely / likely.sum())
    shift = rng.integers(0, step, (count, 2)) - step // 2
    last = np.subtract(exact.shape[:2], 1)
    centres = np.stack([y[chosen // columns], x[chosen % columns]], axis=1) + shift
    return [(int(row), int(column)) for row, column in np.clip(centres, 0, last)]


def _window(exact: np.ndarray, place: tuple[int, int], wide: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The pixels around a place, with a margin, as far as the picture goes, and where they begin."""
    half = wide // 2 + max(3, wide // 8)
    top, left = max(0, place[0] - half), max(0, place[1] - half)
    return exact[top : place[0] + half + 1, left : place[1] + half + 1].copy(), (top, left)


def _blob(
    shape: tuple[int, ...], centre: np.ndarray, wide: int, softness: float, rng: np.random.Generator
) -> np.ndarray:
    """Weights (h, w) of an irregular round, 1 inside and 0 outside; the edge takes the share `softness` of the way."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = y - centre[0], x - centre[1]
    angle = np.arctan2(y, x)
    outline = np.full(shape[:2], 1.0)
    for wave in (2, 3, 5):
        outline += rng.uniform(0, 0.16) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    far = np.hypot(y, x) / (wide / 2 * np.clip(outline, 0.6, 1.15) + 0.25)
    inner = np.clip((1 - far) / softness, 0, 1)
    return (inner * inner * (3 - 2 * inner)).astype(np.float32)


def _polygon(shape: tuple[int, ...], centre: np.ndarray, wide: int, rng: np.random.Generator) -> np.ndarray:
    """Weights (h, w) of an angular piece, 1 inside and 0 outside."""
    corners = int(rng.integers(5, 9))
    angles = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * 2 * np.pi / corners + rng.uniform(0, 2 * np.pi)
    radii = wide / 2 * rng.uniform(0.6, 1.1, corners)
    points = [
        ((centre[1] + 0.5 + r * np.cos(a)) * _FINE, (centre[0] + 0.5 + r * np.sin(a)) * _FINE)
        for a, r in zip(angles, radii, strict=True)
    ]
    canvas = Image.new("L", (shape[1] * _FINE, shape[0] * _FINE), 0)
    ImageDraw.Draw(canvas).polygon(points, fill=255)
    return _reduced(canvas)


def _reduced(canvas: Image.Image) -> np.ndarray:
    return np.asarray(canvas.reduce(_FINE), np.float32) / 255


def _smoothed(values: np.ndarray, radius: int) -> np.ndarray:
    """(h, w, c) after three means over squares of 2 * radius + 1, nearly a Gaussian; edges are repeated."""
    if radius < 1:
        return values
    for _ in range(3):
        for axis in (0, 1):
            n = values.shape[axis]
            padded = np.take(values, np.clip(np.arange(-radius - 1, n + radius), 0, n - 1), axis=axis)
            sums = np.cumsum(padded, axis=axis, dtype=np.float64)
            upper = np.take(sums, np.arange(n) + 2 * radius + 1, axis=axis)
            values = ((upper - np.take(sums, np.arange(n), axis=axis)) / (2 * radius + 1)).astype(np.float32)
    return values


def _sign(crop: np.ndarray, amount: float, rng: np.random.Generator) -> float:
    """Darker or brighter, at random where there is room for both."""
    sign, gray = float(rng.choice([-1.0, 1.0])), float(crop.mean())
    room = 255 - gray if sign > 0 else gray
    return sign if room >= amount or room >= 127.5 else -sign


def _border(exact: np.ndarray) -> np.ndarray:
    """The colour (c,) that is usual at the border of a picture."""
    frame = np.concatenate([exact[0], exact[-1], exact[:, 0], exact[:, -1]])
    return np.median(frame, axis=0)


def _grain(exact: np.ndarray) -> float:
    """Standard deviation of the noise, from the differences of neighbours (robust, after Donoho, Johnstone 1994)."""
    gray = exact.mean(axis=2)
    # Along a grain of the surface, there is only noise.
    difference = min(float(np.median(np.abs(np.diff(gray, axis=axis)))) for axis in (0, 1))
    return difference / (0.6745 * np.sqrt(2))
