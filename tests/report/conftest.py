"""A home with a model, and a night of drawn pictures in it."""

from pathlib import Path

import pytest
from finished_jobs import draw_lot, finished_job, some_model

from db.jobs import JobRow
from db.models import ModelRow
from oddlot.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home")})


@pytest.fixture
def model(engine) -> ModelRow:
    return some_model(engine)


@pytest.fixture
def night(engine, model, settings, tmp_path) -> JobRow:
    """Five pictures, two of them flagged, and one file that is none."""
    names = ["good-1.png", "odd-1.png", "good-2.png", "odd-2.png", "good-3.png", "notes.txt"]
    folder = tmp_path / "lot"
    paths = draw_lot(folder, names)
    Path(paths[-1]).write_text("not a picture")
    scores = [0.1, 0.9, 0.2, 0.7, 0.3, "not a picture of a known format"]
    return finished_job(engine, model, scores, paths=paths, map_store=settings.map_store, source=str(folder))
