"""Finished jobs with results, with pictures and heat maps on the disk where they are wanted, and without a detector."""

import datetime as dt
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import Engine, update

from db import batches, jobs, listing, models
from db.batches import ItemRow, Outcome
from db.engine import writing
from db.jobs import JobRow
from db.models import ModelRow
from db.schema import job
from oddlot.words import ItemState
from pictures.heatmap import pack_heat

CARD = {
    "preprocessing": {
        "size": 32, "channels": 1, "depth": 8, "window": [0.0, 1.0], "canvas": None, "region": None,
    },
    "pictures": {"training": 40, "validation": 5, "calibration": 19},
    "certificate": "With 95 % confidence at most 9 % of good parts like these are flagged.",
    "honesty": {"says": ["It reliably sees scratches from 12 % of the picture on."], "reason": ""},
    "warnings": ["All calibration pictures come from one day."],
}  # fmt: skip


def some_model(engine: Engine, card: Any = CARD) -> ModelRow:
    return models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.25,
        false_alarms=0.05, card=card,
    )  # fmt: skip


def draw_lot(folder: Path, names: Sequence[str]) -> list[str]:
    """Small pictures of these names; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [f"{folder}/{name}" for name in names]
    for seed, path in enumerate(paths):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 60), dtype=np.uint8)
        with open(os.fsencode(path), "wb") as stream:
            Image.fromarray(pixels).save(stream, "PNG")
    return paths


def listed_job(
    engine: Engine, model: ModelRow, paths: Sequence[str], *, source: str = "/data/lot", lot: str = "lot 7",
    line: str | None = "press-3", night: dt.date = dt.date(2026, 11, 25),
) -> JobRow:  # fmt: skip
    job_id, _ = jobs.create_job(
        engine, model_id=model.id, source=source, line=line, lot=lot, priority=5, recursive=True, glob=None,
        only_new=False, key=None, night=night,
    )  # fmt: skip
    listing.add_items(engine, job_id, [(path, 1000, 10**18) for path in paths], 1, 10_000)
    return listing.close_listing(engine, job_id, found=len(paths), seen_before=0, left_out={}, deferred=[])


def finished_job(
    engine: Engine, model: ModelRow, scores: Sequence[float | str], *, paths: Sequence[str] | None = None,
    map_store: Path | None = None, **values: Any,
) -> JobRow:  # fmt: skip
    """A job that has ended; a text in place of a score is why that item is unreadable.

    With a `map_store` the flagged items have heat maps.
    """
    paths = [f"/data/lot/{i:05}.png" for i in range(len(scores))] if paths is None else paths
    row = listed_job(engine, model, paths, **values)
    if not paths:
        return row
    by_path = dict(zip(paths, scores, strict=True))
    finished, number = None, 1
    while finished is None:
        claim = batches.claim_batch(engine, row.id, number, "me", 60.0)
        assert claim is not None
        outcomes = [_outcome(row.id, item, by_path[item.path], map_store) for item in claim.items]
        finished = batches.finish_batch(engine, claim, outcomes, host="here", code_version="0.1.0")
        number += 1
    return finished


def change_job(engine: Engine, job_id: int, **values: Any) -> JobRow:
    """What another part of the program, or time, would have done to it."""
    with writing(engine) as connection:
        connection.execute(update(job).where(job.c.id == job_id).values(**values))
    return jobs.get_job(engine, job_id)


def _outcome(job_id: int, item: ItemRow, score: float | str, map_store: Path | None) -> Outcome:
    if isinstance(score, str):
        return Outcome(item.id, ItemState.UNREADABLE, error=score)
    flagged, uri = score > 0.5, None
    if map_store is not None and flagged:
        uri = f"{job_id}/{item.id}.png"
        heat = np.full((8, 8), 0.1)
        heat[2:5, 3:6] = 0.95
        (map_store / uri).parent.mkdir(parents=True, exist_ok=True)
        (map_store / uri).write_bytes(pack_heat(heat))
    return Outcome(
        item.id, ItemState.SCORED, sha256=_sha256(item.path), raw_score=score / 2, score=score, p_value=0.05,
        flagged=flagged, parts={"latent": score}, map_uri=uri,
    )  # fmt: skip


def _sha256(path: str) -> str:
    try:
        with open(os.fsencode(path), "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return "a" * 64
