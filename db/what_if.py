"""History replayed with another threshold: what would have been flagged, found and lost, from stored raw scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, case, exists, func, not_, select

from db.engine import reading
from db.quality import number
from db.schema import item, job, result
from db.verdicts import latest_verdicts
from oddlot.words import DOUBTED_JOB_STATES, ItemState, Verdict

SHOWN_ITEMS = 10
"""Numbers of items that a sentence names."""


@dataclass(frozen=True)
class NightReplayed:
    """One night: items scored, flagged, and flagged by the other threshold."""

    night: date
    scored: int
    flagged: int
    would_flag: int


@dataclass(frozen=True)
class Judged:
    """Items that a person called defect, or good; what `flagged` says of each then and would say. Numbers of items.

    `kept` are flagged by both, `dropped` only then, `gained` only now, `passed` by neither.
    """

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    gained: tuple[int, ...]
    passed: tuple[int, ...]

    @property
    def flagged(self) -> int:
        return len(self.kept) + len(self.dropped)


@dataclass(frozen=True)
class Replay:
    """All scored items of some model versions: flagged, and what would be with `threshold`.

    `newly` are those that only the other threshold flags. `defects` and `alarms` are the items whose latest verdict is
    defect, and good.
    """

    threshold: float
    nights: tuple[NightReplayed, ...]
    newly: int
    defects: Judged
    alarms: Judged

    @property
    def scored(self) -> int:
        return sum(night.scored for night in self.nights)

    @property
    def flagged(self) -> int:
        return sum(night.flagged for night in self.nights)

    @property
    def would_flag(self) -> int:
        return sum(night.would_flag for night in self.nights)


def replay(
    engine: Engine, model_ids: Sequence[int], threshold: float, *, instead_of: float | None = None,
    line: str | None = None, since: datetime | None = None, until: datetime | None = None,
    first_night: date | None = None,
) -> Replay:  # fmt: skip
    """Replay what these versions scored, which must have one network, with the raw `threshold`.

    Compared with what was flagged, or would have been with the raw threshold `instead_of`. `since` is included, `until`
    is not; both are about when an item was scored. Held and discarded jobs are left out.
    """
    then = result.c.flagged if instead_of is None else result.c.raw_score > instead_of
    now = result.c.raw_score > threshold
    wanted: list[ColumnElement[bool]] = [result.c.model_id.in_(model_ids), job.c.state.not_in(DOUBTED_JOB_STATES)]
    wanted += [] if line is None else [result.c.line == line]
    wanted += [] if since is None else [result.c.scored_at >= since]
    wanted += [] if until is None else [result.c.scored_at < until]
    wanted += [] if first_night is None else [result.c.night >= first_night]
    nights = _from_results(
        select(result.c.night, func.count(), _count(then), _count(now), _count(and_(now, not_(then)))),
        [*wanted, job.c.pruned_at.is_(None)],  # of a pruned night, what is left is what was judged
    )
    said = latest_verdicts()
    judged = _from_results(select(result.c.item_id, said.c.verdict, then, now), wanted).join(
        said, and_(said.c.item_id == result.c.item_id, said.c.verdict.in_([Verdict.DEFECT, Verdict.GOOD]))
    )
    with reading(engine) as connection:
        by_night = connection.execute(nights.group_by(result.c.night).order_by(result.c.night)).all()
        items = connection.execute(judged.order_by(result.c.item_id)).tuples().all()
    return Replay(
        threshold, tuple(NightReplayed(*row[:4]) for row in by_night), sum(row[4] for row in by_night),
        *(
            judge([(item, bool(was), bool(is_now)) for item, verdict, was, is_now in items if verdict == word])
            for word in (Verdict.DEFECT, Verdict.GOOD)
        ),
    )  # fmt: skip


def judge(items: Sequence[tuple[int, bool, bool]]) -> Judged:
    """Items (number, flagged then, flagged now) by what became of them."""
    parts: dict[tuple[bool, bool], list[int]] = {}
    for item_id, then, now in items:
        parts.setdefault((then, now), []).append(item_id)
    kinds = ((True, True), (True, False), (False, True), (False, False))
    return Judged(*(tuple(parts.get(kind, ())) for kind in kinds))


def last_nights(engine: Engine, model_ids: Sequence[int], count: int) -> date | None:
    """The first of the last `count` nights in which these versions scored anything that counts; None where none did."""
    query = (
        select(job.c.night)
        .where(
            job.c.model_id.in_(model_ids),
            job.c.state.not_in(DOUBTED_JOB_STATES),
            job.c.pruned_at.is_(None),
            exists().where(item.c.job_id == job.c.id, item.c.state == ItemState.SCORED),
        )
        .group_by(job.c.night)
        .order_by(job.c.night.desc())
        .limit(count)
    )
    with reading(engine) as connection:
        return min(connection.execute(query).scalars(), default=None)


def says(found: Replay) -> list[str]:
    """The replay as sentences."""
    if not found.scored:
        return ["Nothing that was scored is there to be replayed."]
    sentences = [
        f"Of {found.scored} scored items it would have flagged {found.would_flag} instead of {found.flagged}"
        + (f", {found.newly} of them new." if found.newly else ".")
    ]
    return sentences + judged_says(found.defects, found.alarms)


def judged_says(defects: Judged, alarms: Judged) -> list[str]:
    """What becomes of confirmed defects and of confirmed-good false alarms, in sentences."""
    sentences = []
    if defects.flagged:
        lost = f"{len(defects.dropped)}{named(defects.dropped)}" if defects.dropped else "none"
        sentences.append(f"Of {number(defects.flagged, 'confirmed defect')} it would have lost {lost}.")
    if unflagged := len(defects.gained) + len(defects.passed):
        sentences.append(
            f"Of {number(unflagged, 'defect')} not flagged it would have found "
            f"{len(defects.gained) or 'none'}{named(defects.gained)}."
        )
    if alarms.flagged:
        sentences.append(
            f"Of {number(alarms.flagged, 'false alarm')} (flagged, confirmed good) {len(alarms.dropped)} would be gone."
        )
    if alarms.gained:
        sentences.append(f"{number(len(alarms.gained), 'confirmed good item')} would be flagged, not flagged before.")
    if not sentences:
        sentences.append("Nobody has called any of them defect or good: what would be lost is not known.")
    return sentences


def named(items: Sequence[int]) -> str:
    """The numbers of items in brackets, of many the first; empty for none."""
    if not items:
        return ""
    more = f" and {len(items) - SHOWN_ITEMS} more" if len(items) > SHOWN_ITEMS else ""
    return f" (item{'s' * (len(items) > 1)} {', '.join(map(str, items[:SHOWN_ITEMS]))}{more})"


def _from_results(query: Select[*tuple[Any, ...]], wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    return query.select_from(result).join(job, job.c.id == result.c.job_id).where(*wanted)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
