"""The most suspicious pictures of a job for a page that stands alone: as data URIs, within a budget."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from sqlalchemy import Engine

from db.items import ItemDetail, get_item
from db.results import ResultFilter, iter_results
from oddlot.errors import BundleError, NotFoundError
from oddlot.places import is_address, seen_from
from oddlot.settings import Settings
from pictures.heatmap import unpack_heat
from pictures.preprocessing import Preprocessing
from pictures.thumbnail import make_layer, size_of
from report.thumbnails import thumbnail_of

MOST = 100
"""Flagged items that are shown."""
PICTURE_BYTES = 4_000_000
"""Bytes of all pictures together: as a data URI, and that in an e-mail, they are near twice as many."""


@dataclass(frozen=True)
class OddPicture:
    """One flagged item; `picture` and `heat` are data URIs of one size, `width` x `height` pixels, or None."""

    number: int
    item: int
    name: str
    score: float
    p_value: float
    verdict: str | None
    note: str | None
    picture: str | None
    heat: str | None
    width: int
    height: int
    why_none: str | None


def odd_pictures(settings: Settings, engine: Engine, job_id: int, source: str) -> Iterator[OddPicture]:
    """The flagged items of a job, most suspicious first."""
    left = PICTURE_BYTES
    wanted = ResultFilter(job_id=job_id, flagged_only=True, limit=MOST)
    for number, row in enumerate(list(iter_results(engine, wanted)), start=1):
        shown = _pictures(settings, engine, row, left)
        left -= sum(len(uri) for uri in (shown["picture"], shown["heat"]) if uri) * 3 // 4
        yield OddPicture(
            number=number, item=row["item"], name=shown_path(row["path"], source), score=row["score"],
            p_value=row["p_value"], verdict=row["verdict"], note=row["note"], **shown,
        )  # fmt: skip


def shown_path(path: str, source: str) -> str:
    """The path of a file as seen from the folder that was submitted, or the key of an object from its prefix."""
    if is_address(path):
        return seen_from(path, source)
    try:
        return str(PurePath(path).relative_to(source))
    except ValueError:
        return path


def _pictures(settings: Settings, engine: Engine, row: dict[str, Any], left: int) -> dict[str, Any]:
    nothing = {"picture": None, "heat": None, "width": 0, "height": 0}
    if left <= 0:
        return {**nothing, "why_none": "left out to keep this file small"}
    try:
        item = get_item(engine, row["item"])
    except NotFoundError:  # pruned in this moment
        return {**nothing, "why_none": "removed"}
    thumbnail = thumbnail_of(settings, item)
    if thumbnail is None:
        return {**nothing, "why_none": "the picture is gone or has changed"}
    width, height = size_of(thumbnail)
    layer = _layer(settings, item, width, height)
    return {
        "picture": _data_uri(thumbnail), "heat": None if layer is None else _data_uri(layer), "width": width,
        "height": height, "why_none": None,
    }  # fmt: skip


def _layer(settings: Settings, item: ItemDetail, width: int, height: int) -> bytes | None:
    if item.map_uri is None:
        return None
    try:
        region = Preprocessing.from_dict(item.card.get("preprocessing")).region
        return make_layer(unpack_heat((settings.map_store / item.map_uri).read_bytes()), width, height, region)
    except (BundleError, OSError, ValueError):  # no map, or nobody knows where it lies
        return None


def _data_uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")
