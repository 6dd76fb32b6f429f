"""A small trained detector and its bundle, made once a session; tests that change a bundle take a copy."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ganomaly.bundle import write_bundle
from ganomaly.calibration import Calibration

PREPROCESSING = {"size": 32, "channels": 1, "depth": 8, "window": [0.0, 1.0], "canvas": None, "region": None}
CARD = {"name": "flange", "note": "Größe µ"}
SHEET = b"no picture, and nobody looks"


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 1), dtype=np.uint8)


@pytest.fixture(scope="session")
def detector():
    from ganomaly.config import paper
    from ganomaly.training import train

    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 32, 1), dtype=np.uint8)
    return train(pixels[:24], pixels[24:], paper(32, 1), seed=0, epochs=1).detector


@pytest.fixture(scope="session")
def calibration(detector, pictures) -> Calibration:
    return Calibration.fit(detector.score(pictures, maps=False).raw, 0.05)


@pytest.fixture(scope="session")
def written(tmp_path_factory, detector, calibration, pictures) -> tuple[Path, str]:
    """A bundle and its hash; tests that change one take `bundle`."""
    folder = tmp_path_factory.mktemp("store") / "flange" / "1"
    sha256 = write_bundle(
        folder,
        detector=detector,
        calibration=calibration,
        preprocessing=PREPROCESSING,
        card=CARD,
        golden=pictures[:3],
        sheet=SHEET,
    )
    return folder, sha256


@pytest.fixture
def bundle(written, tmp_path) -> Path:
    return Path(shutil.copytree(written[0], tmp_path / "bundle"))
