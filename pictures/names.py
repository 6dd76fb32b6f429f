"""The names of a folder in order, however many there are."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice

RUN = 50_000
"""Names that are sorted in memory; of a larger folder, such runs are merged."""
BLOCK = 1_000
"""Names that are packed together: so many of each run are in memory as what they are."""


def in_order(names: Iterable[str]) -> Iterator[str]:
    """All of `names`, sorted; they are taken at once, and those of a large folder kept packed.

    Of a million names like `part-0000001.png`, a few megabytes; as a list they would be a hundred.
    """
    waiting = iter(names)
    first = sorted(islice(waiting, RUN))
    if len(first) < RUN:
        return iter(first)
    runs = [_packed(first)]
    del first
    while run := sorted(islice(waiting, RUN)):
        runs.append(_packed(run))
    return merge(*map(_unpacked, runs))


def _packed(names: Sequence[str]) -> list[bytes]:
    # NUL is the one character, beside the slash, that no name has.
    texts = ("\0".join(names[start : start + BLOCK]) for start in range(0, len(names), BLOCK))
    return [zlib.compress(text.encode("utf-8", "surrogateescape"), level=1) for text in texts]


def _unpacked(blocks: list[bytes]) -> Iterator[str]:
    for block in blocks:
        yield from zlib.decompress(block).decode("utf-8", "surrogateescape").split("\0")
