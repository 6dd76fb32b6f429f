"""A pause of one of a worker's processes, which ends when the worker is told to stop: nobody waits for nothing."""

import os
import select
import time

_ends: tuple[int, int] | None = None


def prepare() -> None:
    """In the parent, before it forks: its children, and those that take their place, hear of its end."""
    global _ends
    if _ends is None:
        _ends = os.pipe()


def end_all() -> None:
    """In the parent: every pause ends, and none begins any more. Harmless where nothing was prepared."""
    if _ends is not None:
        os.write(_ends[1], b"!")  # read by nobody, so that it stays there for all


def pause(seconds: float) -> None:
    """Wait for so long, or until the worker is told to stop."""
    if _ends is None:
        time.sleep(seconds)
    else:
        select.select([_ends[0]], [], [], seconds)
