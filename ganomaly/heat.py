"""Heat: how far every place of a picture is from the threshold, on a scale that is the same for all pictures.

The scale is that of the scores: 0.5 exactly at the threshold, 0.25 at the median of the calibration pictures. It is
never stretched to one picture, so that two heat maps of a model can be compared, and a good picture stays cold.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganomaly.calibration import Calibration

if TYPE_CHECKING:
    from ganomaly.bundle import Bundle

MAP_SCALE = "map_scale"
"""Key on the card: the threshold that the largest values of maps have, and the way to it from their median."""

LEAST_UNIT = 1e-30
"""Shorter than the way of any float32 map: what a card says below it is no scale."""


def map_scale(largest: NDArray[np.float64], false_alarms: float) -> dict[str, float]:
    """How the largest values (n,) of the calibration pictures' maps lie, at that rate; for the card."""
    calibration = Calibration.fit(largest, false_alarms)
    return {"threshold": calibration.threshold, "unit": calibration.scale}


def heat(bundle: "Bundle", maps: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Heat of maps (n, height, width) of the bundle's detector: same shape, strictly between 0 and 1.

    Where the raw score is taken from the map, a place's value is a raw score: the largest heat of a picture is its
    score. The latent score of the paper has no places: there the scale is that of the card, and None is returned where
    the card has none that can be used. Raises ValueError where a value is not finite.
    """
    calibration = bundle.calibration
    if bundle.detector.config.score != "latent":
        return calibration.normalise(maps)
    scale = _scale(bundle.card)
    if scale is None:
        return None
    threshold, unit = scale
    most = np.finfo(np.float64).max
    with np.errstate(over="ignore"):  # a card that was carried here may have any threshold
        values = (np.asarray(maps, np.float64) - threshold) / unit * calibration.scale
        return calibration.normalise(np.clip(calibration.threshold + values, -most, most))


def _scale(card: dict[str, Any]) -> tuple[float, float] | None:
    """The card's scale; a card may come from elsewhere, so what cannot be one counts as none."""
    values = card.get(MAP_SCALE)
    if not isinstance(values, dict):
        return None
    threshold, unit = values.get("threshold"), values.get("unit")
    if type(threshold) is not float or type(unit) is not float:
        return None
    return (threshold, unit) if math.isfinite(threshold) and LEAST_UNIT <= unit < math.inf else None
