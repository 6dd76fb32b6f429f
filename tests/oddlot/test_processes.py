"""A lease's owner can be recognised as dead, and is never taken for dead while it lives or cannot be seen."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oddlot import processes
from oddlot.processes import identity, is_provably_dead

TELL = "from oddlot.processes import identity; import sys; print(identity(), flush=True); sys.stdin.read()"


def test_an_owner_is_dead_when_its_process_is_and_not_before():
    process = subprocess.Popen([sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    owner = process.stdout.readline().strip()
    assert not is_provably_dead(owner)
    process.kill()
    # dead but not yet waited for: a zombie holds no lease
    deadline = time.monotonic() + 10
    while not is_provably_dead(owner):
        assert time.monotonic() < deadline
    process.wait()
    assert is_provably_dead(owner)
    process.stdin.close()
    process.stdout.close()


def test_a_new_process_with_the_same_number_is_somebody_else():
    host, space, pid, started = identity().split("|")
    assert not is_provably_dead("|".join((host, space, pid, started)))
    assert is_provably_dead("|".join((host, space, pid, str(int(started) - 1))))


def test_owners_of_other_hosts_boots_and_containers_are_never_called_dead():
    host, space, _, started = identity().split("|")
    gone = "999999999"
    assert not is_provably_dead("|".join(("elsewhere", space, gone, started)))
    assert not is_provably_dead("|".join((host, "otherboot", gone, started)))
    assert not is_provably_dead("nonsense")


def test_somebody_elses_process_that_cannot_be_looked_into_is_not_dead(monkeypatch):
    """As with hidepid, where /proc shows only one's own."""
    host, space, _, _ = identity().split("|")
    monkeypatch.setattr(processes, "Path", lambda path: Path("/nowhere/at/all"))
    assert not is_provably_dead("|".join((host, space, str(os.getppid()), "1")))


def test_a_child_gets_its_signal_when_the_parent_is_killed():
    code = (
        "import subprocess, sys, signal; from oddlot.processes import die_with_parent, identity; "
        "child = subprocess.Popen([sys.executable, '-c', " + repr(TELL) + "], stdin=subprocess.PIPE, "
        "preexec_fn=die_with_parent(signal.SIGTERM)); sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = parent.stdout.readline().strip()
    assert not is_provably_dead(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while not is_provably_dead(child):
        assert time.monotonic() < deadline
    parent.stdin.close()
    parent.stdout.close()


@pytest.mark.parametrize(
    ("groups", "cores"),
    [
        ({}, math.inf),
        ({"": "max 100000", "docker/one": "max 100000"}, math.inf),
        ({"docker/one": "150000 100000"}, 1.5),
        ({"docker": "200000 100000", "docker/one": "400000 100000"}, 2.0),
        ({"docker/one": "garbage"}, math.inf),
    ],
)
def test_a_container_may_have_less_time_than_it_has_cores(groups, cores, tmp_path):
    mounted, membership = tmp_path / "cgroup", tmp_path / "membership"
    membership.write_text("0::/docker/one\n")
    for group, limit in {"docker/one": None, **groups}.items():
        (mounted / group).mkdir(parents=True, exist_ok=True)
        if limit is not None:
            (mounted / group / "cpu.max").write_text(f"{limit}\n")
    assert processes._share_of_time(mounted, membership) == cores
    assert processes._share_of_time(mounted, tmp_path / "none") == math.inf


def test_the_memory_is_that_of_the_machine_or_less_where_a_container_has_less():
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < processes.memory_bytes() <= machine
