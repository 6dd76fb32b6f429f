"""What the page of people and tokens shows, also where a form came back."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import Request, Response

from db.accounts import Account, key_of, list_accounts
from db.engine import now, reading
from db.sessions import count_sessions
from db.tokens import Ended, TokenRow, as_it_counts, list_tokens
from oddlot.words import Role
from review.rendering import page
from review.wording import moment

DAYS = "90"
"""For how long a token is good unless somebody says otherwise."""


@dataclass(frozen=True)
class TokenLine:
    """A token as it counts now: `role` is what it may do, `ended` why it lets nobody in, or None."""

    row: TokenRow
    role: Role
    ended: str | None


@dataclass(frozen=True)
class Typed:
    """What was typed into `form`, which came back; never a password."""

    form: str = ""
    name: str = ""
    role: str = Role.VIEWER
    days: str = DAYS
    user: str = ""


def people_page(
    request: Request, *, status: int = 200, trouble: str | None = None, done: str | None = None, person: str = "",
    program: str = "", typed: Typed | None = None,
) -> Response:  # fmt: skip
    """Everybody and every token; `person` and `program` are the names of the user and the token that are looked at."""
    if not request.state.visit.has_users:
        return page(request, "nobody.html")
    engine = request.app.state.engine
    rows = list_accounts(engine)
    with reading(engine) as connection:
        at = now(connection)
    lines = token_lines(list_tokens(engine), rows, at)
    return page(
        request, "people.html", status=status, trouble=trouble, done=done, typed=typed or Typed(), roles=list(Role),
        active=[row for row in rows if row.active], removed=[row for row in rows if not row.active],
        sessions=count_sessions(engine), good=[one for one in lines if one.ended is None],
        ended=[one for one in lines if one.ended is not None],
        chosen=next((row for row in rows if key_of(row.name) == key_of(person)), None),
        chosen_token=next((one for one in lines if one.row.name == program), None),
    )  # fmt: skip


def token_lines(rows: Iterable[TokenRow], people: Iterable[Account], at: dt.datetime) -> list[TokenLine]:
    """Tokens as they count at that moment, with the reason in words where they do not."""
    owners = {one.name: one for one in people}
    found = []
    for row in rows:
        owner = owners.get(row.account) if row.account is not None else None
        active, most = (owner.active, owner.role) if owner is not None else (None, None)
        role, ended = as_it_counts(row, active=active, most=most, at=at)
        why = None
        if ended is Ended.REVOKED:
            why = f"revoked {moment(row.revoked_at)}"
        elif ended is Ended.OVER:
            why = f"over since {moment(row.expires_at)}"
        elif ended is Ended.USER_REMOVED:
            why = f"{row.account} was removed"
        found.append(TokenLine(row, role, why))
    return found
