"""A picture for which a worker has no memory: its batch is halved until it stands alone, all others are scored."""

import resource
from pathlib import Path

import pytest
from machine import alive, limit
from PIL import Image
from plant import eventually

from oddlot.words import BatchState, ItemState, JobState

pytestmark = pytest.mark.faults

SPARE = 150 * 2**20
"""Bytes that a worker may still take; the picture takes more."""


def in_use(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def test_a_picture_that_does_not_fit_into_memory(plant, tmp_path):
    folder = tmp_path / "night"
    folder.mkdir()
    for path in plant.lot.iterdir():
        (folder / path.name).hardlink_to(path)
    Image.new("RGB", (10_000, 10_000)).save(folder / "01000-huge.png")  # 400 MB while it is decoded
    plant.start_worker()
    warm = plant.submit()
    plant.check(warm.id)  # each child has its model
    children = plant.children()
    for child in children:
        limit(child.pid, resource.RLIMIT_AS, in_use(child.pid) + SPARE)
    job = plant.submit(folder)
    done = plant.await_end(job.id)
    assert all(alive(child.pid) for child in children), "not an error that was caught, but the end of a process"
    for child in children:
        limit(child.pid, resource.RLIMIT_AS, resource.RLIM_INFINITY)
    assert (done.state, done.quarantined, done.unaccounted) == (JobState.DONE, 1, 0)
    found = plant.results(job.id)
    state, _, _, reason = found.pop("01000-huge.png")
    assert state == ItemState.QUARANTINED
    assert "MemoryError" in reason
    assert found == plant.expected
    plant.check_counts(job.id)
    plant.check_nothing_is_held()
    split = plant.batches(job.id, BatchState.SPLIT)
    assert len(split) >= 4
    # Not tried again and again at its full size, which would not fit either; a message told twice may try once more.
    assert max(one.fencing for one in split) < plant.settings.max_attempts / 2
    eventually(lambda: len(plant.children()) == len(children), "a child is missing")
