"""The synthetic defects of a fit as one picture for people: kinds below one another, sizes side by side."""

import io

import numpy as np
from PIL import Image, ImageDraw

CELL = 160
_FRAME, _GAP, _LEFT, _TOP = 4, 4, 76, 20
_PAPER, _INK, _FLAGGED, _MISSED = (255, 255, 255), (0, 0, 0), (0, 160, 60), (210, 30, 30)


def contact_sheet(rows: list[str], columns: list[str], cells: dict[tuple[int, int], tuple[np.ndarray, bool]]) -> bytes:
    """A PNG; `cells` has by (row, column) a picture (h, w, c), uint8 or float32 in 0..255, and whether it is flagged.

    Its frame is green where it is, else red. A cell that is not there stays empty.
    """
    pitch = CELL + 2 * _FRAME + _GAP
    sheet = Image.new("RGB", (_LEFT + pitch * len(columns), _TOP + pitch * len(rows)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, text in enumerate(rows):
        pen.text((4, _TOP + row * pitch + pitch // 2), text, fill=_INK)
    for column, text in enumerate(columns):
        pen.text((_LEFT + column * pitch + _FRAME, 4), text, fill=_INK)
    for (row, column), (pixels, flagged) in cells.items():
        left, top = _LEFT + column * pitch, _TOP + row * pitch
        box = [left, top, left + CELL + 2 * _FRAME - 1, top + CELL + 2 * _FRAME - 1]
        pen.rectangle(box, fill=_FLAGGED if flagged else _MISSED)
        sheet.paste(_shown(pixels), (left + _FRAME, top + _FRAME))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _shown(pixels: np.ndarray) -> Image.Image:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    image = Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).convert("RGB")
    return image.resize((CELL, CELL), Image.Resampling.LANCZOS)
