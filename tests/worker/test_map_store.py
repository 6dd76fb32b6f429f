"""Heat maps of a batch: there for what is flagged, before its results are, and never worth a night."""

from dataclasses import replace

import numpy as np
import pytest
from shop import register, work_off

from db import batches, jobs, sweeping
from db.items import get_item
from db.results import ResultFilter, iter_results
from ganomaly.bundle import Bundle
from ganomaly.calibration import Calibration
from ganomaly.scoring import Scores
from oddlot.processes import identity
from pictures.heatmap import unpack_heat
from worker import inspection
from worker.map_store import MapWriter, read_map
from worker.submission import Submission, submit


@pytest.fixture
def settings(locating_settings):
    return locating_settings


@pytest.fixture
def job(locating_job):
    return locating_job


def details(engine, job):
    return [get_item(engine, row["item"]) for row in iter_results(engine, ResultFilter(job_id=job.id))]


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_flagged_items_have_a_map_as_hot_as_their_score(engine, settings, job):
    settings = replace(settings, audit_items=0)
    work_off(engine, settings, job.id)
    found = details(engine, job)
    assert 0 < sum(detail.flagged for detail in found) < len(found) == 20
    for detail in found:
        assert (detail.map_uri is not None) == detail.flagged
        if detail.flagged:
            heat = unpack_heat(read_map(settings.map_store, detail.map_uri))
            assert heat.max() == pytest.approx(detail.score, abs=2e-5)
    assert set(files_in(settings.map_store)) == {detail.map_uri for detail in found if detail.flagged}


def test_a_store_that_cannot_be_written_costs_the_maps_and_not_the_results(engine, settings, job, logs, tmp_path):
    (tmp_path / "maps").write_text("not a folder")
    settings = replace(settings, map_store=tmp_path / "maps")
    work_off(engine, settings, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.scored, done.unaccounted) == (20, 0)
    assert done.flagged > 0
    assert all(detail.map_uri is None for detail in details(engine, job))
    warnings = [log for log in logs if log["log_level"] == "warning"]
    assert len(warnings) <= 2  # one a batch, however many are flagged
    assert str(settings.map_store) in warnings[0]["store"]


def test_late_results_leave_files_and_no_rows_and_the_next_attempt_writes_the_same(engine, settings, job, monkeypatch):
    """As of a worker that was killed, or frozen, between its maps and its results."""
    real = batches.finish_batch

    def too_late(engine, claim, outcomes, **where):
        sweeping.expire_leases(engine, identity())
        sweeping.sweep(engine, max_attempts=settings.max_attempts)
        return real(engine, claim, outcomes, **where)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "finish_batch", too_late)
        inspection.inspect_batch(engine, settings, job.id, 1)
    orphans = files_in(settings.map_store)
    assert orphans
    assert all(detail.map_uri is None for detail in details(engine, job))
    work_off(engine, settings, job.id)
    written = files_in(settings.map_store)
    assert orphans.items() <= written.items()
    assert set(written) == {detail.map_uri for detail in details(engine, job) if detail.map_uri is not None}


def test_a_map_is_there_whole_or_not_at_all(tmp_path):
    (tmp_path / "3" / "7.png").mkdir(parents=True)  # cannot be replaced by a file
    writer = MapWriter(tmp_path, 3)
    assert writer.write(7, b"new") is None
    assert writer.write(8, b"new") is None
    assert files_in(tmp_path) == {}
    again = MapWriter(tmp_path, 3)
    assert again.write(8, b"old") == again.write(8, b"new") == "3/8.png"
    assert files_in(tmp_path) == {"3/8.png": b"new"}


def test_a_model_whose_maps_have_no_scale_scores_without_them(engine, settings, store, lot):
    register(engine, store[1])
    settings = replace(settings, model_store=store[0])
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    assert jobs.get_job(engine, job.id).scored == 20
    assert all(detail.map_uri is None for detail in details(engine, job))


def test_a_scale_that_cannot_be_one_costs_the_maps_and_not_the_results(engine, settings, trained, lot, tmp_path):
    """The score of the paper, whose maps have a scale of their own on the card, which may come from anywhere."""
    card = {"map_scale": {"threshold": 1.0, "unit": 1e-320}}
    wary = Calibration.fit(trained.calibration.scores, 0.9)
    sha256 = trained.write(tmp_path / "store" / "flange" / "1", card=card, calibration=wary)
    register(engine, sha256)
    settings = replace(settings, model_store=tmp_path / "store")
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.scored, done.quarantined) == (20, 0)
    assert done.flagged > 0
    assert all(detail.map_uri is None for detail in details(engine, job))


def test_a_map_that_is_no_number_costs_that_map_alone(trained, tmp_path):
    scores = Scores(np.ones(2), {}, np.stack([np.full((4, 4), np.inf), np.ones((4, 4))]).astype(np.float32))
    card = {"map_scale": {"threshold": 1.0, "unit": 1.0}}
    bundle = Bundle(trained.detector, trained.calibration, {}, card, "")
    stored = inspection._store_maps(bundle, scores, np.arange(2), [7, 8], MapWriter(tmp_path, 1))
    assert stored == {1: "1/8.png"}
