"""Who comes: by a session of a browser, a token of a program, or the one password where there are no users yet."""

import hmac
import re
import secrets
from dataclasses import dataclass

from fastapi import Request, Response
from sqlalchemy import Engine

from db.accounts import OF_TOKENS
from db.audit_log import Actor
from db.sessions import find_session
from db.tokens import find_token
from oddlot.settings import Settings
from oddlot.words import Role
from review.sessions import Guesses, Sessions

COOKIE = "oddlot_session"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Caller:
    """Who was let in. `name` is None where there are no users; `by_token` is a program."""

    name: str | None
    role: Role
    by_token: bool = False


@dataclass(frozen=True)
class Visit:
    """What a request says of who makes it; `caller` is None for somebody who is not known.

    `form_token` is what the forms of this visit carry: no other site can know it. `cookie` is to be set with the
    answer, `secret` is the one that came. `by_header` is a request that no other site can make a browser send,
    `has_users` whether one signs in by name.
    """

    caller: Caller | None
    form_token: str = ""
    cookie: str | None = None
    secret: str = ""
    by_header: bool = False
    can_sign_out: bool = False
    has_users: bool = False

    def may(self, role: str) -> bool:
        return self.caller is not None and self.caller.role.covers(Role(role))

    def is_form_token(self, text: str) -> bool:
        given, own = text.encode("utf-8", "replace"), self.form_token.encode()
        return own != b"" and hmac.compare_digest(given, own)


STRANGER = Visit(None)


class SharedPassword:
    """The way in while there are no users: open, or by the one password of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.sessions = Sessions(settings.home, settings.review_password)
        self.guesses = Guesses()

    def visit(self, request: Request) -> Visit:
        if self._bearer(request):
            return Visit(Caller(None, Role.ADMIN), by_header=True)
        session = self.sessions.read(request.cookies.get(COOKIE))
        fresh = session is None
        session = session or self.sessions.new(proved=False)
        known = self.sessions.open_to_all or session.proved
        return Visit(
            Caller(None, Role.ADMIN) if known else None, self.sessions.token(session),
            cookie=self.sessions.cookie(session) if fresh else None,
            can_sign_out=session.proved and not self.sessions.open_to_all,
        )  # fmt: skip

    def _bearer(self, request: Request) -> bool:
        password = bearer_of(request)
        if password is None or self.sessions.open_to_all:
            return False
        address = address_of(request)
        if self.guesses.too_many(address):
            return False
        if self.sessions.is_password(password):
            return True
        self.guesses.wrong(address)
        return False


class Accounts:
    """The way in once there are users. What is not known to SQL lets nobody in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def visit(self, request: Request) -> Visit:
        if (bearer := bearer_of(request)) is not None:
            token = find_token(self._engine, bearer)
            caller = None if token is None else Caller(f"{token.name} {OF_TOKENS}", token.role, by_token=True)
            return Visit(caller, by_header=caller is not None, has_users=True)
        secret = request.cookies.get(COOKIE, "")
        if not _SECRET.fullmatch(secret):
            secret = new_secret()
            return Visit(None, _form_token(secret), cookie=secret, has_users=True)
        found = find_session(self._engine, secret)
        caller = None if found is None else Caller(found.name, found.role)
        return Visit(
            caller, _form_token(secret), secret=secret, can_sign_out=caller is not None, has_users=True
        )  # fmt: skip


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def _form_token(secret: str) -> str:
    return hmac.digest(secret.encode(), b"form", "sha256").hex()


def bearer_of(request: Request) -> str | None:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


def actor_of(request: Request, name: str | None) -> Actor:
    """Who stands in the audit log for what this request does."""
    return Actor(name, "api" if request.state.visit.by_header else "page")


def address_of(request: Request) -> str:
    return request.client.host if request.client else "?"


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """A cookie that only pages of ours send back, and no script can read."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")
