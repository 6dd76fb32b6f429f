"""Models and jobs in a database, without pictures behind them."""

from collections.abc import Callable

import pytest
from making import files, open_job
from sqlalchemy import Engine

from db import listing, models
from db.jobs import JobRow
from db.models import ModelRow


@pytest.fixture
def register(engine: Engine) -> Callable[..., ModelRow]:
    def register_one(name: str = "flange", **values: object) -> ModelRow:
        shown = {
            "bundle_uri": "flange/1", "bundle_sha256": "0" * 64, "architecture": "paper", "threshold": 0.25,
            "false_alarms": 0.01, "card": {"note": "Größe µ"},
        }  # fmt: skip
        return models.register_model(engine, name=name, **(shown | values))

    return register_one


@pytest.fixture
def model(register: Callable[..., ModelRow]) -> ModelRow:
    return register()


@pytest.fixture
def submit(engine: Engine, model: ModelRow) -> Callable[..., JobRow]:
    """A listed job of `count` items in batches of `batch_size`."""

    def submit_one(count: int = 10, batch_size: int = 4, model: ModelRow = model, **values: object) -> JobRow:
        job_id = open_job(engine, model, **values)
        listing.add_items(engine, job_id, files(count), 1, batch_size)
        return listing.close_listing(engine, job_id, found=count, seen_before=0, left_out={}, deferred=[])

    return submit_one
