"""Coming in: by name and password, or by the one password where there are no users, with a name for the verdicts."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from db import accounts, sign_ins
from db.sessions import end_session, hash_of
from oddlot import passwords
from oddlot.errors import OddlotError
from review.rendering import page
from review.reviewer import NAME_COOKIE, clean_name, own_page
from review.sessions import GUESS_SECONDS, LIFETIME
from review.sign_in import sign_in
from review.visits import COOKIE, actor_of, address_of, set_cookie

router = APIRouter()
_YEAR = 365 * 24 * 3600


@router.get("/login")
def login_form(request: Request, next: str = "/") -> Response:
    if request.state.visit.caller is not None:
        return RedirectResponse(own_page(next), 303)
    return page(request, "login.html", next=own_page(next), trouble=None, name="")


@router.post("/login")
def login(
    request: Request, password: Annotated[str, Form()] = "", name: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:  # fmt: skip
    if not request.state.visit.has_users:
        return _by_the_one_password(request, password, name, next)
    found = sign_in(request.app.state.engine, name, password, address_of(request))
    if found.secret is None:
        return _again(request, next, found.trouble, found.status, clean_name(name))
    response = RedirectResponse(own_page(next), 303)
    set_cookie(request, response, COOKIE, found.secret, seconds=LIFETIME)
    return response


def _by_the_one_password(request: Request, password: str, name: str, next: str) -> Response:
    shared, address = request.app.state.guard.shared, address_of(request)
    if shared.guesses.too_many(address):
        return _again(request, next, f"Too many wrong passwords: wait {GUESS_SECONDS:.0f} seconds.", 429)
    if not shared.sessions.is_password(password):
        shared.guesses.wrong(address)
        return _again(request, next, "That is not the password.", 403)
    response = RedirectResponse(own_page(next), 303)
    session = shared.sessions.new(proved=True)
    set_cookie(request, response, COOKIE, shared.sessions.cookie(session), seconds=LIFETIME)
    if clean_name(name):
        set_cookie(request, response, NAME_COOKIE, quote(clean_name(name), errors="replace"), seconds=_YEAR)
    return response


def _again(request: Request, next: str, trouble: str, status: int, name: str = "") -> Response:
    response = page(request, "login.html", status=status, next=own_page(next), trouble=trouble, name=name)
    if status == 429:
        response.headers["Retry-After"] = f"{max(GUESS_SECONDS, sign_ins.WINDOW.total_seconds()):.0f}"
    return response


@router.post("/logout")
def logout(request: Request) -> Response:
    response = RedirectResponse("/login", 303)
    visit = request.state.visit
    if visit.has_users:
        if visit.secret:
            end_session(request.app.state.engine, visit.secret, actor_of(request, visit.caller.name))
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    else:
        sessions = request.app.state.guard.shared.sessions
        set_cookie(request, response, COOKIE, sessions.cookie(sessions.new(proved=False)))
    # Pictures are kept by the browser for a week; whoever sits here next is not to see them.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.get("/name")
def name_form(request: Request, next: str = "/") -> Response:
    if request.state.visit.has_users:
        return RedirectResponse(own_page(next), 303)
    return page(request, "name.html", next=own_page(next))


@router.post("/name")
def set_name(request: Request, name: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    response = RedirectResponse(own_page(next), 303)
    if clean_name(name) and not request.state.visit.has_users:
        set_cookie(request, response, NAME_COOKIE, quote(clean_name(name), errors="replace"), seconds=_YEAR)
    return response


@router.get("/password")
def password_form(request: Request) -> Response:
    if not request.state.visit.secret:
        return RedirectResponse("/", 303)
    return page(request, "password.html", trouble=None, done=False)


@router.post("/password")
def change_password(
    request: Request, old: Annotated[str, Form()] = "", new: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """One's own password; all other sessions of that user end."""
    visit, engine = request.state.visit, request.app.state.engine
    if not visit.secret:
        return RedirectResponse("/", 303)
    attempt = sign_ins.begin_attempt(engine, visit.caller.name, address_of(request))
    if attempt is None:
        return _not_changed(request, 429, "too many wrong passwords: wait a minute")
    account = accounts.get_account(engine, visit.caller.name)
    if not passwords.is_password(account.password_hash, old):
        return _not_changed(request, 403, "that is not your password")
    sign_ins.forget_attempt(engine, attempt)
    try:
        passwords.check_password(new, account.name)
        if new != again:
            raise OddlotError("the new password was not typed the same twice")
    except OddlotError as error:
        return _not_changed(request, 422, str(error))
    accounts.set_password(
        engine, account.name, passwords.hash_password(new), actor_of(request, account.name),
        keep_session=hash_of(visit.secret),
    )  # fmt: skip
    return page(request, "password.html", trouble=None, done=True)


def _not_changed(request: Request, status: int, why: str) -> Response:
    return page(request, "password.html", status=status, done=False, trouble=f"{why[:1].upper()}{why[1:]}.")
