"""The folder goes away or changes while it is inspected; the bundle goes away or is another one."""

import os
import shutil

import pytest

from db import jobs
from oddlot.words import ItemState, JobState

pytestmark = pytest.mark.faults


@pytest.fixture
def own_lot(plant, tmp_path):
    """The pictures under another address."""
    folder = tmp_path / "night"
    shutil.copytree(plant.lot, folder)
    return folder


def test_a_folder_that_vanishes_and_comes_back(plant, own_lot, tmp_path):
    plant.start_worker()
    job = plant.submit(own_lot)
    plant.await_progress(job.id, 3)
    own_lot.rename(tmp_path / "unplugged")
    done = plant.await_end(job.id)
    assert (done.state, done.unaccounted) == (JobState.DONE, 0)
    plant.check_counts(job.id)
    lost = {name for name, row in plant.results(job.id).items() if row != plant.expected[name]}
    assert 0 < len(lost) < len(plant.expected)
    reasons = {plant.results(job.id)[name][3] for name in lost}
    assert reasons <= {"the file is not there any more", "the link leads out of the submitted folder"}
    (tmp_path / "unplugged").rename(own_lot)
    plant.run("retry", job.id)
    plant.check(job.id)


def test_files_that_change_while_their_folder_is_inspected(plant, own_lot):
    plant.start_worker()
    job = plant.submit(own_lot)
    plant.await_progress(job.id, 3)
    names = sorted(name for name, row in plant.expected.items() if row[0] == ItemState.SCORED)
    rewritten, deleted, replaced = names[1::20], names[2::20], names[3::20]
    for name in rewritten:
        (own_lot / name).write_bytes((own_lot / names[0]).read_bytes())
    for name in deleted:
        (own_lot / name).unlink()
    for name in replaced:
        (own_lot / name).unlink()
        os.mkfifo(own_lot / name)
    done = plant.await_end(job.id)
    assert (done.state, done.quarantined, done.unaccounted) == (JobState.DONE, 0, 0)
    plant.check_counts(job.id)
    found = plant.results(job.id)
    differing = {name: row for name, row in found.items() if row != plant.expected[name]}
    assert differing
    assert set(differing) <= {*rewritten, *deleted, *replaced}
    assert {row[0] for row in differing.values()} == {ItemState.UNREADABLE}
    assert all(row[3] for row in differing.values())
    plant.check_nothing_is_held()


@pytest.mark.parametrize("harm", ["deleted", "replaced"])
def test_a_bundle_that_is_not_the_one_that_was_submitted_against(plant, harm):
    bundle = plant.settings.model_store / "flange" / "1"
    aside = bundle.with_name("aside")
    plant.stop_worker()
    job = plant.submit()
    shutil.copytree(bundle, aside)
    try:
        if harm == "deleted":
            shutil.rmtree(bundle)
        else:
            (bundle / "card.json").write_text('{"name": "another"}')
        plant.start_worker(ODDLOT_MAX_ATTEMPTS="1")
        failed = plant.await_end(job.id)
        assert (failed.state, failed.quarantined, failed.unaccounted) == (JobState.FAILED, failed.listed, 0)
        assert str(bundle) in failed.error
        plant.check_counts(job.id)
        plant.check_nothing_is_held()
    finally:
        shutil.rmtree(bundle, ignore_errors=True)
        aside.rename(bundle)
    plant.stop_worker()
    plant.run("retry", job.id)
    plant.start_worker()
    plant.check(job.id)
    assert jobs.get_job(plant.engine, job.id).error is None


def test_a_bundle_that_goes_away_under_workers_who_have_it(plant):
    bundle = plant.settings.model_store / "flange" / "1"
    plant.start_worker()
    warm = plant.submit()
    plant.check(warm.id)
    bundle.rename(bundle.with_name("aside"))
    try:
        plant.check(plant.submit().id)
    finally:
        bundle.with_name("aside").rename(bundle)
