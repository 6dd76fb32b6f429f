"""A process that waits and is told to stop stops, at whatever moment it is told."""

import subprocess
import sys

PROGRAM = """
import os, random, signal
from oddlot.stopping import Stop

draw, stop = random.Random(3), Stop()
signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
for _ in range(4000):
    stop.asked = False
    signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-4, 3e-4))
    while not stop.asked:
        stop.wait(1e-4)
    stop.wait(60)  # it had come
    assert os.read(stop._told, 9) == b"x"
print("stopped")
"""


def test_no_signal_is_lost_and_none_is_waited_for_in_vain():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


def test_who_waits_is_woken_by_sigterm():
    program = (
        "from oddlot.stopping import Stop\nstop = Stop()\nprint('waits', flush=True)\nstop.wait(600)\nprint(stop.asked)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "waits\n"
        process.terminate()
        assert process.communicate(timeout=60)[0] == "True\n"
