"""A small trained model, its store, and a queue: made once; databases and folders are each test's own."""

import shutil
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import draw, register
from structlog.testing import capture_logs

from db.jobs import JobRow
from db.models import ModelRow
from ganomaly.bundle import write_bundle
from ganomaly.calibration import Calibration
from oddlot.settings import Settings, load_settings
from pictures.preprocessing import Preprocessing
from pictures.reading import read_picture
from worker import scoring_process, submission

PREPROCESSING = {"size": 32, "channels": 1, "depth": 8, "window": [0.0, 1.0], "canvas": None, "region": None}


@dataclass(frozen=True)
class Trained:
    """A detector with its calibration, of which a test can write the bundle that it needs."""

    detector: Any
    calibration: Calibration
    golden: np.ndarray

    def write(self, folder: Path, **other: Any) -> str:
        parts = {
            "detector": self.detector, "calibration": self.calibration, "preprocessing": PREPROCESSING,
            "card": {"name": "flange"}, "golden": self.golden,
            "sheet": b"no picture, and nobody looks",
        }  # fmt: skip
        return write_bundle(folder, **(parts | other))


@pytest.fixture(scope="session")
def trained() -> Trained:
    from ganomaly.config import paper
    from ganomaly.training import train

    pixels = np.random.default_rng(1).integers(0, 256, (48, 32, 32, 1), dtype=np.uint8)
    detector = train(pixels[:16], pixels[16:24], paper(32, 1), seed=0, epochs=1).detector
    calibration = Calibration.fit(detector.score(pixels[24:], maps=False).raw, 0.1)
    return Trained(detector, calibration, pixels[:3])


@pytest.fixture(scope="session")
def store(trained, tmp_path_factory) -> tuple[Path, str]:
    """A model store with the bundle `flange/1` in it, and the bundle's hash."""
    folder = tmp_path_factory.mktemp("store")
    return folder, trained.write(folder / "flange" / "1")


@pytest.fixture(scope="session")
def locating(trained, tmp_path_factory) -> tuple[Path, str]:
    """A store with a model whose score is the largest value of its map, and which flags half of what it sees."""
    from ganomaly.detector import Detector

    config = replace(trained.detector.config, score="residual")
    detector = Detector.from_weights(config, trained.detector.weights())
    folder = tmp_path_factory.mktemp("locating")
    seen = []
    for seed in range(100, 120):
        draw(folder / "good.png", seed)
        path, preprocessing = str(folder / "good.png"), Preprocessing.from_dict(PREPROCESSING)
        seen.append(read_picture(path, preprocessing, max_pixels=10**6, max_file_bytes=10**6).pixels)
    calibration = Calibration.fit(detector.score(np.stack(seen)).raw, 0.5)
    return folder, trained.write(folder / "flange" / "1", detector=detector, calibration=calibration)


@pytest.fixture
def locating_settings(variables, locating) -> Settings:
    return load_settings(variables | {"ODDLOT_MODEL_STORE": str(locating[0])})


@pytest.fixture
def locating_job(engine, locating_settings, locating, lot) -> JobRow:
    """The lot, submitted to that model; nothing of it is inspected yet."""
    register(engine, locating[1])
    return submission.submit(engine, locating_settings, submission.Submission(model="flange", folder=lot))


@pytest.fixture
def own_store(store, tmp_path) -> Path:
    """A copy of the store, for tests that do harm to it; nothing of it is loaded yet."""
    return Path(shutil.copytree(store[0], tmp_path / "store"))


@pytest.fixture
def nothing_loaded(monkeypatch) -> None:
    """As in a process that has just been forked."""
    monkeypatch.setattr(scoring_process, "_models", OrderedDict())


@pytest.fixture
def variables(store, tmp_path) -> dict[str, str]:
    """The environment of this test's workers, but for the address of the database."""
    return {
        "ODDLOT_HOME": str(tmp_path / "home"),
        "ODDLOT_MODEL_STORE": str(store[0]),
        "ODDLOT_SETTLE_SECONDS": "0",
        "ODDLOT_BATCH_SIZE": "16",
    }


@pytest.fixture
def settings(variables) -> Settings:
    return load_settings(variables)


@pytest.fixture
def model(engine, store) -> ModelRow:
    return register(engine, store[1])


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What was logged. Unasked, too: shown with a traceback and all its variables, an error takes a second."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def lot(tmp_path) -> Path:
    """A folder of 20 pictures."""
    folder = tmp_path / "lot 7"
    folder.mkdir()
    for i in range(20):
        draw(folder / f"{i:03}.png", seed=i)
    return folder


@pytest.fixture
def job(engine, settings, model, lot) -> JobRow:
    """`lot`, submitted: two batches, of 16 and of 4."""
    return submission.submit(engine, settings, submission.Submission(model="flange", folder=lot))
