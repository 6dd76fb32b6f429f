"""Each process of a worker has a graphics card of its own, and whoever replaces it takes the same one."""

import os
import signal
import subprocess
import sys

import polling
import pytest

PROGRAM = """
import os, pathlib, sys
from celery import signals
import worker.tasks
from worker.app import app

@signals.worker_process_init.connect(weak=False)
def note(**_):
    (pathlib.Path(os.environ["NOTES"]) / f"{os.getpid()}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])

@signals.worker_ready.connect(weak=False)
def ready(**_):
    pathlib.Path(os.environ["NOTES"]).with_name("ready").touch()

app.start(sys.argv[1:])
"""


@pytest.fixture
def environ(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ODDLOT_")}
    return kept | {
        "ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_RUNTIME": "gpu", "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b",
        "NOTES": str(tmp_path / "notes"),
    }  # fmt: skip


def start(environ) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "worker", "--loglevel", "INFO"], env=environ, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_each_process_has_a_card_of_its_own_and_so_has_its_successor(environ, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()

    def noted(count: int) -> dict[int, str] | None:
        found = {int(path.name): path.read_text() for path in notes.iterdir()}
        return found if len(found) == count and all(found.values()) else None

    worker = start(environ)
    try:
        first = polling.eventually(lambda: noted(2), "two processes do not start", seconds=120)
        assert sorted(first.values()) == ["GPU-a", "GPU-b"]
        # A pool that has not begun gives up where one of its processes dies.
        polling.eventually((tmp_path / "ready").exists, "the worker is not ready", seconds=120)
        (victim,) = (pid for pid, card in first.items() if card == "GPU-a")
        os.kill(victim, signal.SIGKILL)
        now = polling.eventually(lambda: noted(3), "the dead one is not replaced", seconds=120)
        assert [card for pid, card in now.items() if pid not in first] == ["GPU-a"]
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def test_a_worker_of_celery_itself_ends_with_one_line_where_there_is_no_card(environ):
    worker = start(environ | {"CUDA_VISIBLE_DEVICES": ""})
    _, said = worker.communicate(timeout=120)
    assert worker.returncode != 0
    last = said.strip().splitlines()[-1]
    assert last.startswith("oddlot: ODDLOT_RUNTIME is gpu, and there is no NVIDIA graphics card")
