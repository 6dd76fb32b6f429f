"""How much memory this process has, and giving back what it does not need any more."""

import ctypes
import gc
import os
import resource
import sys
from functools import cache
from pathlib import Path
from typing import Any

from oddlot.devices import processes_for
from oddlot.processes import memory_bytes
from oddlot.settings import Settings

SHARE = 0.9
"""Of the memory above which a process is replaced: loading must not bring it there."""


def resident_bytes() -> int:
    """Memory of this process now; where only that can be told, the most that it ever had."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def bound_bytes(settings: Settings, processes: int) -> int:
    """Above so much memory one of so many processes keeps no models but the one that it works with."""
    if settings.warm_megabytes:
        return settings.warm_megabytes * 1024**2
    if settings.child_megabytes:
        return int(settings.child_megabytes * 1024**2 * SHARE)
    return memory_bytes() // 2 // (processes or processes_for(settings))


def give_back() -> None:
    """Collect what refers to itself, and return free memory to the operating system: the C library keeps it else."""
    gc.collect()
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU library alone
