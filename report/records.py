"""A finished job as a record for another program, and what the e-mail is made of."""

from typing import Any

from sqlalchemy import Engine

from db.jobs import JobRow
from db.models import get_model_by_id
from db.results import ResultFilter, iter_results
from oddlot.settings import Settings
from report import summary
from report.links import item_link, job_link
from report.odd_pictures import shown_path

TOP = 20
"""Flagged items, the most suspicious, that a record names."""


def job_summary(settings: Settings, engine: Engine, row: JobRow) -> dict[str, Any]:
    """Plain values for JSON, described in docs/report.md. Text is valid Unicode, whatever the files are called."""
    model = get_model_by_id(engine, row.model_id)
    wanted = ResultFilter(job_id=row.id, flagged_only=True, limit=TOP)
    top = [
        {
            "item": found["item"], "file": summary.plain(shown_path(found["path"], row.source)),
            "score": found["score"], "p_value": found["p_value"], "verdict": found["verdict"] and str(found["verdict"]),
            "link": item_link(settings, found["item"]),
        }
        for found in iter_results(engine, wanted)
    ]  # fmt: skip
    return {
        "headline": summary.plain(summary.headline(row)),
        "job": {
            "id": row.id, "state": str(row.state), "lot": summary.plain(row.lot),
            "line": row.line and summary.plain(row.line), "night": row.night.isoformat(),
            "source": summary.plain(row.source), "model": row.model_name, "version": row.model_version,
            "bundle_sha256": model.bundle_sha256, "created_at": row.created_at.isoformat(timespec="seconds"),
            "finished_at": row.finished_at and row.finished_at.isoformat(timespec="seconds"),
            "error": row.error and summary.plain(row.error),
        },
        "completeness": {
            "listed": row.listed, "scored": row.scored, "unreadable": row.unreadable, "quarantined": row.quarantined,
            "cancelled": row.cancelled, "unaccounted": row.unaccounted,
        },
        "held": [summary.plain(text) for text in summary.reasons(row)],
        "notes": [summary.plain(text) for text in summary.reasons(row, "notes")],
        "flagged": row.flagged,
        "top": top,
        "link": job_link(settings, row.id),
    }  # fmt: skip
