"""The good pictures of a fit: found, read once, and kept decoded.

Decoded pictures stand in one array, in memory or mapped from disk (`ganomaly.room`), so that memory does not grow with
the set.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ganomaly.room import Room
from oddlot.appearance import NEIGHBOURS
from oddlot.errors import TrainingError, UnreadablePicture
from oddlot.places import ObjectPath, Place
from oddlot.settings import Settings
from pictures.appearance import Appearance
from pictures.listing import FoundFile, ListingReport
from pictures.preprocessing import Preprocessing
from pictures.reading import Picture, read_picture
from pictures.sources import list_source, root_of
from trainer.from_verdicts import Judged

FEWEST_PICTURES = 20
MOST_APPEARANCES = 10_000
"""Pictures whose appearance is kept, about; 4 kB each."""


@dataclass(frozen=True)
class TrainingSet:
    """Decoded good pictures.

    `pixels` is (n, height, width, channels), uint8 or float32 in 0..255; `fingerprint` is a SHA-256
    over the hashes of the files, independent of their names; `refused` holds path and reason of what was not read;
    `files` are those of the n pictures as they were listed, `appearances` how they look, or of many pictures
    some thousands, in runs of neighbours; `defects` are the paths among the refused ones of which a verdict says that
    they show a defect.
    """

    pixels: np.ndarray
    hashes: list[str]
    refused: list[tuple[str, str]]
    fingerprint: str
    files: list[FoundFile]
    defects: list[str] = field(default_factory=list)
    appearances: list[Appearance] = field(default_factory=list)


def find_good_pictures(folder: Place, settings: Settings) -> list[FoundFile]:
    """The files below a folder or prefix. Raises OddlotError where it is neither, TrainingError where it is empty."""
    report = ListingReport()
    files = sorted(list_source(folder, report, settle_seconds=settings.settle_seconds), key=lambda f: f.path)
    if not files:
        raise TrainingError(f"{folder} holds no files: give a folder of pictures of good parts")
    if len(files) < FEWEST_PICTURES:
        raise TrainingError(
            f"{folder} holds {len(files)} pictures; a fit needs at least {FEWEST_PICTURES} of good parts"
        )
    return files


def read_pictures(
    files: list[FoundFile], root: Place, preprocessing: Preprocessing, settings: Settings, room: Room,
    *, threads: int, on_read: Callable[[int, int], None] | None = None, judged: Judged | None = None,
) -> TrainingSet:  # fmt: skip
    """Decode all files into an array in `room`; `on_read` is told (done, of).

    A file that cannot be read is left out and named in `refused`; so is one that must not be learnt from, as verdicts
    say (`judged`).
    """
    judged = judged or Judged()
    good_root = root_of(root)

    def read(file: FoundFile) -> Picture | UnreadablePicture:
        try:
            picture = read_picture(
                file.path, preprocessing, root=judged.roots.get(file.path, good_root),
                expected=(file.size, file.mtime_ns), etag=file.etag, max_pixels=settings.max_pixels,
                max_file_bytes=settings.max_file_bytes,
            )  # fmt: skip
        except UnreadablePicture as reason:
            return reason
        reason_against = judged.why_not(file.path, picture.sha256)
        return picture if reason_against is None else UnreadablePicture(reason_against, picture.sha256)

    shape = (len(files), *preprocessing.shape)
    dtype = np.uint8 if preprocessing.depth == 8 else np.float32
    pixels = room.array("decoded pictures", shape, dtype)
    hashes: list[str] = []
    usable: list[FoundFile] = []
    appearances: list[Appearance] = []
    every = -(-len(files) // MOST_APPEARANCES)
    refused: list[tuple[str, str]] = []
    defects: list[str] = []
    if isinstance(root, ObjectPath):  # each is long on its way
        threads = max(threads, settings.s3_reads)
    with ThreadPoolExecutor(threads) as readers:
        for done, (file, picture) in enumerate(zip(files, readers.map(read, files), strict=True), start=1):
            if isinstance(picture, UnreadablePicture):
                refused.append((file.path, str(picture)))
                if picture.sha256 in judged.defects:
                    defects.append(file.path)
            else:
                pixels[len(hashes)] = picture.pixels
                hashes.append(picture.sha256)
                usable.append(file)
                if (done - 1) // NEIGHBOURS % every == 0:
                    appearances.append(picture.appearance)
            if on_read is not None:
                on_read(done, len(files))
    digest = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return TrainingSet(pixels[: len(hashes)], hashes, refused, digest, usable, defects, appearances)


def check_usable(training_set: TrainingSet, folder: Place) -> None:
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
