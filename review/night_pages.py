"""The first page: last night at a glance; and the page of one job."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from db.jobs import JobRow, deferred_files, get_job, list_jobs
from db.review import Choice, progress
from db.review_nights import held_jobs, jobs_since, last_night, score_histogram, without_result
from oddlot.words import DOUBTED_JOB_STATES, JobState
from report import charts
from review.filters import Number
from review.rendering import page
from review.wording import line_name, readable, share

router = APIRouter()
NIGHTS = 30
JOBS_SHOWN = 30
TROUBLES_SHOWN = 200
BINS = 50
_OPEN = (JobState.LISTING, JobState.QUEUED, JobState.RUNNING)


@dataclass
class LineNight:
    """What one line brought in one night."""

    line: str | None
    jobs: list[JobRow]

    def total(self, name: str) -> int:
        return sum(getattr(job, name) for job in self.jobs)

    def believed(self, name: str) -> int:
        """The total without jobs that are held or were discarded."""
        return sum(getattr(job, name) for job in self.jobs if job.state not in DOUBTED_JOB_STATES)

    @property
    def with_troubles(self) -> JobRow:
        """The newest job with a file that has no result; the newest where there is none."""
        return next((job for job in self.jobs if job.unreadable + job.quarantined), self.jobs[0])

    def in_state(self, *states: JobState) -> list[JobRow]:
        return [job for job in self.jobs if job.state in states]

    @property
    def open_jobs(self) -> list[JobRow]:
        return self.in_state(*_OPEN)

    @property
    def held(self) -> list[JobRow]:
        return self.in_state(JobState.HELD)

    @property
    def failed(self) -> list[JobRow]:
        return self.in_state(JobState.FAILED)

    @property
    def without_result(self) -> int:
        return self.total("unreadable") + self.total("quarantined")

    @property
    def unaccounted(self) -> int:
        """Pictures of finished jobs in no terminal state: always 0, and shown so that nobody need wonder."""
        return sum(job.unaccounted for job in self.jobs if job.state not in _OPEN)

    @property
    def to_do(self) -> int:
        return sum(max(0, job.unaccounted) for job in self.open_jobs)


@router.get("/")
def overview(request: Request) -> Response:
    engine = request.app.state.engine
    night = last_night(engine)
    if night is None:
        return page(request, "overview.html", night=None, lines=[], held=[], trend=None, jobs=[], reviewed=0, total=0)
    rows = jobs_since(engine, night - dt.timedelta(days=NIGHTS))
    lines = _by_line([row for row in rows if row.night == night])
    reviewed, total = progress(engine, Choice(night=night))
    held = [(row, evidence(row)) for row in held_jobs(engine)]
    return page(
        request, "overview.html", night=night, lines=lines, held=held, trend=_trend(rows),
        jobs=list_jobs(engine, limit=JOBS_SHOWN), reviewed=reviewed, total=total,
    )  # fmt: skip


@router.get("/jobs/{job_id}")
def job_page(request: Request, job_id: Number, after: int = 0) -> Response:
    engine = request.app.state.engine
    row = get_job(engine, job_id)
    troubles = without_result(engine, job_id, after=max(0, min(after, 2**63 - 1)), limit=TROUBLES_SHOWN + 1)
    reviewed, total = progress(engine, Choice(job_id=job_id))
    deferred = deferred_files(engine, job_id)
    return page(
        request, "job.html", job=row, chart=_distribution(request, row), evidence=evidence(row),
        troubles=troubles[:TROUBLES_SHOWN], more=len(troubles) > TROUBLES_SHOWN, reviewed=reviewed, total=total,
        deferred=deferred[:TROUBLES_SHOWN], deferred_count=len(deferred),
    )  # fmt: skip


def _by_line(rows: list[JobRow]) -> list[LineNight]:
    found: defaultdict[str | None, list[JobRow]] = defaultdict(list)
    for row in rows:
        found[row.line].append(row)
    return [LineNight(line, found[line]) for line in sorted(found, key=lambda line: (line is None, line or ""))]


def _trend(rows: list[JobRow]) -> Markup | None:
    """Flagged share by night, for the four lines with the most pictures."""
    by_line: defaultdict[str | None, defaultdict[dt.date, list[JobRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.finished_at is not None and row.scored:
            by_line[row.line][row.night].append(row)
    busiest = sorted(by_line, key=lambda line: -sum(r.scored for rs in by_line[line].values() for r in rs))
    lines = []
    for line in sorted(busiest[: charts.MOST_LINES], key=lambda name: (name is None, name or "")):
        points = []
        for night, jobs in sorted(by_line[line].items()):
            scored, flagged = sum(job.scored for job in jobs), sum(job.flagged for job in jobs)
            held = any(job.state in DOUBTED_JOB_STATES for job in jobs)
            points.append(charts.TrendPoint(night.isoformat(), 100 * flagged / scored, "held" if held else None))
        lines.append(charts.TrendLine(line_name(line), points))
    nights = {night for line in by_line.values() for night in line}
    return Markup(charts.trend(lines, title="Flagged pictures by night")) if len(nights) > 1 else None


def _distribution(request: Request, row: JobRow) -> Markup | None:
    if not row.scored or row.pruned_at is not None:
        return None
    counts = score_histogram(request.app.state.engine, row, BINS)
    total = sum(counts) or 1
    edges = [number / BINS for number in range(BINS + 1)]
    tonight = charts.Series("this job", [count / total for count in counts])
    told = f"{row.flagged} of {row.scored} scored pictures, {share(row.flagged, row.scored)}, lie above 0.5."
    drawn = charts.histogram(
        [tonight], edges=edges, threshold=0.5, title="Scores of this job", x_label="score", description=told
    )
    return Markup(drawn)


@dataclass
class Evidence:
    """Why a job is or was held, in words and drawings; what is malformed in the record is left out."""

    reasons: list[str]
    notes: list[str]
    charts: list[Markup]
    decided: dict[str, Any] | None


def evidence(row: JobRow) -> Evidence:
    record = row.validity if isinstance(row.validity, dict) else {}
    decided = record.get("decided")
    drawn = record.get("evidence")
    return Evidence(
        reasons=_texts(record.get("reasons")),
        notes=_texts(record.get("notes")),
        charts=[chart for one in (drawn if isinstance(drawn, dict) else {}).values() if (chart := _drawn(one))],
        decided=decided if isinstance(decided, dict) else None,
    )


def _texts(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else []
    texts = [readable(entry["text"]) for entry in entries if isinstance(entry, dict) and entry.get("text")]
    return [text[:1].upper() + text[1:] for text in texts]


def _drawn(one: Any) -> Markup | None:
    try:
        series = [
            charts.Series("what the model knows", one["model"], "model"),
            charts.Series("this job", one["tonight"]),
        ]
        return Markup(
            charts.histogram(series, edges=one["edges"], title=str(one["title"]), x_label=str(one.get("unit") or ""))
        )
    except (KeyError, TypeError, ValueError):
        return None
