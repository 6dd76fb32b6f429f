"""Good pictures that show one and the same shot: copies, re-encodings, a frame that was saved twice.

Different parts of one kind are all very alike, so the rule is narrow. Each picture is averaged over 32 x 32 places and
its mean is taken off, which makes it deaf to a change of brightness. Two pictures are near-duplicates where

- the root mean square of their difference is at most 1 gray level of 255, and at most a sixth of what is usual between
  a picture and the tenth-nearest to it in the set; and
- no place differs by more than 3 levels: another part has marks of its own, while an encoder's errors are spread.

What that was measured on: docs/decisions/0008-near-duplicates.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from oddlot.places import Place
from pictures.listing import FoundFile
from trainer.grouping import Groups, below

SIDE = 32
"""Places along a side; the picture must have at least as many pixels."""
LARGEST_DIFFERENCE = 1.0
LARGEST_AT_A_PLACE = 3.0
SHARE_OF_USUAL = 1 / 6
NEIGHBOUR = 10
"""Not the nearest, so that the usual difference is not one between copies where many pictures have several."""

SAMPLE = 256
"""Pictures whose neighbours are looked for to learn what is usual."""
CHUNK = 128
ROWS, COLUMNS = 512, 4096

Pair = tuple[int, int]


def near_duplicates(pixels: np.ndarray, hashes: Sequence[str]) -> list[Pair]:
    """Pairs of pictures that join all near-duplicates: a group of k gives k - 1 pairs (i, j), i < j.

    `pixels` (n, height, width, channels), sides of at least 32, uint8 or float32 in 0..255, may be mapped from disk: it
    is read in pieces, of which 1 kB a picture is kept. Equal `hashes` are duplicates whatever the pixels. Pictures are
    sorted along their first principal component, and only those near on it are compared.
    """
    first: dict[str, int] = {}
    pairs = [(first[one], i) for i, one in enumerate(hashes) if first.setdefault(one, i) != i]
    different = np.array(sorted(first.values()))
    if len(different) < 2:
        return pairs
    coarse, usual = _survey(pixels, different)
    limit = min(LARGEST_DIFFERENCE, SHARE_OF_USUAL * usual)
    groups = Groups(len(pixels))
    for a, b in _candidates(coarse, limit):
        i, j = sorted((int(different[a]), int(different[b])))
        if groups.find(i) != groups.find(j) and _same(pixels, i, j, limit):
            groups.join(i, j)
            pairs.append((i, j))
    return pairs


def describe_copies(pairs: Sequence[Pair], files: Sequence[FoundFile], folder: Place) -> dict[str, Any]:
    """For the card: how many files have a near-duplicate, and two that are ones, by their paths below `folder`."""
    return {
        "pictures": len({i for pair in pairs for i in pair}),
        "example": [below(files[i].path, folder).as_posix() for i in pairs[0]] if pairs else [],
    }


def _survey(pixels: np.ndarray, different: np.ndarray) -> tuple[np.ndarray, float]:
    """Gray means of 16 x 16 places (m, 256) of the m `different` pictures, float32, less the mean of a sample; and the
    usual difference between a picture and the tenth-nearest to it, infinite where there are too few."""
    m = len(different)
    picked = np.sort(np.random.default_rng(0).permutation(m)[:SAMPLE])
    sample = _described(pixels, different[picked])
    nearest = np.full((len(picked), NEIGHBOUR), np.inf)
    coarse = np.empty((m, (SIDE // 2) ** 2), np.float32)
    middle = _coarser(sample).mean(axis=0)
    for start in range(0, m, CHUNK):
        fine = _described(pixels, different[start : start + CHUNK])
        coarse[start : start + CHUNK] = _coarser(fine) - middle
        distances = _squares(sample.reshape(len(sample), -1), fine.reshape(len(fine), -1)) / fine[0].size
        distances[picked[:, np.newaxis] == np.arange(start, start + len(fine))] = np.inf  # itself
        nearest = np.partition(np.hstack([nearest, distances]), NEIGHBOUR - 1, axis=1)[:, :NEIGHBOUR]
    return coarse, float(np.sqrt(np.median(nearest.max(axis=1))))


def _candidates(coarse: np.ndarray, limit: float) -> Iterator[Pair]:
    """Pairs of rows whose root mean square difference is at most `limit`, and some just beyond.

    Averages of four places differ by no more than the places do, so a pair that is missing here is no near-duplicate.
    """
    reach = limit * np.sqrt(coarse.shape[1])
    sample = coarse[np.random.default_rng(1).permutation(len(coarse))[: 4 * SAMPLE]]
    along = coarse @ np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)[2][0]
    order = np.argsort(along, kind="stable")
    coarse, along = coarse[order], along[order]
    slack = 1e-5 * float((coarse**2).sum(axis=1).max())  # of float32 products; the exact difference decides later
    ends = np.searchsorted(along, along + reach + np.sqrt(slack), side="right")
    for start in range(0, len(coarse), ROWS):
        rows = coarse[start : start + ROWS]
        end = int(ends[start : start + ROWS].max())
        for left in range(start, end, COLUMNS):
            near = _squares(rows, coarse[left : min(left + COLUMNS, end)]) <= reach**2 + slack
            for i, j in np.argwhere(near):
                if start + i < left + j:
                    yield int(order[start + i]), int(order[left + j])


def _same(pixels: np.ndarray, i: int, j: int, limit: float) -> bool:
    one, other = _described(pixels, np.array([i, j]))
    difference = one - other
    return bool(np.abs(difference).max() <= LARGEST_AT_A_PLACE and np.sqrt(np.mean(difference**2)) <= limit)


def _described(pixels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Means over 32 x 32 places less the mean of all: float32 (len(chosen), 32, 32, channels), in gray levels."""
    down, across = _averaging(pixels.shape[1]), _averaging(pixels.shape[2])
    described = np.empty((len(chosen), SIDE, SIDE, pixels.shape[3]), np.float32)
    for k, i in enumerate(chosen):
        described[k] = np.einsum("ay,yxc,bx->abc", down, pixels[i].astype(np.float32), across, optimize=True)
    return described - described.mean(axis=(1, 2, 3), keepdims=True)


def _averaging(length: int) -> np.ndarray:
    """(32, length): row k averages the pixels of place k of a side of that length."""
    mean = np.zeros((SIDE, length), np.float32)
    place = np.arange(length) * SIDE // length
    mean[place, np.arange(length)] = 1 / np.bincount(place)[place]
    return mean


def _coarser(fine: np.ndarray) -> np.ndarray:
    """(m, 32, 32, channels) to gray means of 16 x 16 places, (m, 256)."""
    half = SIDE // 2
    return fine.reshape(len(fine), half, 2, half, 2, -1).mean(axis=(2, 4, 5)).reshape(len(fine), -1)


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of all rows of a (k, d) and b (l, d): (k, l), at least 0."""
    products = (a**2).sum(axis=1)[:, np.newaxis] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(products, 0)
