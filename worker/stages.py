"""Where the time of a batch goes, by the clock on the wall of the process that has it."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Found = TypeVar("Found")


class Stages:
    """Seconds by the names of `db.schema.STAGES`: what one stage does beside another, in a thread, counts for the one
    that is waited for."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The time that the block takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._add(name, began)

    def each(self, name: str, found: Iterable[Found]) -> Iterator[Found]:
        """The same values; the time that they are waited for, and not what is done with them."""
        values = iter(found)
        while True:
            began = time.monotonic()
            try:
                value = next(values)
            except StopIteration:
                return
            finally:
                self._add(name, began)
            yield value

    def _add(self, name: str, began: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
