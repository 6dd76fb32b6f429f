"""Who is signed in: rows, so that what ends a session ends it in every process of every host."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine, delete, func, insert, select

from db.accounts import Account
from db.audit_log import Act, Actor, record
from db.engine import now, reading, writing
from db.schema import account, session
from oddlot.words import Role


@dataclass(frozen=True)
class SignedIn:
    account_id: int
    name: str
    role: Role


def hash_of(secret: str) -> str:
    """What is stored of a cookie or a token. Both are long and random, so a plain hash cannot be turned back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def begin_session(
    engine: Engine, of: Account, secret: str, lifetime: timedelta, by: Actor, where: str | None = None
) -> bool:
    """The cookie `secret` stands for that user from now on; False where the user was removed, or got another password,
    since it was looked at. Sessions that are over are forgotten."""
    same = (account.c.id == of.id) & account.c.active & (account.c.password_hash == of.password_hash)
    with writing(engine) as connection:
        if connection.execute(select(account.c.id).where(same).with_for_update()).first() is None:
            return False
        moment = now(connection)
        connection.execute(delete(session).where(session.c.ends_at <= moment))
        values = {"sha256": hash_of(secret), "account_id": of.id}
        connection.execute(insert(session).values(created_at=moment, ends_at=moment + lifetime, **values))
        record(connection, by, Act.SIGNED_IN, None, where)
        return True


def find_session(engine: Engine, secret: str) -> SignedIn | None:
    """The user behind a cookie, as he is now: None where the session is over, or he was removed."""
    query = (
        select(account.c.id, account.c.name, account.c.role, session.c.ends_at)
        .join(session, session.c.account_id == account.c.id)
        .where(session.c.sha256 == hash_of(secret), account.c.active)
    )
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
        if row is None or row.ends_at <= now(connection):
            return None
        return SignedIn(row.id, row.name, row.role)


def count_sessions(engine: Engine) -> dict[int, int]:
    """How many sessions each user has, by the number of the account; whoever has none is not there."""
    with reading(engine) as connection:
        going = select(session.c.account_id, func.count()).where(session.c.ends_at > now(connection))
        return {row[0]: row[1] for row in connection.execute(going.group_by(session.c.account_id))}


def end_session(engine: Engine, secret: str, by: Actor) -> None:
    with writing(engine) as connection:
        connection.execute(delete(session).where(session.c.sha256 == hash_of(secret)))
        record(connection, by, Act.SIGNED_OUT)
