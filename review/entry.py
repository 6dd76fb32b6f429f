"""Coming in: the password, where one is asked for, and the name that stands beside every verdict."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from review.guard import COOKIE, address_of, set_cookie
from review.rendering import page
from review.reviewer import NAME_COOKIE, clean_name, own_page
from review.sessions import GUESS_SECONDS, LIFETIME

router = APIRouter()
_YEAR = 365 * 24 * 3600


@router.get("/login")
def login_form(request: Request, next: str = "/") -> Response:
    guard = request.app.state.guard
    if guard.sessions.open_to_all or request.state.session.proved:
        return RedirectResponse(own_page(next), 303)
    return page(request, "login.html", next=own_page(next), trouble=None)


@router.post("/login")
def login(
    request: Request, password: Annotated[str, Form()] = "", name: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:  # fmt: skip
    guard, address = request.app.state.guard, address_of(request)
    if guard.guesses.too_many(address):
        trouble = f"Too many wrong passwords: wait {GUESS_SECONDS:.0f} seconds."
        return page(request, "login.html", status=429, next=own_page(next), trouble=trouble)
    if not guard.sessions.is_password(password):
        guard.guesses.wrong(address)
        return page(request, "login.html", status=403, next=own_page(next), trouble="That is not the password.")
    response = RedirectResponse(own_page(next), 303)
    session = guard.sessions.new(proved=True)
    set_cookie(request, response, COOKIE, guard.sessions.cookie(session), seconds=LIFETIME)
    if clean_name(name):
        set_cookie(request, response, NAME_COOKIE, quote(clean_name(name), errors="replace"), seconds=_YEAR)
    return response


@router.post("/logout")
def logout(request: Request) -> Response:
    response = RedirectResponse("/login", 303)
    guard = request.app.state.guard
    set_cookie(request, response, COOKIE, guard.sessions.cookie(guard.sessions.new(proved=False)))
    return response


@router.get("/name")
def name_form(request: Request, next: str = "/") -> Response:
    return page(request, "name.html", next=own_page(next))


@router.post("/name")
def set_name(request: Request, name: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    response = RedirectResponse(own_page(next), 303)
    if clean_name(name):
        set_cookie(request, response, NAME_COOKIE, quote(clean_name(name), errors="replace"), seconds=_YEAR)
    return response
