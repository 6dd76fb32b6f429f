"""The pictures of a batch, in order, read while others are scored."""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import copy_context
from typing import TypeVar

from db.batches import Claim, ItemRow
from oddlot.errors import UnreadablePicture
from oddlot.places import is_address
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

    Files are read in threads, so that a slow share is not waited for; objects in more of them, as each is long on its
    way. A process of one core decodes between two calls of its network: threads that share its core with the network
    take 3 % longer together. Others decode in threads.
    """

    def fetched(item: ItemRow) -> tuple[bytes, str] | UnreadablePicture:
        with _noted(reading, item):
            try:
                return read_bytes(
                    item.path, max_file_bytes=settings.max_file_bytes, root=claim.source,
                    expected=(item.size, item.mtime_ns), etag=item.etag,
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

    far = is_address(claim.source)
    if scoring_process.threads > 1 and not far:
        with closing(in_order(lambda item: decoded(item, fetched(item)), claim.items, ahead)) as pictures:
            yield from pictures
        return
    fetching = in_order(
        fetched, claim.items, max(FILES_AHEAD, 2 * settings.s3_reads) if far else FILES_AHEAD, most=BYTES_AHEAD,
        weigh=lambda item: item.size, readers=settings.s3_reads if far else None,
    )  # fmt: skip
    with closing(fetching) as files:
        if scoring_process.threads == 1:
            for item, file in files:
                yield item, decoded(item, file)
            return
        decoding = in_order(
            lambda fetched: decoded(*fetched), files, ahead, most=BYTES_AHEAD, weigh=lambda fetched: fetched[0].size
        )
        with closing(decoding) as made:
            for (item, _), picture in made:
                yield item, picture


def in_order(
    read: Callable[[Item], Found], items: Iterable[Item], ahead: int,
    *, most: float = math.inf, weigh: Callable[[Item], float] = lambda _: 0, readers: int | None = None,
) -> Generator[tuple[Item, Found], None, None]:  # fmt: skip
    """Each item with what `read` made of it, in order; never more than `ahead` of them wait to be taken, nor more than
    weigh `most` together, but for two: one is read while the one before it is worked on, whatever they weigh.

    Without a bound a batch would stand in memory as a whole. `readers` are the threads that read; left out: one more
    than the network has.
    """
    waiting: deque[tuple[Item, Future[Found]]] = deque()
    with ThreadPoolExecutor(readers or scoring_process.threads + 1) as pool:
        try:
            for item in items:
                while len(waiting) == ahead or (
                    len(waiting) > 1 and sum(weigh(one) for one, _ in waiting) + weigh(item) > most
                ):
                    first, result = waiting.popleft()
                    yield first, result.result()
                waiting.append((item, pool.submit(copy_context().run, read, item)))
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()
        finally:  # where it is left early, nobody wants the rest
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _noted(reading: Reading, item: ItemRow) -> Iterator[None]:
    reading[item.id] = item, time.monotonic()
    try:
        yield
    finally:
        del reading[item.id]
