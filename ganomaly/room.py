"""Room for the arrays of a training: memory up to a bound, beyond it files that leave nothing behind.

Feature maps of 100,000 pictures are larger than most machines' memory, and each of them is looked at again in every
epoch. An array that no longer fits is mapped from a file that has no name: numbers and results are the same, and when
the process ends, however it ends, the kernel takes the file back.
"""

import math
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from oddlot.errors import TrainingError

LET_GO_SECONDS = 0.25
"""How often the pages of mapped arrays are given back: until then they count as memory of this process."""


class Room:
    """Makes arrays. Without a folder, or without a bound, all of them stand in memory.

    `most` is the bound in bytes for all arrays that are alive; `say` is told where one does not fit. A context: at its
    end nothing is given back any more, and arrays that are still used stay usable.
    """

    def __init__(
        self, folder: Path | None = None, most: int | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        self._folder, self._most, self._say = folder, most, say or (lambda text: None)
        self._taken = 0
        self._mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._told: set[str] = set()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()

    def array(self, what: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of that shape and type, its numbers still to be written; `what` it holds, for people.

        Raises TrainingError where neither memory nor disk has room for it.
        """
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if self._folder is None or self._most is None or self._taken + size <= self._most:
            made = np.empty(shape, dtype)
            self._taken += size
            weakref.finalize(made, self._give_back, size)
            return made
        if what not in self._told:
            self._told.add(what)
            self._say(
                f"{what} stand on disk in {self._folder} until the fit is done: they do not fit beside the others into "
                f"the {_gigabytes(self._most)} of memory that a fit takes (ODDLOT_FIT_MEGABYTES)"
            )
        return np.ndarray(shape, dtype, buffer=self._map(what, size))

    def _give_back(self, size: int) -> None:
        self._taken -= size

    def _map(self, what: str, size: int) -> mmap.mmap:
        assert self._folder is not None
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                if hasattr(os, "posix_fallocate"):  # a full disk is met here, and not as a signal in some epoch
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                mapping = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise TrainingError(
                f"{self._folder} has no room for {_gigabytes(size)} of {what}: {error.strerror}; free some, or set "
                "ODDLOT_HOME to a larger disk or ODDLOT_FIT_MEGABYTES to more memory"
            ) from error
        self._mapped.add(mapping)
        if self._keeper is None and hasattr(mmap, "MADV_DONTNEED"):
            self._keeper = threading.Thread(target=self._keep_small, name="room", daemon=True)
            self._keeper.start()
        return mapping

    def _keep_small(self) -> None:
        while not self._closed.wait(LET_GO_SECONDS):
            self._give_pages_back()

    def _give_pages_back(self) -> None:
        for mapping in list(self._mapped):
            # Of a shared mapping nothing is lost: what was written is in the file, or on its way there.
            mapping.madvise(mmap.MADV_DONTNEED)


class Picked:
    """Some pictures of an array, by their numbers: read when they are asked for, never all of them in memory."""

    def __init__(self, pixels: np.ndarray, numbers: np.ndarray) -> None:
        self._pixels, self._numbers = pixels, numbers
        self.shape = (len(numbers), *pixels.shape[1:])
        self.dtype = pixels.dtype

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, which: Any) -> np.ndarray:
        """A copy of these, as of an array: a number, a slice or an array of numbers."""
        return np.asarray(self._pixels[self._numbers[which]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
