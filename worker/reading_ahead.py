"""The pictures of a batch, in order, read while others are scored."""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import copy_context
from typing import TypeVar

from db.batches import Claim, ItemRow
from oddlot.errors import UnreadablePicture
from oddlot.settings import Settings
from pictures.decoding import read_bytes
from pictures.preprocessing import Preprocessing
from pictures.reading import Picture, picture_of
from worker import scoring_process
from worker.hanging import Reading

Item = TypeVar("Item")
Found = TypeVar("Found")

FILES_AHEAD = 32
BYTES_AHEAD = 64 * 2**20
"""Files that are read before they are decoded: so many, and no more bytes together than that, but for two of them."""


def read_ahead(
    claim: Claim, preprocessing: Preprocessing, settings: Settings, reading: Reading, ahead: int
) -> Generator[tuple[ItemRow, Picture | UnreadablePicture], None, None]:
    """Each item of the claim with its picture, or why it has none; `reading` says what is being read or decoded just
    now. Of decoded pictures no more than `ahead` wait.

    Files are read in threads, so that a slow share is not waited for. A process of one core decodes between two calls
    of its network: threads that share its core with the network take 3 % longer together. Others decode in threads.
    """

    def fetched(item: ItemRow) -> tuple[bytes, str] | UnreadablePicture:
        with _noted(reading, item):
            try:
                return read_bytes(
                    item.path, max_file_bytes=settings.max_file_bytes, root=claim.source,
                    expected=(item.size, item.mtime_ns),
                )  # fmt: skip
            except UnreadablePicture as reason:
                return reason

    def decoded(item: ItemRow, file: tuple[bytes, str] | UnreadablePicture) -> Picture | UnreadablePicture:
        if isinstance(file, UnreadablePicture):
            return file
        with _noted(reading, item):
            try:
                return picture_of(*file, preprocessing, max_pixels=settings.max_pixels)
            except UnreadablePicture as reason:
                return reason

    if scoring_process.threads == 1:
        fetching = in_order(fetched, claim.items, FILES_AHEAD, most=BYTES_AHEAD, weigh=lambda item: item.size)
        with closing(fetching) as files:
            for item, file in files:
                yield item, decoded(item, file)
    else:
        with closing(in_order(lambda item: decoded(item, fetched(item)), claim.items, ahead)) as pictures:
            yield from pictures


def in_order(
    read: Callable[[Item], Found], items: Sequence[Item], ahead: int,
    *, most: float = math.inf, weigh: Callable[[Item], float] = lambda _: 0,
) -> Generator[tuple[Item, Found], None, None]:  # fmt: skip
    """Each item with what `read` made of it, in order; never more than `ahead` of them wait to be taken, nor more than
    weigh `most` together, but for two: one is read while the one before it is worked on, whatever they weigh.

    Without a bound a batch would stand in memory as a whole.
    """
    waiting: deque[tuple[Item, Future[Found]]] = deque()
    with ThreadPoolExecutor(scoring_process.threads + 1) as readers:
        try:
            for item in items:
                while len(waiting) == ahead or (
                    len(waiting) > 1 and sum(weigh(one) for one, _ in waiting) + weigh(item) > most
                ):
                    first, result = waiting.popleft()
                    yield first, result.result()
                waiting.append((item, readers.submit(copy_context().run, read, item)))
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()
        finally:  # where it is left early, nobody wants the rest
            readers.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _noted(reading: Reading, item: ItemRow) -> Iterator[None]:
    reading[item.id] = item, time.monotonic()
    try:
        yield
    finally:
        del reading[item.id]
