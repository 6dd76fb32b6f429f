"""People and tokens on the page, for admins: what `oddlot users` and `oddlot tokens` do, by the same rules."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from db import accounts, tokens
from db.accounts import Account
from db.audit_log import Act, Actor, record_done
from oddlot import passwords
from oddlot.errors import NotFoundError, OddlotError, StateError
from oddlot.words import Role
from review.people_shown import Typed, people_page
from review.rendering import page
from review.reviewer import clean_name
from review.visits import actor_of

FIRST = "the first user is an admin and is made on the command line: oddlot users add NAME --role admin"
LONGEST_DAYS = 36_500
TEXT_LENGTH = 20
DONE = {
    "added": "Added. That name and that password open the page now.",
    "role": "The role is changed. It counts already, also where that user is signed in.",
    "password": "The password is changed. Wherever that user was signed in, that has ended.",
    "removed": "Removed. Wherever that user was signed in, that has ended. The name stays beside the verdicts.",
    "restored": "Restored, with role and password of before.",
    "revoked": "Revoked. That token opens nothing any more.",
}


def somebody_signed_in(request: Request) -> None:
    """No token may do what is done here: a stolen one could make others, which outlive it. Raises HTTPException."""
    visit = request.state.visit
    if visit.has_users and visit.by_header:
        what = f"{request.method} {request.scope['path']}"
        record_done(request.app.state.engine, _actor(request), Act.REFUSED, what, "a token may not")
        raise HTTPException(403, "A token cannot change people or tokens: sign in by name.")
    if not visit.has_users and request.method == "POST":
        raise StateError(FIRST)


router = APIRouter(dependencies=[Depends(somebody_signed_in)])
Text = Annotated[str, Form()]


@router.get("/users")
def people(request: Request, done: str = "", person: str = "", program: str = "") -> Response:
    return people_page(request, done=DONE.get(done), person=person, program=program)


@router.post("/users")
def add(request: Request, name: Text = "", role: Text = "", new: Text = "", again: Text = "") -> Response:
    try:
        name, as_role = accounts.check_user_name(name), _role(role)
        hashed = _hashed(new, again, name)
        accounts.add_account(request.app.state.engine, name, as_role, hashed, _actor(request))
    except OddlotError as error:
        return _refused(request, error, typed=Typed("user", clean_name(name), role))
    return _done("added")


@router.post("/users/role")
def change_role(request: Request, name: Text = "", role: Text = "") -> Response:
    try:
        row = accounts.set_role(request.app.state.engine, name, _role(role), _actor(request))
    except OddlotError as error:
        return _refused(request, error, person=name)
    return _done_to(request, row, "role")


@router.post("/users/password")
def change_password(request: Request, name: Text = "", new: Text = "", again: Text = "") -> Response:
    """Another's password: one's own is changed with the old one, so that a screen left open does not give it away."""
    engine = request.app.state.engine
    try:
        row = accounts.get_account(engine, name)
        if row.name == request.state.visit.caller.name:
            raise StateError("your own password is changed with the old one: click on your name")
        accounts.set_password(engine, row.name, _hashed(new, again, row.name), _actor(request))
    except OddlotError as error:
        return _refused(request, error, person=name)
    return _done("password")


@router.post("/users/remove")
def remove(request: Request, name: Text = "") -> Response:
    try:
        row = accounts.remove_account(request.app.state.engine, name, _actor(request))
    except OddlotError as error:
        return _refused(request, error, person=name)
    return _done_to(request, row, "removed")


@router.post("/users/restore")
def restore(request: Request, name: Text = "") -> Response:
    try:
        accounts.restore_account(request.app.state.engine, name, _actor(request))
    except OddlotError as error:
        return _refused(request, error, person=name)
    return _done("restored")


@router.post("/tokens")
def add_token(request: Request, name: Text = "", role: Text = "", days: Text = "", user: Text = "") -> Response:
    """The secret stands in this answer and nowhere else: no address and no log has it, and no browser keeps it."""
    try:
        secret = tokens.add_token(
            request.app.state.engine, name, _role(role), lifetime=_lifetime(days), owner=user or None,
            by=_actor(request),
        )  # fmt: skip
    except OddlotError as error:
        typed = Typed("token", clean_name(name), role, days[:TEXT_LENGTH], user)
        return _refused(request, error, typed=typed)
    return page(request, "new_token.html", name=accounts.check_user_name(name), secret=secret)


@router.post("/tokens/revoke")
def revoke(request: Request, name: Text = "") -> Response:
    try:
        tokens.revoke_token(request.app.state.engine, name, _actor(request))
    except OddlotError as error:
        return _refused(request, error)
    return _done("revoked")


def _actor(request: Request) -> Actor:
    return actor_of(request, request.state.visit.caller.name)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise OddlotError(f"a role is viewer, reviewer or admin, not {text[:TEXT_LENGTH]!r}") from None


def _hashed(new: str, again: str, name: str) -> str:
    """What is stored of a password that was typed twice. Raises OddlotError."""
    if new != again:
        raise OddlotError("the password was not typed the same twice")
    passwords.check_password(new, name)
    return passwords.hash_password(new)


def _lifetime(days: str) -> dt.timedelta:
    plain = days.strip()
    if plain.isascii() and plain.isdecimal() and len(plain) < 6 and 0 < int(plain) <= LONGEST_DAYS:
        return dt.timedelta(days=int(plain))
    raise OddlotError(f"a token is good for 1 to {LONGEST_DAYS} days, not {days[:TEXT_LENGTH]!r}")


def _done(word: str) -> Response:
    return RedirectResponse(f"/users?done={word}", 303)


def _done_to(request: Request, row: Account, word: str) -> Response:
    """Who has just taken this page from themselves goes on to one that they may see."""
    own = row.name == request.state.visit.caller.name
    return RedirectResponse("/", 303) if own and not (row.active and row.role == Role.ADMIN) else _done(word)


def _refused(request: Request, error: OddlotError, *, person: str = "", typed: Typed | None = None) -> Response:
    status = 404 if isinstance(error, NotFoundError) else 409 if isinstance(error, StateError) else 422
    return people_page(request, status=status, trouble=str(error), person=person, typed=typed)
