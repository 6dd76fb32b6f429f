"""Waiting for what must become true, in all rooms' tests."""

import time
from collections.abc import Callable
from typing import Any


def eventually(
    condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = 60.0, every: float = 0.02
) -> Any:
    """The first true value of `condition`; fails after so many seconds, with what was missing then."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(every)
    return value
