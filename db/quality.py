"""How well a model does, as far as people have said: the precision of its flags, and what it missed by the audit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from db.engine import reading
from db.flagged import of_jobs
from db.schema import IS_FLAGGED, audit, job, model, result
from oddlot.intervals import Interval, Stratum, count_in, share_of
from oddlot.words import DOUBTED_JOB_STATES, Verdict

ASKED_APART = 200
"""Verdicts of up to so many jobs are counted by their numbers."""


@dataclass(frozen=True)
class Quality:
    """One night, or all together (`night` None), over finished jobs that are neither held nor discarded.

    `scored` and `flagged` are items; `defects`, `good` and `unsure` flagged ones with that as their latest verdict, and
    `precision` the share of defects among the first two, None where nothing was judged. `audited` unflagged items were
    drawn for the audit; `audit_defects`, `audit_good` and `audit_unsure` of them have that verdict. `covered` are the
    unflagged items of the jobs in which an audited one was judged: `missed` is how many of those are defects, and
    `missed_share` their share. `miss_rate` is missed / (missed + caught) in these jobs; its interval takes for possible
    that a flag without a clear verdict is a defect, and that it is none. All three are None where no audited item was
    judged; `miss_rate` also where no defect is known at all.
    """

    night: date | None
    jobs: int
    scored: int
    flagged: int
    defects: int
    good: int
    unsure: int
    audited: int
    audit_defects: int
    audit_good: int
    audit_unsure: int
    covered: int
    precision: Interval | None
    missed: Interval | None
    missed_share: Interval | None
    miss_rate: Interval | None

    @property
    def unflagged(self) -> int:
        return self.scored - self.flagged

    @property
    def audit_judged(self) -> int:
        """Audited items with a clear verdict."""
        return self.audit_defects + self.audit_good


@dataclass(frozen=True)
class QualityReport:
    """Every night that has a finished job, the oldest first, and all of them together."""

    nights: tuple[Quality, ...]
    total: Quality


@dataclass
class _Job:
    night: date
    scored: int
    flagged: int
    flags: Counter[Verdict] = field(default_factory=Counter)
    audited: dict[float, Counter[Verdict | None]] = field(default_factory=lambda: defaultdict(Counter))

    @cached_property
    def strata(self) -> list[Stratum]:
        """Unflagged items by the share with which they were audited: one stratum, but for workers that were set
        otherwise than each other. How many there are of each is then estimated from how many were drawn."""
        inverse = {share: sum(words.values()) / share for share, words in self.audited.items()}
        unflagged, total = self.scored - self.flagged, sum(inverse.values())
        return [
            Stratum(max(unflagged * inverse[share] / total, seen), seen, words[Verdict.DEFECT])
            for share, words in self.audited.items()
            if (seen := words[Verdict.DEFECT] + words[Verdict.GOOD])
        ]


def quality(
    engine: Engine, *, model_name: str | None = None, line: str | None = None, since: datetime | None = None,
    until: datetime | None = None,
) -> QualityReport:  # fmt: skip
    """The quality over finished jobs of all versions of a model and of a line; `since` is included, `until` is not, and
    both are about when the job finished."""
    wanted: list[ColumnElement[bool]] = [job.c.finished_at.is_not(None), job.c.state.not_in(DOUBTED_JOB_STATES)]
    if model_name is not None:
        wanted.append(job.c.model_id.in_(select(model.c.id).where(model.c.name == model_name)))
    if line is not None:
        wanted.append(job.c.line == line)
    if since is not None:
        wanted.append(job.c.finished_at >= since)
    if until is not None:
        wanted.append(job.c.finished_at < until)
    with reading(engine) as connection:
        jobs = _read(connection, wanted)
    by_night: dict[date, list[_Job]] = defaultdict(list)
    for one in jobs:
        by_night[one.night].append(one)
    nights = tuple(_of(by_night[night], night) for night in sorted(by_night))
    return QualityReport(nights, _of(jobs, None))


def _read(connection: Connection, wanted: Sequence[ColumnElement[bool]]) -> list[_Job]:
    # The counts are those of the completeness record: they stay when results are pruned.
    found = connection.execute(select(job.c.id, job.c.night, job.c.scored, job.c.flagged).where(*wanted))
    jobs = {row.id: _Job(row.night, row.scored, row.flagged) for row in found}
    flags = (
        select(result.c.job_id, result.c.verdict, func.count())
        .where(IS_FLAGGED, result.c.verdict.is_not(None))
        .group_by(result.c.job_id, result.c.verdict)
    )
    audits = select(audit.c.job_id, audit.c.share, audit.c.verdict, func.count()).group_by(
        audit.c.job_id, audit.c.share, audit.c.verdict
    )
    if len(jobs) <= ASKED_APART:  # of more, to count all of them is the short way
        flags, audits = (
            flags.where(of_jobs(result.c.job_id, tuple(jobs))), audits.where(of_jobs(audit.c.job_id, tuple(jobs))),
        )  # fmt: skip
    for job_id, word, count in connection.execute(flags):
        if job_id in jobs:
            jobs[job_id].flags[word] = count
    for job_id, share, word, count in connection.execute(audits):
        if job_id in jobs:
            jobs[job_id].audited[share][word] = count
    return list(jobs.values())


def _of(jobs: Iterable[_Job], night: date | None) -> Quality:
    jobs = list(jobs)
    flags: Counter[Verdict] = Counter()
    audited: Counter[Verdict | None] = Counter()
    for one in jobs:
        flags.update(one.flags)
        for words in one.audited.values():
            audited.update(words)
    judged = flags[Verdict.DEFECT] + flags[Verdict.GOOD]
    covering = [one for one in jobs if one.strata]
    covered = sum(one.scored - one.flagged for one in covering)
    missed = count_in([stratum for one in covering for stratum in one.strata]) if covering else None
    return Quality(
        night=night, jobs=len(jobs), scored=sum(one.scored for one in jobs), flagged=sum(one.flagged for one in jobs),
        defects=flags[Verdict.DEFECT], good=flags[Verdict.GOOD], unsure=flags[Verdict.UNSURE],
        audited=sum(audited.values()), audit_defects=audited[Verdict.DEFECT], audit_good=audited[Verdict.GOOD],
        audit_unsure=audited[Verdict.UNSURE], covered=covered,
        precision=share_of(flags[Verdict.DEFECT], judged) if judged else None,
        missed=missed, missed_share=missed.times(1 / covered) if missed and covered else None,
        miss_rate=_miss_rate(missed, covering) if missed else None,
    )  # fmt: skip


def _miss_rate(missed: Interval, jobs: Sequence[_Job]) -> Interval | None:
    """missed / (missed + caught), where caught lies between the confirmed defects and the flags not confirmed good."""
    defects, good, flagged = (
        sum(one.flags[Verdict.DEFECT] for one in jobs), sum(one.flags[Verdict.GOOD] for one in jobs),
        sum(one.flagged for one in jobs),
    )  # fmt: skip
    most = max(flagged - good, defects)
    likely = defects + (most - defects) * (defects / (defects + good) if defects + good else 0.5)

    def rate(missed: float, caught: float) -> float:
        return missed / (missed + caught) if missed + caught else 0.0

    if missed.value + likely == 0:
        return None
    return Interval(
        rate(missed.value, likely), rate(missed.low, most), rate(missed.high, defects), rate(missed.at_most, defects)
    )


def says(quality: Quality) -> list[str]:
    """The numbers as sentences, those that there is something behind."""
    if not quality.scored:
        return ["Nothing was scored in a finished job that counts."]
    return [*_precision_says(quality), *_audit_says(quality)]


def _precision_says(quality: Quality) -> list[str]:
    reviewed = quality.defects + quality.good + quality.unsure
    head = f"{quality.flagged} of {number(quality.scored, 'scored item')} flagged, {reviewed} of those reviewed"
    if quality.precision is None:
        return [f"{head}: the precision is not known."]
    unsure = f", {quality.unsure} unsure" if quality.unsure else ""
    sentences = [
        f"{head}: {number(quality.defects, 'defect')}, {quality.good} good{unsure}. "
        f"Precision {_shares(quality.precision)}."
    ]
    if reviewed < quality.flagged:
        sentences.append("It is that of the reviewed flags; where the most suspicious are reviewed first, the others "
                         "are less precise.")  # fmt: skip
    return sentences


def _audit_says(quality: Quality) -> list[str]:
    judged, defects = quality.audit_judged, quality.audit_defects
    if quality.missed is None or quality.missed_share is None:
        if not quality.audited:
            return [] if not quality.unflagged else [
                "No unflagged item was drawn for the audit: the miss rate is not known (ODDLOT_AUDIT_ITEMS says how "
                "many are drawn)."
            ]  # fmt: skip
        return [f"None of {quality.audited} audited items was judged good or defect: the miss rate is not known."]
    unsure = f" ({quality.audit_unsure} more unsure)" if quality.audit_unsure else ""
    found = (
        f"{defects} of {judged} judged items of the audit{unsure} {'was a defect' if defects == 1 else 'were defects'}"
    )
    of = f"the {quality.covered} unflagged items"
    if quality.covered < quality.unflagged:
        of += f" of the jobs with a judged audit ({quality.unflagged} in all)"
    if not defects:
        most = quality.missed_share.at_most
        text = f"{found}: at most {_percent(most)} of {of}, that is {quality.missed.at_most:.0f}, with 95 % confidence."
    else:
        missed = quality.missed
        text = (
            f"{found}: about {missed.value:.0f} of {of} are defects, {_shares(quality.missed_share)}; "
            f"{missed.low:.0f} to {missed.high:.0f} with 95 % confidence."
        )
    sentences = [text]
    if (rate := quality.miss_rate) is not None:
        if defects:
            sentences.append(f"Of all defects {_shares(rate)} were missed.")
        else:
            sentences.append(f"Of all defects at most {_percent(rate.at_most)} were missed, with 95 % confidence.")
    return sentences


def _shares(interval: Interval) -> str:
    return f"{_percent(interval.value)} ({_percent(interval.low)} to {_percent(interval.high)} with 95 % confidence)"


def number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"
