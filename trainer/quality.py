"""What the card says about how well a model sees, as far as the pictures at hand can tell."""

from typing import TYPE_CHECKING, Any

import numpy as np

from oddlot.errors import TrainingError, UnreadablePicture
from oddlot.places import ObjectPath, Place
from oddlot.settings import Settings
from pictures.listing import ListingReport
from pictures.preprocessing import Preprocessing
from pictures.reading import read_picture
from pictures.sources import list_source, root_of

if TYPE_CHECKING:
    from ganomaly.calibration import Calibration
    from ganomaly.scoring import Scorer, Scores

CHUNK = 256
"""Pictures that are scored at a time, at most."""


def check_folder(folder: Place) -> None:
    """Raises TrainingError unless the folder or prefix holds a file, OddlotError where it cannot be listed."""
    if not isinstance(folder, ObjectPath) and not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder: --defects takes a folder of pictures of defects")
    if next(list_source(folder, ListingReport(), settle_seconds=0), None) is None:
        raise TrainingError(f"{folder} holds no files: --defects takes a folder of pictures of defects")


def recall_on_defects(
    folder: Place,
    detector: "Scorer",
    calibration: "Calibration",
    preprocessing: Preprocessing,
    settings: Settings,
) -> dict[str, Any]:
    """Share of known defective pictures that the threshold flags; the threshold itself is not moved by them.

    Returns pictures, flagged, recall (0..1) and best_f1, see `best_f1`. Raises TrainingError where the folder holds no
    usable picture.
    """
    raw: list[np.ndarray] = []
    chunk: list[np.ndarray] = []
    root = root_of(folder)
    for file in list_source(folder, ListingReport(), settle_seconds=settings.settle_seconds):
        try:
            picture = read_picture(
                file.path, preprocessing, root=root, etag=file.etag,
                max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes,
            )  # fmt: skip
        except UnreadablePicture:
            continue
        chunk.append(picture.pixels)
        if len(chunk) == preprocessing.at_once(CHUNK):
            raw.append(detector.score(np.stack(chunk), maps=False).raw)
            chunk = []
    if chunk:
        raw.append(detector.score(np.stack(chunk), maps=False).raw)
    if not raw:
        raise TrainingError(f"{folder} holds no usable picture: --defects takes a folder of pictures of defects")
    scores = np.concatenate(raw)
    flagged = int(calibration.flagged(scores).sum())
    return {
        "folder": str(folder),
        "pictures": len(scores),
        "flagged": flagged,
        "recall": flagged / len(scores),
        "best_f1": best_f1(calibration.scores, scores),
    }


def best_f1(good: np.ndarray, odd: np.ndarray) -> dict[str, float]:
    """Where a threshold would best tell the raw scores `odd` (k,) from `good` (n,), were it chosen with both in view.

    F1 is the harmonic mean of precision and recall of what lies above the threshold. Returns threshold, f1, recall and
    false_alarms, the share of `good` above it; of thresholds that are equally good, the highest. As it is chosen on
    these very scores it flatters, and with other numbers of good and odd it lies elsewhere: it is shown, not used.
    """
    thresholds = np.unique(np.concatenate([good, odd]).astype(np.float64))
    thresholds = np.append(np.nextafter(thresholds[0], -np.inf), thresholds)  # the first flags all
    found = len(odd) - np.searchsorted(np.sort(odd), thresholds, side="right")
    alarms = len(good) - np.searchsorted(np.sort(good), thresholds, side="right")
    f1 = 2 * found / (found + alarms + len(odd))
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return {
        "threshold": float(thresholds[best]),
        "f1": float(f1[best]),
        "recall": float(found[best] / len(odd)),
        "false_alarms": float(alarms[best] / len(good)),
    }


def scores_of(detector: "Scorer", pixels: np.ndarray, pictures: np.ndarray, preprocessing: Preprocessing) -> "Scores":
    """Scores of the pictures with these numbers of the mapped array `pixels`, some of them in memory at a time."""
    from ganomaly.scoring import Scores

    step = preprocessing.at_once(CHUNK)
    parts = [pictures[i : i + step] for i in range(0, len(pictures), step)]
    return Scores.together([detector.score(pixels[part], maps=False) for part in parts])
