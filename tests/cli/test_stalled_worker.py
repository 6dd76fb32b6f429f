"""A worker that looks alive and takes nothing, or ends, is replaced by a new one, and a person can read that it was."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import polling
import pytest

from oddlot.processes import children
from oddlot.queue import INSPECT_QUEUE

DEADLINE = 180.0

pytestmark = pytest.mark.slow  # half a minute each: that long, a worker may have nothing to take


@pytest.fixture
def impatient(oddlot):
    oddlot.environ |= {"ODDLOT_SWEEP_SECONDS": "0.5", "ODDLOT_STALL_SECONDS": "1"}
    return oddlot


eventually = partial(polling.eventually, seconds=DEADLINE)


def pool(oddlot) -> tuple[int, set[int]]:
    """The parent process of the worker of this home, and the children of its pool, once they are there."""

    def look():
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                mine = f"ODDLOT_HOME={oddlot.home}".encode() in (folder / "environ").read_bytes().split(b"\0")
                if mine and b"worker.app" in (folder / "cmdline").read_bytes():
                    ours = {pid for pid in children(int(folder.name)) if b"worker.app" in cmdline(pid)}
                    sweeping = any(b"worker.sweeper" in cmdline(pid) for pid in children(int(folder.name)))
                    if ours and sweeping:
                        return int(folder.name), ours
            except OSError:
                continue
        return None

    return eventually(look, "no worker is there")


def cmdline(pid: int) -> bytes:
    """Of a process that ends between being listed and being asked, as of one that is a zombie: nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def stops_consuming(oddlot) -> None:
    """What a reconnect that went wrong leaves: connected, answering, with no interest in the queue."""
    pool(oddlot)
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "control", "cancel_consumer", INSPECT_QUEUE]

    def told() -> bool:  # a worker that is busy may answer too late for the command
        done = subprocess.run(command, env=oddlot.environ, capture_output=True, text=True, check=False)
        return "no longer consuming" in done.stdout or "already not consuming" in done.stdout

    eventually(told, "the worker does not answer")


def hangs(oddlot) -> None:
    """All processes of the pool are there and do nothing."""
    for pid in pool(oddlot)[1]:
        os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize("trouble", [stops_consuming, hangs])
def test_a_worker_that_takes_nothing_is_started_again_and_the_job_is_done(impatient, drawn, trouble):
    worker = impatient.start("worker", "--concurrency", "1")
    try:
        before, _ = pool(impatient)
        trouble(impatient)
        job = impatient.json("submit", "flange", drawn / "tonight", "--wait")
        assert (job["state"], job["listed"], job["scored"]) == ("done", 24, 24)
        assert pool(impatient)[0] != before
        (told,) = [f for f in impatient.json("doctor") if f["what"] == "restarts"]
        assert (told["state"], str(before) in told["found"]) == ("note", True)
        assert "took nothing" in told["found"]
    finally:
        worker.terminate()
        _, log = worker.communicate(timeout=60)
    assert worker.returncode == 0, log
    assert sum("no progress: the worker is killed" in line for line in log.splitlines()) == 1
    impatient.await_end()


def test_a_worker_of_celery_itself_is_ended_so_that_whoever_started_it_notices(impatient, drawn):
    worker = subprocess.Popen(
        ["celery", "-A", "worker.app", "worker", "--concurrency", "1"], stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=impatient.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    try:
        stops_consuming(impatient)
        impatient.json("submit", "flange", drawn / "tonight")
        assert worker.wait(DEADLINE) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.wait()
    impatient.await_end()


def parents(worker) -> set[int]:
    return {pid for pid in children(worker.pid) if b"import worker.tasks" in cmdline(pid)}


def test_a_worker_that_is_killed_whenever_it_starts_comes_back_each_time_later(oddlot, drawn):
    worker = oddlot.start("worker", "--concurrency", "1")
    try:
        killed: set[int] = set()
        for _ in range(3):
            (parent,) = eventually(lambda: parents(worker) - killed, "no worker is there")
            os.kill(parent, signal.SIGKILL)
            killed.add(parent)
        assert oddlot.json("submit", "flange", drawn / "tonight", "--wait")["state"] == "done"
    finally:
        worker.terminate()
        _, log = worker.communicate(timeout=60)
    assert worker.returncode == 0, log
    told = [line for line in log.splitlines() if "is started again" in line]
    assert ["in 1 s" in told[0], "in 2 s" in told[1], "in 4 s" in told[2]] == [True] * 3, told
    oddlot.await_end()


def test_a_worker_that_ends_at_once_by_an_error_of_its_own_ends_the_command(oddlot):
    oddlot.environ["CELERY_LOADER"] = "no.such.thing"
    assert "the worker ended with status 1" in oddlot.run("worker", "--concurrency", "1", status=1)
    oddlot.leaves_nothing()
