"""The report of a job: one HTML file that needs nothing beside it, on a screen and on paper."""

from functools import cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy import Engine

import oddlot
from db.engine import now, reading
from db.jobs import JobRow, deferred_files, get_job
from db.models import get_model_by_id
from db.nights import scores_in_order, verdict_counts
from db.results import ResultFilter, iter_results
from oddlot.settings import Settings
from oddlot.words import ItemState, JobState, Verdict
from report import charts, night_charts, summary
from report.links import item_link, job_link
from report.model_card import model_card
from report.odd_pictures import odd_pictures, shown_path

MOST_FILES = 200
"""Files that are named in each list of those that were not inspected."""


def make_report(settings: Settings, engine: Engine, job_id: int | Literal["last"]) -> str:
    """The HTML of the report, less than 10 MB. Thumbnails that are made for it are kept in their store.

    What is missing (pictures, heat maps, the bundle, results that were pruned) is said, and never an error. Raises
    NotFoundError where there is no such job.
    """
    row = get_job(engine, job_id)
    model = get_model_by_id(engine, row.model_id)
    # What is left of a pruned job is what was judged, not the night.
    scores = scores_in_order(engine, row.id) if row.pruned_at is None else []
    calibration = night_charts.calibration_of(settings, model)
    trend, nights = night_charts.night_trend(engine, row)
    evidence = night_charts.evidence_of(row.validity)
    odd = list(odd_pictures(settings, engine, row.id, row.source))
    with reading(engine) as connection:
        made_at = now(connection)
    return environment().get_template("job.html").render(
        job=row,
        headline=summary.headline(row),
        tone=_tone(row),
        reasons=summary.reasons(row),
        notes=summary.reasons(row, "notes"),
        decision=summary.decision(row),
        speaking=[one for one in evidence if one.speaks],
        silent=[one for one in evidence if not one.speaks],
        histogram=night_charts.score_histogram(scores, calibration) if scores else None,
        scatter=night_charts.score_scatter(scores) if scores else None,
        calibration=calibration,
        trend=trend,
        nights=nights,
        odd=odd,
        any_heat=any(one.heat for one in odd),
        lists=[
            (title, count, _not_inspected(engine, row, state))
            for title, count, state in (
                ("Could not be read", row.unreadable, ItemState.UNREADABLE),
                ("Set aside, because inspecting them failed", row.quarantined, ItemState.QUARANTINED),
            )
            if count
        ],
        deferred=[shown_path(path, row.source) for path in deferred_files(engine, row.id)[:MOST_FILES]],
        verdicts=_verdicts(engine, row),
        card=model_card(model),
        link=job_link(settings, row.id),
        item_link=lambda item_id: item_link(settings, item_id),
        version=oddlot.__version__,
        made_at=made_at,
        chart_colours=charts.stylesheet(),
    )  # fmt: skip


@cache
def environment() -> Environment:
    """Templates that escape all they are given; names of files may hold anything."""
    made = Environment(
        loader=PackageLoader("report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=lambda value: summary.plain(value) if type(value) is str else value,
    )  # fmt: skip
    made.filters["moment"] = lambda moment: "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
    made.filters["number"] = lambda number: f"{number:,}"
    made.filters["chart"] = Markup  # made by `charts`, which escapes
    made.globals["counted"] = summary.counted
    return made


def _tone(row: JobRow) -> str:
    """`calm`, `look` or `alarm`: how the headline is coloured."""
    if row.state in (JobState.HELD, JobState.FAILED) or row.unaccounted:
        return "alarm"
    return "look" if row.flagged or row.unreadable or row.quarantined or row.state != JobState.DONE else "calm"


def _not_inspected(engine: Engine, row: JobRow, state: ItemState) -> list[dict[str, Any]]:
    wanted = ResultFilter(job_id=row.id, state=state, limit=MOST_FILES)
    return [
        {"name": shown_path(found["path"], row.source), "why": found["error"] or "no reason was recorded"}
        for found in iter_results(engine, wanted)
    ]


def _verdicts(engine: Engine, row: JobRow) -> dict[str, int] | None:
    """How many flagged items people have looked at and what they said; None where nobody has."""
    counts = verdict_counts(engine, row.id)
    if not counts:
        return None
    flagged = {str(word): counts.get((True, word), 0) for word in Verdict}
    others = sum(count for (is_flagged, _), count in counts.items() if not is_flagged)
    return {**flagged, "looked_at": sum(flagged.values()), "unflagged": others}
