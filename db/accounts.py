"""Users of the review page. One that is removed stays as a row: its name stands beside verdicts."""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, exists, func, insert, select, update

from db.audit_log import Act, Actor, record
from db.engine import now, reading, writing
from db.schema import account, session
from oddlot.errors import NotFoundError, OddlotError, StateError
from oddlot.words import Role

NAME_LENGTH = 80
OF_TOKENS = "(token)"
"""Ends the names of tokens where they stand beside those of users: in verdicts and in the audit log."""


@dataclass(frozen=True)
class Account:
    id: int
    name: str
    role: Role
    active: bool
    created_at: datetime
    password_hash: str = field(repr=False)


def key_of(name: str) -> str:
    """The name as it is looked up: "Ada" and "ada" are one user."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def check_user_name(name: str) -> str:
    """The name as it is stored. Raises OddlotError."""
    plain = unicodedata.normalize("NFC", name).strip()
    if not plain or len(plain) > NAME_LENGTH or not plain.isprintable():
        raise OddlotError(f"a user's name is 1 to {NAME_LENGTH} printable characters, not {name[:NAME_LENGTH]!r}")
    if plain.casefold().endswith(OF_TOKENS):
        raise OddlotError(f"a user's name does not end with {OF_TOKENS}: that is how a token is told from a user")
    return plain


def any_account(engine: Engine) -> bool:
    """Whether there is a user at all, removed ones counted."""
    with reading(engine) as connection:
        return bool(connection.execute(select(exists().where(account.c.id.is_not(None)))).scalar())


def list_accounts(engine: Engine) -> list[Account]:
    with reading(engine) as connection:
        return [_row(row) for row in connection.execute(select(*_COLUMNS).order_by(account.c.key))]


def find_account(engine: Engine, name: str) -> Account | None:
    """The user of that name, removed or not."""
    with reading(engine) as connection:
        row = connection.execute(select(*_COLUMNS).where(account.c.key == key_of(name))).one_or_none()
    return None if row is None else _row(row)


def get_account(engine: Engine, name: str) -> Account:
    """Raises NotFoundError."""
    found = find_account(engine, name)
    if found is None:
        raise _no_such_user(name)
    return found


def add_account(engine: Engine, name: str, role: Role, password_hash: str, by: Actor | None = None) -> Account:
    """Raises OddlotError for a name that cannot be one, StateError where it is taken, and where the first user would
    not be an admin: nobody could give anybody else a role on the page then."""
    name = check_user_name(name)
    with writing(engine) as connection:
        _one_at_a_time(connection)
        same = select(account.c.name, account.c.active).where(account.c.key == key_of(name))
        if (taken := connection.execute(same).first()) is not None:
            removed = f", who was removed: restore them, on the page or by `oddlot users restore {taken.name}`"
            raise StateError(f"there is a user {taken.name!r} already{'' if taken.active else removed}")
        if role != Role.ADMIN and not _other_admins(connection, 0):
            raise StateError("the first user must be an admin: oddlot users add NAME --role admin")
        values = {"name": name, "key": key_of(name), "password_hash": password_hash, "role": role, "active": True}
        new = insert(account).values(created_at=now(connection), **values).returning(*_COLUMNS)
        row = _row(connection.execute(new).one())
        record(connection, by, Act.USER_ADDED, row.name, str(role))
        return row


def set_role(engine: Engine, name: str, role: Role, by: Actor | None = None) -> Account:
    """Raises NotFoundError, and StateError for the last active admin."""
    with writing(engine) as connection:
        before = _locked(connection, name)
        if role != Role.ADMIN:
            _keep_an_admin(connection, before)
        row = _change(connection, before.id, role=role)
        record(connection, by, Act.ROLE_CHANGED, row.name, f"{before.role} to {role}")
        return row


def set_password(
    engine: Engine, name: str, password_hash: str, by: Actor | None = None, *, keep_session: str | None = None
) -> Account:
    """Ends all sessions of that user, but for the one with the hash `keep_session`. Raises NotFoundError."""
    with writing(engine) as connection:
        row = _change(connection, _locked(connection, name).id, password_hash=password_hash)
        _end_sessions(connection, row.id, keep_session)
        record(connection, by, Act.PASSWORD_CHANGED, row.name)
        return row


def renew_hash(engine: Engine, account_id: int, before: str, after: str) -> None:
    """The same password hashed anew, where nobody has changed it meanwhile."""
    with writing(engine) as connection:
        same = (account.c.id == account_id) & (account.c.password_hash == before)
        connection.execute(update(account).where(same).values(password_hash=after))


def remove_account(engine: Engine, name: str, by: Actor | None = None) -> Account:
    """Let that user in no more, and end its sessions. Raises NotFoundError, StateError for the last active admin."""
    with writing(engine) as connection:
        before = _locked(connection, name)
        _keep_an_admin(connection, before)
        row = _change(connection, before.id, active=False)
        _end_sessions(connection, row.id)
        record(connection, by, Act.USER_REMOVED, row.name)
        return row


def restore_account(engine: Engine, name: str, by: Actor | None = None) -> Account:
    """Let a removed user in again, with role and password of then. Raises NotFoundError."""
    with writing(engine) as connection:
        row = _change(connection, _locked(connection, name).id, active=True)
        record(connection, by, Act.USER_RESTORED, row.name)
        return row


def _locked(connection: Connection, name: str) -> Account:
    _one_at_a_time(connection)
    row = connection.execute(select(*_COLUMNS).where(account.c.key == key_of(name))).one_or_none()
    if row is None:
        raise _no_such_user(name)
    return _row(row)


def _change(connection: Connection, account_id: int, **values: Any) -> Account:
    changed = update(account).where(account.c.id == account_id).values(values).returning(*_COLUMNS)
    return _row(connection.execute(changed).one())


def _keep_an_admin(connection: Connection, one: Account) -> None:
    if one.active and one.role == Role.ADMIN and not _other_admins(connection, one.id):
        raise StateError(f"{one.name} is the last active admin: make somebody else one first")


def _other_admins(connection: Connection, account_id: int) -> int:
    others = (account.c.role == Role.ADMIN) & account.c.active & (account.c.id != account_id)
    return connection.execute(select(func.count()).select_from(account).where(others)).scalar_one()


def _end_sessions(connection: Connection, account_id: int, keep: str | None = None) -> None:
    ended = delete(session).where(session.c.account_id == account_id)
    connection.execute(ended if keep is None else ended.where(session.c.sha256 != keep))


def _one_at_a_time(connection: Connection) -> None:
    """Two who each remove the other of two admins would leave none. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("accounts"))))


def _no_such_user(name: str) -> NotFoundError:
    return NotFoundError(f"there is no user {name[:NAME_LENGTH]!r}: `oddlot users list` shows them")


_COLUMNS = [account.c[name] for name in Account.__dataclass_fields__]


def _row(row: Any) -> Account:
    return Account(**row._mapping)
