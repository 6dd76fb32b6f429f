"""Where an item of the blind audit stands in the queue: at a place that a flagged item could have as well.

The places of the audit items of a job are spread over its flagged items by a hash of their numbers, so they are the
same whenever and by whomever they are asked for, and say nothing about the pictures.
"""

import hashlib

from sqlalchemy import Connection, func, select

from db.schema import IS_FLAGGED, job, result

STEPS = 64
"""Scores that stand for all of a job's flagged items."""


def place_of(scores: tuple[float, ...], item_id: int) -> float:
    """A score above 0.5 and at most 1, as one of a job's flagged items could have it; `scores` are its `ladder`."""
    share = int.from_bytes(hashlib.sha256(b"place %d" % item_id).digest()[:7]) / 2**56
    at = share * (len(scores) - 1)
    low = min(int(at), len(scores) - 2)
    return scores[low] + (at - low) * (scores[low + 1] - scores[low])


def ladder(connection: Connection, job_id: int) -> tuple[float, ...]:
    """Scores that stand for the job's flagged items from the lowest to the highest, at least two."""
    finished, flagged = connection.execute(
        select(job.c.finished_at.is_not(None), job.c.flagged).where(job.c.id == job_id)
    ).one()
    if not finished:
        return _read(connection, job_id)
    key = (str(connection.engine.url), job_id, flagged)
    if key not in _kept:
        if len(_kept) > 1000:
            _kept.clear()
        _kept[key] = _read(connection, job_id)
    return _kept[key]


_kept: dict[tuple[str, int, int], tuple[float, ...]] = {}


def _read(connection: Connection, job_id: int) -> tuple[float, ...]:
    of_job = (result.c.job_id == job_id, IS_FLAGGED)
    count = connection.execute(select(func.count()).where(*of_job)).scalar_one()
    if not count:
        return (0.5, 1.0)
    rank = (func.row_number().over(order_by=result.c.score) - 1).label("rank")
    ranked = select(result.c.score, rank).where(*of_job).subquery()
    step = max(1, count // STEPS)
    chosen = select(ranked.c.score).where((ranked.c.rank % step == 0) | (ranked.c.rank == count - 1))
    scores = sorted(connection.execute(chosen).scalars())
    # A step beyond both ends: otherwise the first and the last of the queue would always be flagged ones.
    return ((0.5 + scores[0]) / 2, *scores, (1.0 + scores[-1]) / 2)
