"""A process of a worker that pauses, for a host's broken store say, does not keep the worker from stopping."""

import os
import subprocess
import sys

PROGRAM = """
import os, time
from worker import pausing
pausing.prepare()
child = os.fork()
if child == 0:
    print("pauses", flush=True)
    pausing.pause(600)
    pausing.pause(600)
    os._exit(7)
assert input() == "stop"
pausing.end_all()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_pauses_end_when_the_worker_is_told_to_stop():
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert running.stdout.readline() == "pauses\n"
    said, _ = running.communicate("stop\n", timeout=60)
    assert said == "7\n"
