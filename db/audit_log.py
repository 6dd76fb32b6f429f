"""Who did what, and by which way: rows are only ever added. Verdicts are not here: they are a record of their own."""

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import SQLAlchemyError

from db.engine import now, reading, writing
from db.schema import audit_log

_LOG = logging.getLogger(__name__)
DETAIL_LENGTH = 1000


class Act(StrEnum):
    """What is recorded."""

    SIGNED_IN = "signed in"
    SIGN_IN_REFUSED = "sign-in refused"
    SIGNED_OUT = "signed out"
    REFUSED = "refused"
    USER_ADDED = "user added"
    USER_REMOVED = "user removed"
    USER_RESTORED = "user restored"
    ROLE_CHANGED = "role changed"
    PASSWORD_CHANGED = "password changed"
    TOKEN_ADDED = "token added"
    TOKEN_REVOKED = "token revoked"
    JOB_SUBMITTED = "job submitted"
    JOB_CANCELLED = "job cancelled"
    JOB_RELEASED = "job released"
    JOB_DISCARDED = "job discarded"
    FIT_ORDERED = "fit ordered"
    MODEL_FITTED = "model fitted"
    MODEL_PROMOTED = "model promoted"
    MODEL_ROLLED_BACK = "model rolled back"
    MODEL_IMPORTED = "model imported"
    MODEL_SIGNED = "model signed"
    THRESHOLD_APPLIED = "threshold applied"
    PRUNED = "database pruned"
    RESTORED = "database restored"


@dataclass(frozen=True)
class Actor:
    """Who acts, as far as it is known, and `via` what: `page`, `api` or `cli`."""

    who: str | None
    via: str


@dataclass(frozen=True)
class Entry:
    id: int
    at: datetime
    who: str | None
    via: str
    action: str
    what: str | None
    detail: str | None


def record(
    connection: Connection, by: Actor | None, act: Act, what: str | None = None, detail: str | None = None
) -> None:
    """Add a row in the transaction of the act itself: both are there, or neither. Nothing where nobody is named."""
    if by is None:
        return
    said = None if detail is None else detail[:DETAIL_LENGTH]
    connection.execute(
        insert(audit_log).values(
            at=now(connection), who=by.who, via=by.via, action=str(act), what=what, detail=said
        )
    )  # fmt: skip


def record_done(engine: Engine, by: Actor, act: Act, what: str | None = None, detail: str | None = None) -> None:
    """Add a row for what has happened already, and is not undone where this fails: that is said in the log."""
    try:
        with writing(engine) as connection:
            record(connection, by, act, what, detail)
    except SQLAlchemyError as error:
        _LOG.warning("not in the audit log: %s by %s: %s", act, by.who, type(error).__name__)


def entries(
    engine: Engine, *, since: datetime | None = None, who: str | None = None, limit: int | None = None
) -> list[Entry]:
    """Rows, the latest first."""
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if since is not None:
        query = query.where(audit_log.c.at >= since)
    if who is not None:
        query = query.where(audit_log.c.who == who)
    with reading(engine) as connection:
        return [Entry(**row._mapping) for row in connection.execute(query)]
