"""Which pictures are looked at again to compare two networks: those with a verdict, and a fair sample of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sqlalchemy import and_, case, func, literal, or_, select
from sqlalchemy.engine import Engine

from db.engine import reading
from db.schema import item, job, result
from db.verdicts import latest_verdicts
from oddlot.words import DOUBTED_JOB_STATES, Verdict


class Kind(StrEnum):
    """What is known of an item. No item is of two kinds."""

    DEFECT = "defect"  # a person said so
    GOOD = "good"  # a person said so
    FLAGGED = "flagged"  # nobody has clearly said anything
    UNFLAGGED = "unflagged"  # nor here


@dataclass(frozen=True)
class SampledItem:
    """A picture to look at again; `flagged` is by the threshold that was asked for."""

    id: int
    path: str
    size: int
    mtime_ns: int
    sha256: str
    source: str
    flagged: bool
    kind: Kind


@dataclass(frozen=True)
class ComparisonSample:
    """`sizes` are how many items of each kind there are, `flagged` how many are flagged; `items` are some of them,
    drawn by chance within each kind."""

    sizes: dict[Kind, int]
    flagged: int
    items: tuple[SampledItem, ...]


def draw_sample(
    engine: Engine, model_ids: Sequence[int], threshold: float, *, first_night: date, most: int
) -> ComparisonSample:
    """Draw `most` items or fewer of those that these versions scored since that night, flagged by the raw `threshold`.

    All confirmed defects if there is room; of what is left a third for those that a person called good, a third for the
    other flagged ones, and all that is left then for the unflagged. Held and discarded jobs are left out.
    """
    said = latest_verdicts()
    flagged = result.c.raw_score > threshold
    kind = case(
        (said.c.verdict == Verdict.DEFECT, literal(str(Kind.DEFECT))),
        (said.c.verdict == Verdict.GOOD, literal(str(Kind.GOOD))),
        (flagged, literal(str(Kind.FLAGGED))),
        else_=literal(str(Kind.UNFLAGGED)),
    )
    wanted = and_(
        result.c.model_id.in_(model_ids), result.c.night >= first_night, job.c.state.not_in(DOUBTED_JOB_STATES),
        # Of a pruned night, what is left is what was judged: it is looked at, and stands for itself alone.
        or_(job.c.pruned_at.is_(None), said.c.verdict.in_([Verdict.DEFECT, Verdict.GOOD])),
    )  # fmt: skip
    counted = (
        select(kind.label("kind"), flagged.label("above"), func.count())
        .select_from(result)
        .join(job, job.c.id == result.c.job_id)
        .join(said, said.c.item_id == result.c.item_id, isouter=True)
        .where(wanted)
        .group_by("kind", "above")
    )
    chosen = (
        select(
            item.c.id, item.c.path, item.c.size, item.c.mtime_ns, item.c.sha256, job.c.source, flagged,
        )
        .select_from(result)
        .join(item, item.c.id == result.c.item_id)
        .join(job, job.c.id == result.c.job_id)
        .join(said, said.c.item_id == result.c.item_id, isouter=True)
    )  # fmt: skip
    sizes, above, items = dict.fromkeys(Kind, 0), 0, []
    with reading(engine) as connection:
        for word, over, count in connection.execute(counted):
            sizes[Kind(word)] += count
            above += count if over else 0
        for one, size in _rooms(sizes, most).items():
            query = chosen.where(wanted, kind == one).order_by(func.random()).limit(size)
            for item_id, path, bytes_, mtime_ns, sha256, source, over in connection.execute(query):
                items.append(SampledItem(item_id, path, bytes_, mtime_ns, sha256, source, bool(over), one))
    return ComparisonSample(sizes, above, tuple(sorted(items, key=lambda one: one.id)))


def _rooms(sizes: dict[Kind, int], most: int) -> dict[Kind, int]:
    """How many of each kind are looked at."""
    rooms = {Kind.DEFECT: min(sizes[Kind.DEFECT], most)}
    third = (most - rooms[Kind.DEFECT]) // 3
    # The second time round, who was many gets what others did not need.
    for kind, room in (
        (Kind.GOOD, third), (Kind.FLAGGED, third), (Kind.UNFLAGGED, most), (Kind.FLAGGED, most), (Kind.GOOD, most),
    ):  # fmt: skip
        left = most - sum(rooms.values())
        had = rooms.get(kind, 0)
        rooms[kind] = had + min(sizes[kind] - had, room, left)
    return {kind: room for kind, room in rooms.items() if room}
