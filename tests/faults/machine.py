"""Processes of this machine, as /proc shows them: found, killed, limited."""

import contextlib
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of this plant, as /proc shows it."""

    pid: int
    parent: int
    command: str


def processes(marker: str | None = None) -> list[Process]:
    """Living processes of this machine, or those with this word in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if marker is not None and marker.encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            if after_name[0] in "ZX":
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append(Process(int(folder.name), int(after_name[1]), command))
    return found


def alive(pid: int) -> bool:
    return any(process.pid == pid for process in processes())


def is_broker(process: Process) -> bool:
    return "worker.broker" in process.command or "-server" in process.command


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def limit(pid: int, kind: int, amount: int) -> None:
    """Set a limit of a living process; it stays below the hard one, so that it can be lifted again."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, kind, (amount, resource.prlimit(pid, kind)[1]))
