"""The sheet that a person looks at: the picture, the same again under its heat, and what the colours mean."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pictures.decoding import Decoded
from pictures.heatmap import COLD, HOTTEST, THRESHOLD, Box, Heat, colours, covered, peak, place_box
from pictures.region import Region

PANEL = 640
"""Longer side of each of the two pictures, in pixels; small pictures are enlarged to it, large ones reduced."""
MARGIN = 16
WIDE = 1.6
"""From this ratio of width to height on, the two stand one above the other."""
_GROUND, _INK, _FAINT = (24, 24, 27), (235, 235, 235), (160, 160, 165)
_BAR_HEIGHT, _BAR_GROUND = 18, (120, 120, 120)
_LEAST_RING = 0.035
"""Smallest radius of the ring around the peak, as a share of the panel."""

Pixels = NDArray[np.uint8]


def as_seen(decoded: Decoded, window: tuple[float, float] = (0.0, 1.0)) -> Pixels:
    """The upright picture at its full size for the screen, (height, width, 3) uint8, `window` stretched as the model
    sees it."""
    pixels = decoded.pixels
    if decoded.full_scale != 255.0 or window != (0.0, 1.0):
        low, high = (bound * decoded.full_scale for bound in window)
        pixels = np.clip((pixels.astype(np.float32) - low) * (255.0 / (high - low)), 0.0, 255.0).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).convert("RGB"))


def draw_sheet(picture: Pixels | None, heat: Heat, caption: str, region: Region | None = None) -> Image.Image:
    """Left (or above) `picture` (height, width, 3), right (or below) the same under the colours of `heat`, its hottest
    place ringed; then `caption` and the scale of the colours. The heat covers `region`, None for
    all of it. Without a picture the heat stands alone, on gray."""
    height, width = picture.shape[:2] if picture is not None else heat.shape
    above = picture is not None and width > WIDE * height
    scale = (2 * PANEL + MARGIN if above else PANEL) / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    plain = _fitted(picture, size) if picture is not None else Image.new("RGB", size, _BAR_GROUND)
    panels = [_under_heat(plain, heat, None)] if picture is None else [plain, _under_heat(plain, heat, region)]
    step_x, step_y = (0, size[1] + MARGIN) if above else (size[0] + MARGIN, 0)
    last = len(panels) - 1
    sheet_width = max(last * step_x + size[0], PANEL // 2) + 2 * MARGIN
    sheet = Image.new("RGB", (sheet_width, last * step_y + size[1] + 2 * MARGIN + 100), _GROUND)
    for number, panel in enumerate(panels):
        sheet.paste(panel, (MARGIN + number * step_x, MARGIN + number * step_y))
    pen = ImageDraw.Draw(sheet)
    bottom = MARGIN + last * step_y + size[1] + MARGIN
    pen.text((MARGIN, bottom), caption, _INK, ImageFont.load_default(16))
    _legend(sheet, pen, bottom + 32)
    return sheet


def _fitted(picture: Pixels, size: tuple[int, int]) -> Image.Image:
    enlarged = size[0] > picture.shape[1]
    # Enlarged, the pixels should be seen; reduced, none should be lost.
    return Image.fromarray(picture).resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX)


def _under_heat(plain: Image.Image, heat: Heat, region: Region | None) -> Image.Image:
    whole = covered(*plain.size, region)
    left, top = round(whole.left), round(whole.top)
    size = max(1, round(whole.right) - left), max(1, round(whole.bottom) - top)
    # Linear, because any smoother filter overshoots and would paint a place hotter than it is.
    spread = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    under = plain.convert("RGBA")
    under.alpha_composite(Image.fromarray(colours(spread)), (left, top))
    hot = under.convert("RGB")
    _ring(hot, place_box(*peak(heat), heat.shape, *plain.size, region))
    return hot


def _ring(panel: Image.Image, place: Box) -> None:
    pen = ImageDraw.Draw(panel)
    x, y = place.center
    least = _LEAST_RING * PANEL
    reach_x, reach_y = max(0.75 * (place.right - place.left), least), max(0.75 * (place.bottom - place.top), least)
    for grow, colour, line in ((2, (0, 0, 0), 6), (0, (255, 255, 255), 2)):
        corners = [x - reach_x - grow, y - reach_y - grow, x + reach_x + grow, y + reach_y + grow]
        pen.ellipse(corners, outline=colour, width=line)


def _legend(sheet: Image.Image, pen: ImageDraw.ImageDraw, top: int) -> None:
    """The colours from cold to hot, with a mark at the threshold."""
    left, length = MARGIN, min(sheet.width - 2 * MARGIN, PANEL)
    bar = Image.new("RGBA", (length, _BAR_HEIGHT), (*_BAR_GROUND, 255))
    scale = np.broadcast_to(colours((np.arange(length) + 0.5) / length), (_BAR_HEIGHT, length, 4))
    bar.alpha_composite(Image.fromarray(np.ascontiguousarray(scale)))
    sheet.paste(bar.convert("RGB"), (left, top))
    font = ImageFont.load_default(12)
    marks = {COLD: "median of good", THRESHOLD: "threshold", HOTTEST: "0.9 and more"}
    for value, word in marks.items():
        x, strong = left + value * length, value == THRESHOLD
        pen.line([x, top - 4, x, top + _BAR_HEIGHT + 4], _INK if strong else _FAINT, 3 if strong else 1)
        pen.text((x, top + _BAR_HEIGHT + 6), word, _INK if strong else _FAINT, font, anchor="ma")
