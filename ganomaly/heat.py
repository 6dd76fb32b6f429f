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

ANCHOR = "map_anchor"
"""Key on the card: what the largest value of a map is at the model's false-alarm rate."""


def map_anchor(largest: NDArray[np.float64], false_alarms: float) -> float:
    """The threshold that the largest values (n,) of the calibration pictures' maps would have at that rate."""
    return Calibration.fit(largest, false_alarms).threshold


def heat(bundle: "Bundle", maps: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Heat of maps (n, height, width) of the bundle's detector: same shape, strictly between 0 and 1.

    Where the raw score is taken from the map, a place's value is a raw score: the largest heat of a picture is its
    score. The latent score of the paper has no places: there 0.5 is the anchor of the card, and None is returned where
    the card has none, being older. Raises ValueError where a value is not finite.
    """
    if bundle.detector.config.score != "latent":
        return bundle.calibration.normalise(maps)
    anchor = _anchor(bundle.card)
    if anchor is None:
        return None
    # Ratios: the map is to its anchor as the heat's raw score is to the threshold.
    return bundle.calibration.normalise(np.asarray(maps, np.float64) * (bundle.calibration.threshold / anchor))


def _anchor(card: dict[str, Any]) -> float | None:
    value = card.get(ANCHOR)
    return value if type(value) is float and 0 < value < math.inf else None
