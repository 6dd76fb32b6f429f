"""A home as it stands in the morning: nights, jobs, pictures, heat maps, a model; made without a fit or a worker."""

import datetime as dt
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sqlalchemy import Engine, insert, update

from db import batches, jobs, listing, models
from db.batches import Outcome
from db.engine import now, writing
from db.models import ModelRow
from db.schema import audit, item, job, result
from ganomaly.arrays import pack_arrays
from ganomaly.bundle_folder import write_folder
from ganomaly.manifest import MANIFEST, make_manifest, sha256_of
from oddlot.settings import Settings
from oddlot.words import ItemState, JobState
from pictures.decoding import read_bytes
from pictures.drawing import draw_part
from pictures.heatmap import pack_heat
from pictures.preprocessing import Preprocessing
from worker.map_store import MapWriter

NIGHT = dt.date(2026, 5, 20)
HOSTILE = '<img src=x onerror=alert(1)>"&.png'
NOT_TEXT = os.fsdecode(b"not-text-\xff.png")
LOOKS = Preprocessing(64, 3)
HELD = {
    "reasons": [
        {"what": "brightness", "text": "The pictures are much darker than those the model knows: a lamp may be off."},
        {"what": "markup", "text": "<b>A lot</b> called <script>alert(1)</script> & more."},
    ],
    "notes": [{"what": "lot", "text": "Every third picture is flagged."}],
    "evidence": {
        "brightness": {
            "title": "Mean brightness", "edges": [0, 50, 100, 150, 200], "model": [0, 0.1, 0.8, 0.1],
            "tonight": [0.7, 0.3, 0, 0], "unit": "gray level",
        },
        "broken": {"title": "nothing"},
    },
    "decided": None,
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A finished job: its number, and the items by file name."""

    job_id: int
    items: dict[str, int]


@dataclass(frozen=True)
class Home:
    settings: Settings
    jobs: dict[str, Made]

    @property
    def night(self) -> Made:
        return self.jobs["night"]


def draw(path: Path, seed: int, *, spot: tuple[float, float] | None = None, side: int = 96) -> None:
    """A part; with a dark scratch at a place that is given as shares of the picture."""
    picture = Image.fromarray(draw_part(np.random.default_rng(seed), side=side))
    if spot is not None:
        x, y = spot[0] * side, spot[1] * side
        pen, long = ImageDraw.Draw(picture), side * 0.09
        pen.line([x - long, y - long * 0.6, x + long, y + long * 0.6], fill=(52, 50, 50), width=max(2, side // 60))
    picture.save(path)


def heat_at(spot: tuple[float, float], top: float, side: int = 32) -> bytes:
    """A stored map with its hottest place, as hot as `top`, at `spot`."""
    yy, xx = (np.mgrid[0:side, 0:side] + 0.5) / side
    hill = np.exp(-(((xx - spot[0]) / 0.09) ** 2 + ((yy - spot[1]) / 0.07) ** 2))
    return pack_heat(0.2 + (max(top, 0.3) - 0.2) * hill)


def make_model(engine: Engine, settings: Settings, *, golden: int = 3, version: int = 1) -> ModelRow:
    """A model whose bundle holds good pictures, and of the rest only as much as must be there."""
    pictures = np.stack([draw_part(np.random.default_rng(1000 + n), side=64) for n in range(golden)])
    files = {
        "network.json": b"{}", "weights.npz": b"", "calibration.json": b"{}", "preprocessing.json": b"{}",
        "card.json": b"{}", "synthetic.png": b"",
        "golden.npz": pack_arrays({"pictures": pictures, "raw": np.zeros(golden)}),
    }  # fmt: skip
    manifest = make_manifest(files)
    write_folder(settings.model_store / "flange" / str(version), files | {MANIFEST: manifest})
    return models.register_model(
        engine, name="flange", bundle_uri=f"flange/{version}", bundle_sha256=sha256_of(manifest),
        architecture="features", threshold=1.5, false_alarms=0.01, card={"preprocessing": LOOKS.to_dict()},
    )  # fmt: skip


def make_job(
    engine: Engine, settings: Settings, model: ModelRow, folder: Path, scores: dict[str, float | None], *,
    line: str | None = "press-3", night: dt.date = NIGHT, audited: tuple[str, ...] = (), side: int = 96,
    validity: dict[str, Any] | None = None,
) -> Made:  # fmt: skip
    """A job of drawn pictures with these scores; None stands for a file that is no picture. Heat maps are kept of the
    flagged and the audited."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(night.toordinal())
    spots = {
        name: (float(x), float(y)) for name, (x, y) in zip(scores, rng.uniform(0.3, 0.7, (len(scores), 2)), strict=True)
    }
    files = []
    for number, (name, score) in enumerate(scores.items()):
        path = folder / name
        if score is None:
            path.write_bytes(b"this is no picture")
        else:
            draw(path, seed=number, spot=spots[name] if score > 0.5 else None, side=side)
        status = path.stat()
        files.append((str(path), status.st_size, status.st_mtime_ns))
    job_id, _ = jobs.create_job(
        engine, model_id=model.id, source=str(folder), line=line, lot=folder.name, priority=5, recursive=True,
        glob=None, only_new=False, key=None, night=night,
    )  # fmt: skip
    listing.add_items(engine, job_id, files, 1, 1000)
    listing.close_listing(engine, job_id, found=len(files), seen_before=0, left_out={}, deferred=[])
    claim = batches.claim_batch(engine, job_id, 1, "me", 60.0)
    assert claim is not None
    writer, outcomes, items = MapWriter(settings.map_store, job_id), [], {}
    for one in claim.items:
        name = os.path.basename(one.path)
        items[name], score = one.id, scores[name]
        if score is None:
            outcomes.append(Outcome(one.id, ItemState.UNREADABLE, error="not a picture of a known format"))
            continue
        flagged = score > 0.5
        uri = writer.write(one.id, heat_at(spots[name], score)) if flagged or name in audited else None
        outcomes.append(Outcome(
            one.id, ItemState.SCORED, sha256=read_bytes(one.path, max_file_bytes=10**9)[1], raw_score=3 * score,
            score=score, p_value=max(0.001, 1 - score), flagged=flagged, parts={}, map_uri=uri,
        ))  # fmt: skip
    batches.finish_batch(engine, claim, outcomes, host="here", code_version="0.1.0")
    with writing(engine) as connection:
        if audited:
            rows = [{"item_id": items[name], "job_id": job_id, "share": 0.1} for name in audited]
            connection.execute(insert(audit), rows)
        if validity is not None:
            connection.execute(update(job).where(job.c.id == job_id).values(state=JobState.HELD, validity=validity))
    return Made(job_id, items)


def make_many(engine: Engine, model: ModelRow, count: int, *, night: dt.date, line: str = "press-3") -> int:
    """A finished job of `count` flagged items without files behind them; returns its number."""
    job_id, _ = jobs.create_job(
        engine, model_id=model.id, source="/data/many", line=line, lot="many", priority=5, recursive=True, glob=None,
        only_new=False, key=None, night=night,
    )  # fmt: skip
    scores = 0.5 + 0.5 * np.random.default_rng(0).beta(1, 6, count)
    with writing(engine) as connection:
        moment = now(connection)
    listing.add_items(engine, job_id, [(f"/data/many/{n:07}.png", 1, 1) for n in range(count)], 1, max(1, count))
    with writing(engine) as connection:
        numbers = connection.execute(item.select().with_only_columns(item.c.id).where(item.c.job_id == job_id))
        rows = [
            {"item_id": number, "job_id": job_id, "model_id": model.id, "raw_score": score, "score": score,
             "p_value": 0.01, "flagged": True, "parts": {}, "scored_at": moment, "night": night, "line": line}
            for number, score in zip(numbers.scalars().all(), scores.tolist(), strict=True)
        ]  # fmt: skip
        connection.execute(update(item).where(item.c.job_id == job_id).values(state=ItemState.SCORED, sha256="a" * 64))
        connection.execute(insert(result), rows)
        counts = {"listed": count, "found": count, "scored": count, "flagged": count}
        connection.execute(
            update(job).where(job.c.id == job_id).values(
                state=JobState.DONE, listed_at=moment, started_at=moment, finished_at=moment, **counts
            )
        )  # fmt: skip
    return job_id


def make_morning(
    engine: Engine, settings: Settings, folder: Path, *, side: int = 96, hostile: bool = True
) -> dict[str, Made]:  # fmt: skip
    """Quiet nights, last night on two lines, one of them held; with `hostile`, names that nobody would wish for."""
    model = make_model(engine, settings)
    for back in range(9, 1, -1):
        night = NIGHT - dt.timedelta(days=back)
        for line, level in (("press-3", 2), ("press-4", 1)):
            names = {f"flange-{n:04}.png": 0.6 + n / 100 if n < level + back % 3 else 0.2 for n in range(20)}
            make_job(engine, settings, model, folder / f"{night}-{line}", names, line=line, night=night, side=32)
    scores: dict[str, float | None] = {f"flange-{n:04}.png": 0.98 - 0.05 * n for n in range(8)}
    scores |= {f"flange-{n:04}.png": 0.05 + 0.01 * n for n in range(8, 30)}
    scores |= {"broken.png": None}
    held = HELD
    if hostile:
        scores |= {HOSTILE: 0.71, NOT_TEXT: 0.66}
    else:
        held = HELD | {"reasons": HELD["reasons"][:1], "notes": []}
    earlier = {f"flange-{n:04}.png": 0.3 if n else 0.8 for n in range(4)}
    yesterday = NIGHT - dt.timedelta(days=1)
    return {
        "earlier": make_job(engine, settings, model, folder / "lot 41", earlier, night=yesterday, side=side),
        "held": make_job(
            engine, settings, model, folder / "lot 17", {f"{n:03}.png": 0.55 + n / 20 for n in range(5)},
            line="press-4", validity=held, side=side,
        ),
        "night": make_job(
            engine, settings, model, folder / "lot 42", scores, side=side,
            audited=("flange-0012.png", "flange-0020.png", "flange-0025.png"),
        ),
    }  # fmt: skip


def damaged_png() -> bytes:
    """A PNG that ends in the middle of its pixels."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()[:60]
