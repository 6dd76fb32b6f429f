"""A command that watches its worker can be told to stop at any moment, also while it looks."""

import subprocess
import sys

import polling
import pytest

PROGRAM = """
import os, random, signal, sys
from cli.services import WorkerProcess
from oddlot.settings import load_settings

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
draw = random.Random(7)
sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
process = WorkerProcess(load_settings(), "worker", sleeps, foreground=True)
number = process._process.pid
for _ in range(3000):
    try:
        signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-4, 1e-3))
        while True:
            process.keep()
    except KeyboardInterrupt:
        pass
assert process._process.pid == number, "it was taken for one that had ended"
process.stop()
try:
    os.kill(number, 0)
except ProcessLookupError:
    print("stopped")
"""
"""In a process of its own: the alarms are those with which a test that hangs is ended."""


def test_a_worker_whose_watching_is_interrupted_at_any_moment_is_seen_and_stopped(empty_oddlot):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=empty_oddlot.environ, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


@pytest.mark.parametrize("command", ["worker", "up"])
def test_what_is_stopped_while_it_starts_ends_in_order(empty_oddlot, command):
    process = empty_oddlot.start(command)
    polling.eventually((empty_oddlot.home / "broker" / "users.lock").exists, "it does not start")
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping" in err
    empty_oddlot.leaves_nothing()
