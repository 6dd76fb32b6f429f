"""No room on the disk, as the limit of a file's size: it can be set for a running process, and lifted again."""

import resource
import subprocess
import time

import pytest
from machine import limit
from sqlalchemy import select

from db import models
from db.engine import reading
from db.schema import result
from oddlot.errors import NotFoundError
from pictures.drawing import draw_set

pytestmark = pytest.mark.faults


def fill_the_disk(plant, room):
    for process in plant.processes():
        if "-server" not in process.command:
            limit(process.pid, resource.RLIMIT_FSIZE, room)


def maps_of(plant, job_id):
    with reading(plant.engine) as connection:
        flagged = select(result.c.map_uri).where(result.c.job_id == job_id, result.c.flagged)
        return connection.execute(flagged).scalars().all()


def test_maps_that_cannot_be_written_cost_no_result(postgresql_plant):
    plant = postgresql_plant
    plant.begin()
    plant.start_worker()
    fill_the_disk(plant, 1)
    job = plant.submit()
    plant.check(job.id)
    assert set(maps_of(plant, job.id)) == {None}
    fill_the_disk(plant, resource.RLIM_INFINITY)
    again = plant.submit()
    plant.check(again.id)
    assert None not in maps_of(plant, again.id)


def test_a_database_file_that_cannot_grow_is_waited_for(sqlite_plant):
    plant = sqlite_plant
    plant.begin()
    plant.start_worker()
    for _ in range(2):
        job = plant.submit()
        plant.await_progress(job.id)
        fill_the_disk(plant, 1)
        time.sleep(3)
        before = plant.progress(job.id)
        time.sleep(3)
        assert plant.progress(job.id) == before < len(plant.batches(job.id))
        fill_the_disk(plant, resource.RLIM_INFINITY)
        plant.check(job.id)


def test_a_bundle_that_cannot_be_written_leaves_no_model_and_one_line(plant, tmp_path):
    draw_set(tmp_path / "drawn", good_train=60, good_test=1, defects=1, seed=3)
    before = sorted(path.name for path in plant.settings.model_store.rglob("*"))
    fit = subprocess.Popen(
        [*plant.command, "fit", "gearbox", tmp_path / "drawn" / "train" / "good", "--architecture", "paper",
         "--size", "32", "--epochs", "1", "--force"],
        env=plant.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY)),
    )  # fmt: skip
    _, err = fit.communicate(timeout=240)
    assert fit.returncode == 1, err
    assert err.splitlines()[-1].startswith("oddlot: ")
    assert "Traceback" not in err
    with pytest.raises(NotFoundError):
        models.get_model(plant.engine, "gearbox")
    assert sorted(path.name for path in plant.settings.model_store.rglob("*")) == before
