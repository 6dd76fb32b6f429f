"""Processes of this machine: who am I, is that one dead, and how does a child follow its parent to the grave."""

import ctypes
import hashlib
import math
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path


def identity() -> str:
    """A name for this process that no other process, ever, on any host has: the owner of its leases.

    `host|space|pid|start` where `space` tells boots and containers of equal host names apart.
    """
    return f"{socket.gethostname()}|{_process_space()}|{os.getpid()}|{_start_time(os.getpid()) or ''}"


def is_provably_dead(owner: str) -> bool:
    """True only where this machine itself can tell that the process called `owner` no longer runs."""
    if not is_here(owner):
        return False
    pid, start = process_number(owner), owner.split("|")[3]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's
    started = _start_time(pid)
    return start != "" and started is not None and started != start


def is_here(owner: str) -> bool:
    """True where the process called `owner` is, or was, one of this machine and process space."""
    parts = owner.split("|")
    return len(parts) == 4 and parts[0] == socket.gethostname() and parts[1] == _process_space()


def process_number(owner: str) -> int:
    """The process number in a name that `identity` made."""
    return int(owner.split("|")[2])


def children(pid: int) -> set[int]:
    """Process numbers of the living children of a process (Linux; elsewhere none can be told)."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields and fields[0] not in "ZX" and int(fields[1]) == pid:
            found.add(int(folder.name))
    return found


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the child gets `death_signal` when the parent ends, however it ends (Linux only)."""

    def preexec() -> None:
        if sys.platform == "linux":
            set_parent_death_signal = 1
            ctypes.CDLL(None).prctl(set_parent_death_signal, int(death_signal))

    return preexec


def available_cores() -> int:
    """Cores that this process may use: those it may run on, or fewer where a container's share of time is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _share_of_time(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")))))


def _share_of_time(mounted: Path, membership: Path) -> float:
    """Cores' worth of time that the control groups (Linux, version 2) of this process allow it; inf where they do not
    say."""
    least = math.inf
    try:
        (below,) = (line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
        group = mounted / below.lstrip("/")
        for folder in (group, *group.parents):
            if (limit := folder / "cpu.max").is_file():
                quota, period = limit.read_text().split()
                least = least if quota == "max" else min(least, int(quota) / int(period))
            if folder == mounted:
                break
    except (OSError, ValueError):
        pass  # nobody says
    return least


def memory_bytes() -> int:
    """Memory of this machine, or of the container where that has less; 2 GB where it cannot be told."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (ValueError, OSError):
        found = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(found, default=2 * 10**9)


@cache
def _process_space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def _start_time(pid: int) -> str | None:
    """Clock ticks since boot at which the process started; empty for a zombie, None where it cannot be seen."""
    fields = _stat(pid)
    if fields is None:
        return None
    return "" if fields[0] in "ZX" else fields[19]


def _stat(pid: int) -> list[str] | None:
    """What the kernel says about a process, from its state on; None where it cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
