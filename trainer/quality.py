"""What the card says about how well a model sees, as far as the pictures at hand can tell."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oddlot.errors import TrainingError, UnreadablePicture
from oddlot.settings import Settings
from pictures.listing import ListingReport, list_folder
from pictures.preprocessing import Preprocessing
from pictures.reading import read_picture

if TYPE_CHECKING:
    from ganomaly.calibration import Calibration
    from ganomaly.detector import Detector

CHUNK = 256
"""Pictures that are scored at a time, at most."""


def check_folder(folder: Path) -> None:
    """Raises TrainingError unless the folder holds a file."""
    if not folder.is_dir() or next(list_folder(folder, ListingReport(), settle_seconds=0), None) is None:
        raise TrainingError(f"{folder} holds no files: --defects takes a folder of pictures of defects")


def recall_on_defects(
    folder: Path,
    detector: "Detector",
    calibration: "Calibration",
    preprocessing: Preprocessing,
    settings: Settings,
) -> dict[str, Any]:
    """Share of known defective pictures that the threshold flags; the threshold itself is not moved by them.

    Returns pictures, flagged and recall (0..1). Raises TrainingError where the folder holds no usable picture.
    """
    raw: list[np.ndarray] = []
    chunk: list[np.ndarray] = []
    for file in list_folder(folder, ListingReport(), settle_seconds=settings.settle_seconds):
        try:
            picture = read_picture(
                file.path, preprocessing, root=str(folder.resolve()),
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
    }


def raw_scores(
    detector: "Detector", pixels: np.ndarray, pictures: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """Raw scores of the pictures with these numbers of the mapped array `pixels`, some of them in memory at a time."""
    step = preprocessing.at_once(CHUNK)
    parts = [pictures[i : i + step] for i in range(0, len(pictures), step)]
    return np.concatenate([detector.score(pixels[part], maps=False).raw for part in parts])
