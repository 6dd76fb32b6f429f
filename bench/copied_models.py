"""One model under many names: fitted once, each copy a bundle of its own with another hash."""

import os
import subprocess
from pathlib import Path

from bench.long_run import oddlot
from db import models
from db.engine import open_database
from ganomaly.bundle import SHEET, open_bundle, read_golden, write_bundle
from oddlot.settings import load_settings
from pictures.drawing import draw_set


def fit_and_copy(environ: dict[str, str], folder: Path, count: int) -> list[str]:
    """Fit the model of default settings on drawn parts, and register `count` copies; their names."""
    draw_set(folder / "drawn", good_train=60, good_test=60, defects=1, seed=1)
    fit = oddlot("fit", "part", folder / "drawn" / "train" / "good", "--force")
    subprocess.run(fit, env=os.environ | environ, check=True, capture_output=True)
    settings = load_settings(environ)
    engine = open_database(settings.database_url)
    row = models.get_model(engine, "part")
    source = settings.model_store / row.bundle_uri
    bundle = open_bundle(source)
    names = [f"part-{number:03}" for number in range(count)]
    for name in names:
        sha256 = write_bundle(
            settings.model_store / name / "1", detector=bundle.detector, calibration=bundle.calibration,
            preprocessing=bundle.preprocessing, card={**bundle.card, "name": name}, golden=read_golden(source),
            sheet=(source / SHEET).read_bytes(),
        )  # fmt: skip
        models.register_model(
            engine, name=name, bundle_uri=f"{name}/1", bundle_sha256=sha256, architecture=row.architecture,
            threshold=row.threshold, false_alarms=row.false_alarms, card=row.card,
        )  # fmt: skip
    engine.dispose()
    return names
