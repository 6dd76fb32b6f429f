"""The rows of a job as numbers, and what the rules say of them: what decides whether it is done or held."""

import math
from array import array
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, func, select

from db.schema import batch, item, job, model, result
from oddlot.appearance import NEAREST, STATISTICS, read_reference
from oddlot.words import ItemState, JobState

if TYPE_CHECKING:
    from db.findings import Findings

log = structlog.get_logger()

RELEASED, DISCARDED = "released", "discarded"
BATCHES_AT_ONCE, ROWS_AT_ONCE = 100, 10_000


def judge(
    connection: Connection, job_id: int, counts: dict[str, int], *, hold: bool
) -> tuple[JobState, dict[str, Any] | None]:
    """The state in which a job ends that is worked off, and its validity record; None for a job without items.

    `counts` are those of the completeness record. What a person released once stays so, also after a retry. Memory does
    not grow with the job but for 44 bytes a picture.
    """
    listed, before, card, rate = connection.execute(
        select(job.c.listed, job.c.validity, model.c.card, model.c.false_alarms)
        .join(model, model.c.id == job.c.model_id)
        .where(job.c.id == job_id)
    ).one()
    if not listed:
        return JobState.DONE, None
    found = _found(connection, job_id, listed, counts, card, rate)
    if not hold:
        for reason in found.reasons:
            found.note(reason["what"], f"not held, because ODDLOT_HOLD says so, although {reason['text']}")
        found.reasons = []
    decided = (before or {}).get("decided")
    if decided is not None and decided["word"] != RELEASED:
        decided = None
    record = {"reasons": found.reasons, "notes": found.notes, "evidence": found.evidence, "decided": decided}
    return (JobState.HELD if found.reasons and decided is None else JobState.DONE), record


def _found(
    connection: Connection, job_id: int, listed: int, counts: dict[str, int], card: Any, rate: float
) -> "Findings":
    # Imported here: most commands judge nothing, and these need NumPy.
    from db.bounds import Night, judge_night
    from db.findings import Findings

    # By way of the items: results of a job have no index of their own but for the flagged ones.
    grouped = (
        select(result.c.p_value, func.count())
        .join(item, item.c.id == result.c.item_id)
        .where(item.c.job_id == job_id, item.c.state == ItemState.SCORED)
        .group_by(result.c.p_value)
    )
    night = Night(
        listed=listed, scored=counts["scored"], flagged=counts["flagged"], unreadable=counts["unreadable"],
        repeated=_repeated(connection, job_id), p_values=[(row[0], row[1]) for row in connection.execute(grouped)],
        looks=_looks(connection, job_id), calibration=_calibration(card), false_alarms=rate,
    )  # fmt: skip
    try:
        return judge_night(night, read_reference(card))
    except Exception as error:  # a fault here must not cost the results of the batch that ends the job
        log.exception("the night could not be compared with its model", job=job_id)
        found = Findings()
        found.note("unchecked", f"whether the night is to be believed could not be checked: {type(error).__name__}")
        return found


def _repeated(connection: Connection, job_id: int) -> int:
    """How many scored files have the bytes of another one, less one of each kind.

    Counted here, by 64 bits: two of a million pictures are then taken for one with a chance of 3e-8. A database would
    sort a million texts, which takes several times as long, and longer for each picture of a larger job.
    """
    import numpy as np

    found = array("q")
    query = select(item.c.sha256).where(
        item.c.job_id == job_id, item.c.state == ItemState.SCORED, item.c.sha256.is_not(None)
    )
    with connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)) as rows:
        for part in rows.scalars().partitions():
            found.extend(map(hash, part))
    return len(found) - len(np.unique(np.frombuffer(found, np.int64))) if found else 0


def _looks(connection: Connection, job_id: int) -> dict[str, Any]:
    """The figures of all pictures, by name: float32 (m,), NaN where there is none."""
    import numpy as np

    names = (*STATISTICS, NEAREST)
    columns = {name: array("f") for name in names}
    query = select(batch.c.look).where(batch.c.job_id == job_id, batch.c.look.is_not(None)).order_by(batch.c.id)
    # An option of the statement: the connection's would make a cursor of all that is to be written in it.
    with connection.execute(query.execution_options(yield_per=BATCHES_AT_ONCE)) as rows:
        for (look,) in rows:
            for name, column in columns.items():
                values = look.get(name) or [None] * len(look["items"])
                if None in values:  # found by C, where most batches have none
                    values = [math.nan if value is None else value for value in values]
                column.extend(values)
    return {name: np.frombuffer(column, np.float32) for name, column in columns.items()}


def _calibration(card: Any) -> int:
    """How many calibration pictures a card tells of; 0 where it tells of none, or something else."""
    pictures = card.get("pictures") if isinstance(card, dict) else None
    count = pictures.get("calibration") if isinstance(pictures, dict) else None
    return count if type(count) is int and 0 < count < 2**40 else 0
