"""The charts of one night: its scores over those of the calibration, in their order, and beside the nights before."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from db.jobs import JobRow
from db.models import ModelRow
from db.nights import NightRow, nights_until
from ganomaly.bundle import read_bundle_head
from ganomaly.bundle_store import bundle_folder
from ganomaly.calibration import Calibration
from oddlot.errors import BundleError, StoreError
from oddlot.settings import Settings
from report.charts import Series, TrendLine, TrendPoint, histogram, scatter, trend
from report.summary import counted, plain, sentence

BINS = 40
NIGHTS = 30
MOST_EVIDENCE = 12


def calibration_of(settings: Settings, model: ModelRow) -> Calibration | None:
    """What the model's bundle says of good pictures; None where the bundle is gone or damaged, or its
    store does not answer."""
    try:
        folder = bundle_folder(settings.model_store / model.bundle_uri, model.bundle_sha256, settings.home)
        return read_bundle_head(folder, model.bundle_sha256).calibration
    except (BundleError, StoreError):
        return None


def score_histogram(scores: list[float], calibration: Calibration | None) -> str:
    """Scores of the night in front of those of the calibration pictures, with the threshold at 0.5."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    series = []
    if calibration is not None:
        good = _shares(calibration.normalise(calibration.scores), edges)
        series.append(Series(f"calibration ({calibration.n:,})", good, "model"))
    series.append(Series(f"tonight ({len(scores):,})", _shares(np.asarray(scores), edges), "tonight"))
    return histogram(series, edges=edges.tolist(), threshold=0.5, title="How often each score occurs", x_label="score")


def score_scatter(scores: list[float]) -> str:
    """Every score in the order in which the pictures were listed."""
    return scatter(scores, title="Every score, in the order of the files", x_label="pictures in the order listed")


def night_trend(engine: Engine, row: JobRow) -> tuple[str, list[NightRow]]:
    """The flagged share over the last nights of the same line and model, and the numbers behind it."""
    nights = nights_until(engine, row, NIGHTS)
    points = [
        TrendPoint(night.night.isoformat(), 100 * night.flagged / night.scored if night.scored else None, night.mark)
        for night in nights
    ]
    where = plain(row.line) if row.line else "no line"
    title = f"Flagged share over {counted(len(nights), 'night')} ({where}, model {row.model_name})"
    return trend([TrendLine(where, points)], title=title), nights


@dataclass(frozen=True)
class Evidence:
    """One property in which the night was compared with the model's pictures; `speaks` where it is a reason to hold
    it."""

    title: str
    chart: str
    speaks: bool


def evidence_of(validity: Any) -> list[Evidence]:
    """The comparisons of a night, those that are reasons first; what has another shape is left out."""
    evidence = validity.get("evidence") if isinstance(validity, dict) else None
    reasons = validity.get("reasons") if isinstance(validity, dict) else None
    speaking = (
        {str(one.get("what")) for one in reasons if isinstance(one, dict)} if isinstance(reasons, list) else set()
    )
    found = []
    for name, one in list(evidence.items())[:MOST_EVIDENCE] if isinstance(evidence, dict) else []:
        if not isinstance(one, dict) or not all(_numbers(one.get(key)) for key in ("edges", "model", "tonight")):
            continue
        series = [Series("the model's pictures", one["model"], "model"), Series("tonight", one["tonight"], "tonight")]
        title = sentence(str(one.get("title") or name), end="")
        chart = histogram(series, edges=one["edges"], title=title, x_label=plain(str(one.get("unit") or "")))
        found.append(Evidence(title, chart, name in speaking))
    return sorted(found, key=lambda one: not one.speaks)


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    counts, _ = np.histogram(values, edges)
    shares: list[float] = (counts / max(1, len(values))).tolist()
    return shares


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)
