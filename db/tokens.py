"""Tokens: what a program signs in with, at the interface and the page."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.accounts import NAME_LENGTH, check_user_name, get_account
from db.audit_log import Act, Actor, record
from db.engine import now, reading, writing
from db.schema import account, token
from db.sessions import hash_of
from oddlot.errors import NotFoundError, OddlotError, StateError
from oddlot.words import Role

PREFIX = "oddlot_"
"""So that whoever finds one, a person or a scanner for secrets, sees what it is."""
USED_STEP = timedelta(minutes=1)
"""How exact `used_at` is: not every question is to be a write."""


class Ended(Enum):
    """Why a token lets nobody in."""

    REVOKED = auto()
    OVER = auto()
    USER_REMOVED = auto()


@dataclass(frozen=True)
class TokenRow:
    """`account` is the name of the user whose it is, or None."""

    name: str
    role: Role
    account: str | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


def add_token(
    engine: Engine, name: str, role: Role, *, lifetime: timedelta | None, owner: str | None = None,
    by: Actor | None = None,
) -> str:  # fmt: skip
    """A new token; returns its secret, which is nowhere else. With an `owner` it ends with that user.

    Raises StateError where the name was ever used, or the owner may do less; NotFoundError for one that is not there.
    """
    name = check_user_name(name)
    found = None if owner is None else get_account(engine, owner)
    if found is not None and not (found.active and found.role.covers(role)):
        said = f"is {found.role!s}" if found.active else "was removed"
        raise StateError(f"{found.name} {said}: a token of that user cannot be one for {role!s}")
    secret = PREFIX + secrets.token_urlsafe(32)
    with writing(engine) as connection:
        if connection.execute(select(token.c.id).where(token.c.name == name)).first() is not None:
            raise _taken(name)
        moment = now(connection)
        try:
            ends = None if lifetime is None else moment + lifetime
        except OverflowError:
            raise OddlotError("a token cannot be good for so long") from None
        new = insert(token).values(
            name=name, role=role, account_id=found.id if found else None, sha256=hash_of(secret), created_at=moment,
            expires_at=ends,
        )  # fmt: skip
        try:
            connection.execute(new)
        except IntegrityError as error:  # at the same moment: a click that was two
            raise _taken(name) from error
        record(connection, by, Act.TOKEN_ADDED, name, str(role))
    return secret


def list_tokens(engine: Engine) -> list[TokenRow]:
    with reading(engine) as connection:
        return [_row(row) for row in connection.execute(_ROWS.order_by(token.c.name))]


def find_token(engine: Engine, secret: str) -> TokenRow | None:
    """The token with that secret, with the role that it has now; None where it is not good any more."""
    columns = token.c.id, account.c.active, account.c.role.label("most")
    query = _ROWS.add_columns(*columns).where(token.c.sha256 == hash_of(secret))
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
        moment = now(connection)
    if row is None:
        return None
    found = _row(row)
    role, ended = as_it_counts(found, active=row.active, most=row.most, at=moment)
    if ended is not None:
        return None
    if row.used_at is None or moment - row.used_at >= USED_STEP:
        with writing(engine) as connection:
            connection.execute(update(token).where(token.c.id == row.id).values(used_at=moment))
    return replace(found, role=role)


def as_it_counts(
    row: TokenRow, *, active: bool | None, most: Role | None, at: datetime
) -> tuple[Role, Ended | None]:  # fmt: skip
    """What a token may do at that moment, and why it lets nobody in, or None. `active` and `most` are whether its user
    is there and the role of that user; None where it is nobody's."""
    role = row.role if most is None or most.covers(row.role) else most
    if row.revoked_at is not None:
        return role, Ended.REVOKED
    if row.expires_at is not None and row.expires_at <= at:
        return role, Ended.OVER
    return role, Ended.USER_REMOVED if active is False else None


def revoke_token(engine: Engine, name: str, by: Actor | None = None) -> None:
    """Raises NotFoundError."""
    with writing(engine) as connection:
        row = connection.execute(select(token.c.id, token.c.revoked_at).where(token.c.name == name)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no token {name[:NAME_LENGTH]!r}: `oddlot tokens list` shows them")
        if row.revoked_at is None:
            connection.execute(update(token).where(token.c.id == row.id).values(revoked_at=now(connection)))
            record(connection, by, Act.TOKEN_REVOKED, name)


def _taken(name: str) -> StateError:
    return StateError(
        f"there is or was a token {name!r} already: choose another name; if it was made just now and nobody has its "
        "secret, revoke it"
    )


_ROWS = select(
    token.c.name, token.c.role, account.c.name.label("account"), token.c.created_at, token.c.expires_at,
    token.c.used_at, token.c.revoked_at,
).join(account, account.c.id == token.c.account_id, isouter=True)  # fmt: skip


def _row(row: Any) -> TokenRow:
    return TokenRow(**{name: row._mapping[name] for name in TokenRow.__dataclass_fields__})
