"""A home with a small model in it, made once; each test gets a copy and runs `oddlot` in it as a user would."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile import Home, draw

from db import models
from db.engine import open_database
from ganomaly.bundle import write_bundle
from ganomaly.calibration import Calibration
from ganomaly.transport import export_bundle

PREPROCESSING = {"size": 32, "channels": 1, "depth": 8, "window": [0.0, 1.0], "canvas": None, "region": None}


@pytest.fixture(scope="session")
def fitted(tmp_path_factory) -> Path:
    """A home with an active model `flange` that has seen noise only, and its bundle as the file `flange.oddlot`."""
    from ganomaly.config import paper
    from ganomaly.training import train

    home = tmp_path_factory.mktemp("fitted") / "home"
    pixels = np.random.default_rng(1).integers(0, 256, (48, 32, 32, 1), dtype=np.uint8)
    small = replace(paper(32, 1), width=8, latent=12)
    detector = train(pixels[:16], pixels[16:24], small, seed=0, epochs=1).detector
    calibration = Calibration.fit(detector.score(pixels[24:], maps=False).raw, 0.1)
    bundle = home / "models" / "flange" / "1"
    sha256 = write_bundle(
        bundle, detector=detector, calibration=calibration, preprocessing=PREPROCESSING, card={"name": "flange"},
        golden=pixels[:3], sheet=b"no picture, and nobody looks",
    )  # fmt: skip
    export_bundle(bundle, home / "flange.oddlot")
    engine = open_database(f"sqlite:///{home}/oddlot.db")
    models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256=sha256, architecture="paper",
        threshold=calibration.threshold, false_alarms=0.1, card={},
    )  # fmt: skip
    engine.dispose()
    return home


@pytest.fixture
def home(fitted, tmp_path) -> Home:
    return Home(Path(shutil.copytree(fitted, tmp_path / "home")))


@pytest.fixture
def lot(tmp_path) -> Path:
    """A folder of 24 pictures."""
    folder = tmp_path / "lot"
    folder.mkdir()
    for seed in range(24):
        draw(folder / f"{seed:03}.png", seed)
    return folder
