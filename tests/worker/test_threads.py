"""Each process of a worker uses its share of the cores and no more."""

import os
from types import SimpleNamespace

import pytest

from oddlot.processes import available_cores
from worker import scoring_process, supervision


@pytest.mark.parametrize(
    ("cores", "processes", "threads"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (8, 8, 1), (2, 16, 1), (1, 1, 1)]
)
def test_the_threads_of_a_process_follow_from_the_cores(cores, processes, threads, monkeypatch):
    monkeypatch.setattr(supervision, "available_cores", lambda: cores)
    monkeypatch.setattr(scoring_process, "threads", 0)
    parent = SimpleNamespace(concurrency=processes)
    supervision.SweeperStep(parent).create(parent)
    assert scoring_process.threads == threads


def test_cores_that_the_process_may_not_use_do_not_count():
    """A container, or `taskset`, gives a worker fewer than the machine has."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
