"""Detectors that were not trained and are not as they began either."""

import numpy as np

from ganomaly.config import Config
from ganomaly.detector import Detector
from ganomaly.gan import GANomaly


def disturbed(config: Config, seed: int = 2) -> Detector:
    """A detector whose every weight and moving statistic is away from where it began."""
    rng = np.random.default_rng(seed + 3)
    models = [GANomaly(config, seed=seed, scale=scale) for scale in range(config.scales)]
    arrays = {}
    for name, array in sorted(Detector.from_models(*models).weights().items()):
        factors = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        arrays[name] = array * factors if array.any() else (factors - 1) / 10
    return Detector.from_weights(config, arrays)
