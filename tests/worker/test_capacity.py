"""What a machine can inspect is measured with what is here, and a process that cannot is no figure."""

from dataclasses import replace

import pytest
from shop import ONE_DATABASE

from db import models
from oddlot.errors import OddlotError
from worker.capacity import latest_pictures, measure
from worker.submission import Submission, submit

BLINK = 0.2
"""Seconds: what is measured does not matter here."""


@ONE_DATABASE
def test_without_a_job_only_the_scoring_is_measured(engine, settings, model):
    found = measure(engine, replace(settings, concurrency=2), models.get_model(engine, "flange"), BLINK)
    assert (found.processes, found.files) == (2, 0)
    assert found.rate > 0
    assert 0 < found.a_night <= found.rate * 8 * 3600


@ONE_DATABASE
def test_pictures_of_the_latest_job_that_are_still_there_are_read(engine, settings, model, lot):
    submit(engine, settings, Submission(model="flange", folder=lot))
    listed = sorted(path for path in lot.rglob("*") if path.is_file())
    assert sorted(latest_pictures(engine, "flange")) == [str(path) for path in listed]
    listed[0].unlink()
    found = measure(engine, replace(settings, concurrency=1), models.get_model(engine, "flange"), BLINK)
    assert found.files == len(listed) - 1


@ONE_DATABASE
def test_a_model_that_cannot_be_loaded_is_one_line(engine, settings, model):
    row = replace(models.get_model(engine, "flange"), bundle_sha256="0" * 64)
    with pytest.raises(OddlotError, match=r"the capacity cannot be measured: the bundle .* is refused"):
        measure(engine, settings, row, BLINK)
