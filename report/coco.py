"""Flagged items for labelling tools: the COCO format of object detection, as FiftyOne, CVAT and Label Studio read it.

A folder with `labels.json` and, where pictures are copied, `data/`. Format: https://cocodataset.org/#format-data
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine

import oddlot
from db.items import ItemDetail, get_item
from db.verdicts import VerdictRow, verdicts_of
from oddlot.errors import BundleError, OddlotError, UnreadablePicture
from oddlot.settings import Settings
from oddlot.words import Verdict
from pictures.decoding import decode, read_bytes
from pictures.heatmap import Heat, unpack_heat
from pictures.outline import Outline, outlines
from pictures.preprocessing import Preprocessing

LABELS, DATA = "labels.json", "data"
UNJUDGED = "odd"
"""Category of a spot of which nobody has said what it is."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_SMALL = 64
"""Only the size of the picture is wanted: a large JPEG may be decoded small."""


@dataclass
class Exported:
    """What is in the folder; `left_out` are items without a picture, `without_map` have one and no heat map."""

    images: int = 0
    annotations: int = 0
    without_map: int = 0
    left_out: list[dict[str, Any]] = field(default_factory=list)


def export_coco(
    engine: Engine, settings: Settings, items: Iterable[int], folder: Path, *, copy: bool, force: bool = False
) -> Exported:
    """Write one image an item, and one annotation for each spot of its stored heat map above the threshold.

    A spot's category is the kind that the latest verdict names, `defect` where it names none, `odd` where there is no
    verdict or it is `unsure`; an item that was judged good has no annotations. Coordinates are those of the upright
    picture. `copy`: the very bytes that were inspected are put into `data/`, as ITEM with the file's ending; otherwise
    `file_name` is the absolute path. A picture that is gone or has changed is left out and said.

    `labels.json` appears when all is there. Raises OddlotError where there is one and not `force`, or the folder
    cannot be written.
    """
    target = folder / LABELS
    if target.exists() and not force:
        raise OddlotError(f"{target} exists: choose another folder, or --force to replace it")
    part, spots = folder / f".{LABELS}.partial", folder / ".annotations.partial"
    try:
        (folder / DATA if copy else folder).mkdir(parents=True, exist_ok=True)
        # Annotations stand behind the images in the file, and neither list is held in memory.
        with part.open("w", encoding="ascii") as labels, spots.open("w+", encoding="ascii") as annotations:
            exported = _write(engine, settings, items, folder if copy else None, labels, annotations)
        os.replace(part, target)
    except OSError as error:
        raise OddlotError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    finally:
        for path in (part, spots):
            with contextlib.suppress(OSError):
                path.unlink()
    return exported


def _write(
    engine: Engine, settings: Settings, items: Iterable[int], folder: Path | None, labels: IO[str],
    annotations: IO[str],
) -> Exported:  # fmt: skip
    exported, categories = Exported(), {UNJUDGED: 1}
    about = {"description": "Oddlot: items and the spots of their heat maps", "version": oddlot.__version__}
    labels.write(f'{{"info": {json.dumps(about)},\n"licenses": [],\n"images": [')
    for item_id in items:
        detail = get_item(engine, item_id)
        said = next(iter(verdicts_of(engine, item_id)), None)
        try:
            image, found = _image(settings, detail, said, folder)
        except UnreadablePicture as reason:
            exported.left_out.append({"item": item_id, "path": detail.path, "why": str(reason)})
            continue
        labels.write((",\n" if exported.images else "\n") + json.dumps(image))
        exported.images += 1
        exported.without_map += found is None
        if said is not None and said.verdict == Verdict.GOOD:
            continue
        name = _category(said)
        for spot in found or ():
            exported.annotations += 1
            number = categories.setdefault(name, len(categories) + 1)
            record = _annotation(exported.annotations, item_id, number, spot)
            annotations.write((",\n" if exported.annotations > 1 else "\n") + json.dumps(record))
    labels.write('\n],\n"annotations": [')
    annotations.seek(0)
    for line in annotations:
        labels.write(line)
    named = [{"id": number, "name": name, "supercategory": "anomaly"} for name, number in categories.items()]
    labels.write(f'\n],\n"categories": {json.dumps(named)}}}\n')
    return exported


def _image(
    settings: Settings, detail: ItemDetail, said: VerdictRow | None, folder: Path | None
) -> tuple[dict[str, Any], list[Outline] | None]:
    """An image of COCO, and the spots on it; None where there is no map. Raises UnreadablePicture, and OSError where
    the copy cannot be written."""
    data, sha256 = read_bytes(detail.path, max_file_bytes=settings.max_file_bytes, root=detail.source)
    if sha256 != detail.sha256:
        raise UnreadablePicture("it is not the file that was inspected: its SHA-256 differs")
    width, height = decode(data, max_pixels=settings.max_pixels, target=_SMALL).upright
    name = detail.path
    if folder is not None:
        suffix = os.path.splitext(detail.path)[1]
        name = f"{detail.item_id}{suffix.lower() if _SUFFIX.fullmatch(suffix) else ''}"
        (folder / DATA / name).write_bytes(data)
    heat = _heat(settings, detail)
    image = {
        "id": detail.item_id, "file_name": name, "width": width, "height": height, "sha256": sha256,
        "job": detail.job_id, "model": detail.model_name, "model_version": detail.model_version,
        "score": detail.score, "p_value": detail.p_value, "verdict": said and str(said.verdict),
        "path": detail.path,
    }  # fmt: skip
    return image, None if heat is None else outlines(heat, width, height, _looks(detail).region)


def _heat(settings: Settings, detail: ItemDetail) -> Heat | None:
    if detail.map_uri is None:
        return None
    try:
        _looks(detail)
        return unpack_heat((settings.map_store / detail.map_uri).read_bytes())
    except (OSError, ValueError, BundleError):  # gone, damaged, or of a model whose card does not say where it lies
        return None


def _looks(detail: ItemDetail) -> Preprocessing:
    """Raises BundleError where the model's card, which may have been carried here, says nonsense."""
    return Preprocessing.from_dict(detail.card.get("preprocessing"))


def _category(said: VerdictRow | None) -> str:
    if said is None or said.verdict != Verdict.DEFECT:
        return UNJUDGED
    return (said.kind or "").strip() or str(Verdict.DEFECT)


def _annotation(number: int, image: int, category: int, spot: Outline) -> dict[str, Any]:
    return {
        "id": number, "image_id": image, "category_id": category, "iscrowd": 0, "area": round(spot.area, 2),
        "bbox": [round(value, 2) for value in spot.box], "segmentation": [spot.corners.ravel().tolist()],
        "score": spot.heat,
    }  # fmt: skip
