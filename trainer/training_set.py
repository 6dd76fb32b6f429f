"""The good pictures of a fit: found, read once, kept decoded on disk, and split.

Decoded pictures stand in one array file that is mapped, not loaded, so that memory does not grow with the set.
"""

import hashlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from ganomaly.calibration import pictures_needed
from oddlot.errors import CalibrationError, TrainingError, UnreadablePicture
from oddlot.settings import Settings
from pictures.listing import FoundFile, ListingReport, list_folder
from pictures.preprocessing import Preprocessing
from pictures.reading import Picture, read_picture

FEWEST_PICTURES = 20
VALIDATION_SHARE = 0.1
CALIBRATION_SHARE = 0.2
"""Share of the good pictures held out for calibration where that is enough for the false-alarm rate."""
LARGEST_CALIBRATION_SHARE = 0.4
"""A rate that needs more than this share held out would leave too little to learn from."""


@dataclass(frozen=True)
class TrainingSet:
    """Decoded good pictures.

    `pixels` is (n, height, width, channels), uint8 or float32 in 0..255, mapped from disk; `fingerprint` is a SHA-256
    over the hashes of the files, independent of their names; `refused` holds path and reason of what was not read.
    """

    pixels: np.ndarray
    hashes: list[str]
    refused: list[tuple[str, str]]
    fingerprint: str


@dataclass(frozen=True)
class Split:
    """Indices into the training set; together they are all of it, and no picture is in two parts."""

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray


def find_good_pictures(folder: Path, settings: Settings) -> list[FoundFile]:
    """The files below `folder`. Raises OddlotError where it is not a folder, TrainingError where it is empty."""
    report = ListingReport()
    files = sorted(list_folder(folder, report, settle_seconds=settings.settle_seconds), key=lambda f: f.path)
    if not files:
        raise TrainingError(f"{folder} holds no files: give a folder of pictures of good parts")
    if len(files) < FEWEST_PICTURES:
        raise TrainingError(
            f"{folder} holds {len(files)} pictures; a fit needs at least {FEWEST_PICTURES} of good parts"
        )
    return files


def read_pictures(
    files: list[FoundFile], root: Path, preprocessing: Preprocessing, settings: Settings, store: Path,
    *, threads: int, on_read: Callable[[int, int], None] | None = None,
) -> TrainingSet:  # fmt: skip
    """Decode all files into the array file `store`; `on_read` is told (done, of).

    A file that cannot be read is left out and named in `refused`.
    """

    def read(file: FoundFile) -> Picture | UnreadablePicture:
        try:
            return read_picture(
                file.path, preprocessing, root=str(root.resolve()), expected=(file.size, file.mtime_ns),
                max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes,
            )  # fmt: skip
        except UnreadablePicture as reason:
            return reason

    shape = (len(files), *preprocessing.shape)
    dtype = np.uint8 if preprocessing.depth == 8 else np.float32
    pixels = open_memmap(store, mode="w+", dtype=dtype, shape=shape)
    hashes: list[str] = []
    refused: list[tuple[str, str]] = []
    with ThreadPoolExecutor(threads) as readers:
        for done, (file, picture) in enumerate(zip(files, readers.map(read, files), strict=True), start=1):
            if isinstance(picture, UnreadablePicture):
                refused.append((file.path, str(picture)))
            else:
                pixels[len(hashes)] = picture.pixels
                hashes.append(picture.sha256)
            if on_read is not None:
                on_read(done, len(files))
    pixels.flush()
    digest = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return TrainingSet(pixels[: len(hashes)], hashes, refused, digest)


def check_usable(training_set: TrainingSet, folder: Path) -> None:
    """Raises TrainingError for fewer than 20 usable pictures and for pictures that are all equal."""
    usable = len(training_set.hashes)
    if usable < FEWEST_PICTURES:
        first = f" (first: {Path(training_set.refused[0][0]).name}: {training_set.refused[0][1]})"
        raise TrainingError(
            f"only {usable} of the {usable + len(training_set.refused)} files in {folder} are usable pictures; "
            f"a fit needs at least {FEWEST_PICTURES}{first if training_set.refused else ''}"
        )
    first_picture = training_set.pixels[0]
    if all(np.array_equal(first_picture, other) for other in training_set.pixels[1:]):
        raise TrainingError(
            f"all {usable} pictures in {folder} are equal: nothing can be learnt from one picture; "
            "is the camera frozen?"
        )


def split(n: int, rate: float | None, seed: int) -> Split:
    """Split n pictures at random; see `split_sizes` for how many go where."""
    validation, calibration = split_sizes(n, rate)
    order = np.random.default_rng([seed, 1]).permutation(n)
    return Split(
        train=np.sort(order[validation + calibration :]),
        validation=np.sort(order[:validation]),
        calibration=np.sort(order[validation : validation + calibration]),
    )


def split_sizes(n: int, rate: float | None) -> tuple[int, int]:
    """How many of n good pictures validate and calibrate.

    A fifth calibrates, or more, up to two fifths, where the rate needs it (1 % where none was asked for). Raises
    CalibrationError where a rate that was asked for needs more than that.
    """
    validation = max(2, round(n * VALIDATION_SHARE))
    needed = pictures_needed(0.01 if rate is None else rate)
    most = int(n * LARGEST_CALIBRATION_SHARE)
    if rate is not None and needed > most:
        raise CalibrationError(
            f"a false-alarm rate of {rate:g} needs {needed} good pictures for calibration alone, "
            f"so at least {math.ceil(needed / LARGEST_CALIBRATION_SHARE)} in all; there are {n}: "
            "give more pictures or ask for a higher rate"
        )
    return validation, min(most, max(needed, round(n * CALIBRATION_SHARE)))
