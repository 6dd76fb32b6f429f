"""A person's words on items: only ever added, so that who said what and when stays known. The latest one stands."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Subquery, and_, func, insert, or_, select

from db.engine import now, reading, writing
from db.items import no_such_item
from db.schema import item, job, model, result, verdict
from db.verdict_marks import mark
from oddlot.words import DOUBTED_JOB_STATES, Verdict


@dataclass(frozen=True)
class VerdictRow:
    """`kind` is that of the defect, `reviewer` who said it; all texts as they were given."""

    verdict: Verdict
    kind: str | None
    note: str | None
    reviewer: str | None
    at: datetime


def add_verdict(
    engine: Engine, item_id: int, word: Verdict, *, kind: str | None = None, note: str | None = None, reviewer: str
) -> None:
    """Raises NotFoundError where there is no such item."""
    with writing(engine) as connection:
        if connection.execute(select(item.c.id).where(item.c.id == item_id).with_for_update()).first() is None:
            raise no_such_item(item_id)
        connection.execute(
            insert(verdict).values(
                item_id=item_id, verdict=word, kind=kind, note=note, reviewer=reviewer, at=now(connection)
            )
        )
        mark(connection, [item_id])


def verdicts_of(engine: Engine, item_id: int) -> list[VerdictRow]:
    """All that was ever said of an item, the latest first."""
    columns = (verdict.c.verdict, verdict.c.kind, verdict.c.note, verdict.c.reviewer, verdict.c.at)
    query = select(*columns).where(verdict.c.item_id == item_id).order_by(verdict.c.id.desc())
    with reading(engine) as connection:
        return [VerdictRow(**row._mapping) for row in connection.execute(query)]


def latest_verdicts() -> Subquery:
    """A table of the words that stand: `item_id` and `verdict` of each item of which anything was ever said."""
    later = verdict.alias("later")
    latest = select(func.max(later.c.id)).where(later.c.item_id == verdict.c.item_id).scalar_subquery()
    return select(verdict.c.item_id, verdict.c.verdict).where(verdict.c.id == latest).subquery("latest_verdict")


@dataclass(frozen=True)
class JudgedPicture:
    """A picture as it was when it was inspected, and the word that stands; `source` is the folder of its job."""

    item_id: int
    path: str
    size: int
    mtime_ns: int
    sha256: str
    source: str
    verdict: Verdict


def confirmed(engine: Engine, model_name: str) -> list[JudgedPicture]:
    """What any version of that model flagged and a person called good, and all that a person called a defect, flagged
    or not; in the order in which they were listed.

    A good picture of a held or discarded job is left out: it may show good parts, but not as they should be shown.
    """
    said = latest_verdicts()
    alarm = and_(said.c.verdict == Verdict.GOOD, result.c.flagged, job.c.state.not_in(DOUBTED_JOB_STATES))
    query = (
        select(
            item.c.id, item.c.path, item.c.size, item.c.mtime_ns, item.c.sha256, job.c.source, said.c.verdict
        )
        .select_from(said)
        .join(item, item.c.id == said.c.item_id)
        .join(job, job.c.id == item.c.job_id)
        .join(model, model.c.id == job.c.model_id)
        .join(result, result.c.item_id == item.c.id, isouter=True)
        .where(model.c.name == model_name, item.c.sha256.is_not(None), or_(said.c.verdict == Verdict.DEFECT, alarm))
        .order_by(item.c.id)
    )  # fmt: skip
    with reading(engine) as connection:
        return [JudgedPicture(*row) for row in connection.execute(query)]
