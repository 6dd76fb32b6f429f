"""Memory of processes and of all that they start, looked at while they run. Linux only: it reads /proc."""

import contextlib
import os
import threading
import uuid
from pathlib import Path

from oddlot.processes import children

EVERY = 0.2
"""Seconds between two looks."""
_MARK = "ODDLOT_BENCH_MARK"


class Footprint:
    """The most memory that processes had together which were started with `environ`, their children included.

    A context. `resident` adds up what each of them has in memory, MB; `shared_out` counts what several have in common,
    such as libraries, once (PSS). Neither is known before the end of the context.
    """

    def __init__(self) -> None:
        self.resident = self.shared_out = 0.0
        self._token = f"{_MARK}={uuid.uuid4().hex}"
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def environ(self, **variables: str) -> dict[str, str]:
        name, value = self._token.split("=")
        return {**os.environ, name: value, **variables}

    def __enter__(self) -> "Footprint":
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            rss = pss = 0
            for pid in self._processes():
                with contextlib.suppress(OSError, ValueError):
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
                    rss, pss = rss + sizes["Rss"], pss + sizes["Pss"]
            self.resident, self.shared_out = max(self.resident, rss / 1024), max(self.shared_out, pss / 1024)

    def _processes(self) -> set[int]:
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._token.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
        for pid in list(found):
            found |= children(pid)  # one that has written over its environment
        return found
