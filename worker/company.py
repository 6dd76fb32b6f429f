"""How a picture looks beside the pictures before it in its batch, and beside those that its model knows."""

import math
from typing import Any

import numpy as np

from oddlot.appearance import NEAREST, NEIGHBOURS, PLACES, read_reference
from pictures.appearance import Appearance, centred, difference, standardised


class Company:
    """The pictures of a batch, in their order, as far as they were looked at, in runs of 64 as at the training."""

    def __init__(self, card: dict[str, Any]) -> None:
        reference = read_reference(card)
        self._usual = None
        if reference is not None:
            usual = np.array(reference.thumbnail, np.float32)
            self._usual = usual / max(float(np.sqrt((usual**2).sum())), 1e-6)
        self._run = np.zeros((NEIGHBOURS, PLACES), np.float32)
        self._met = 0

    @np.errstate(all="ignore")
    def figures(self, look: Appearance) -> dict[str, float | None]:
        """The figures of the next picture by the names of `oddlot.appearance`; None for what cannot be told."""
        found: dict[str, float] = {
            name: getattr(look, name)
            for name in ("brightness", "contrast", "sharpness", "red", "blue", "width", "height")
        }
        if self._usual is not None:
            found["likeness"] = 100 * float(standardised(look.thumbnail) @ self._usual)
        at = self._met % NEIGHBOURS
        self._run[at] = centred(look.thumbnail)
        if at:
            found[NEAREST] = float(difference(self._run[at], self._run[:at]).min())
        self._met += 1
        return {name: value if math.isfinite(value) else None for name, value in found.items()}
