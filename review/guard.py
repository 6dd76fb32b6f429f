"""What stands before every page: which host was called, who calls, from where, and what a browser may do with it."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import BaseRoute

from db.accounts import any_account
from db.audit_log import Act, record_done
from oddlot.errors import DatabaseError, SettingsError
from oddlot.settings import Settings
from oddlot.words import Role
from review.rate import Rate
from review.roles import OPEN, Roles
from review.visits import COOKIE, STRANGER, Accounts, SharedPassword, Visit, actor_of, address_of, set_cookie

FORM_LIMIT = 64 * 1024
"""Most bytes of what is sent: a verdict with a note."""
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
_FOR_PROGRAMS = ("/api/", "/metrics")
"""Refused in JSON, and not sent on to the login."""
_READS = ("GET", "HEAD", "OPTIONS")
_ONCE_MORE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0">'
    '<title>Oddlot</title></head><body><main><h1>Oddlot</h1><p><a href="">Continue</a></p></main></body></html>'
)

Next = Callable[[Request], Awaitable[Response]]


def check_binding(settings: Settings, *, users: bool) -> None:
    """Raises SettingsError where others than this machine could come in without a password; `users` is whether there
    are any, who have one each."""
    if users or settings.review_password or is_loopback(settings.review_host):
        return
    raise SettingsError(
        f"the review page at {settings.review_host} would be open to everybody: make a user with `oddlot users add "
        "NAME --role admin`, or set ODDLOT_REVIEW_PASSWORD, or leave it at 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Refuses what must not come in, before any page is asked."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._users = any_account(engine)
        check_binding(settings, users=self._users)
        self.shared, self._accounts = SharedPassword(settings), Accounts(engine)
        self._rate, self._roles = Rate(settings.review_rate), Roles([])
        public = urlsplit(settings.public_url).hostname or "localhost"
        own = {"localhost", settings.review_host.lower(), socket.gethostname().lower(), public}
        self._names = own | {name.strip().lower() for name in settings.review_names.split(",") if name.strip()}

    def learn_routes(self, routes: Sequence[BaseRoute]) -> None:
        """Raises RuntimeError where one of them has no role."""
        self._roles = Roles(routes)

    def _has_users(self) -> bool:
        """Whether one signs in by name. Where it was so once it stays so: a database that was exchanged for one without
        users must not open a page which listens to a whole network."""
        self._users = self._users or any_account(self._engine)
        return self._users

    async def __call__(self, request: Request, go_on: Next) -> Response:
        request.state.visit = STRANGER
        if not self._is_ours(request.headers.get("host", "")):
            # A site elsewhere whose name was pointed at this machine (DNS rebinding) has its own name here.
            response: Response = PlainTextResponse(
                "This host name is not one of the review page. Use its address, or set ODDLOT_REVIEW_NAMES.\n", 421
            )
        elif _path(request).startswith("/static/") or _path(request) == "/healthz":
            # The second says itself that there is no database.
            response = await go_on(request)
        elif wait := self._rate.wait(address_of(request)):
            response = _answer(request, 429, "too many requests: wait a moment", {"Retry-After": str(wait)})
        else:
            response = await self._known_host(request, go_on)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _known_host(self, request: Request, go_on: Next) -> Response:
        try:
            visit = await run_in_threadpool(self._visit, request)
        except (SQLAlchemyError, DatabaseError):
            return _answer(request, 503, "the database does not answer: `oddlot doctor` looks for the cause")
        request.state.visit = visit
        needed = self._roles.needed(request.method, _path(request))
        if needed is not OPEN and visit.caller is None:
            return self._who_are_you(request)
        if needed is not OPEN and not visit.may(needed):
            return await self._not_allowed(request, needed)
        if request.method not in _READS:
            if not _is_small(request):  # whoever sends it: a page would read all of it
                return _answer(request, 413, f"a request has at most {FORM_LIMIT} bytes, and says how many")
            if not visit.by_header and (refusal := await self._foreign(request)):
                return PlainTextResponse(f"Refused: {refusal}\n", 403)
        response = await go_on(request)
        if visit.cookie and not _path(request).startswith(_FOR_PROGRAMS) and not _sets(response, COOKIE):
            set_cookie(request, response, COOKIE, visit.cookie)
        return response

    def _visit(self, request: Request) -> Visit:
        return (self._accounts if self._has_users() else self.shared).visit(request)

    async def _not_allowed(self, request: Request, needed: Role) -> Response:
        caller = request.state.visit.caller
        what, by = f"{request.method} {_path(request)}"[:200], actor_of(request, caller.name)
        await run_in_threadpool(record_done, self._engine, by, Act.REFUSED, what, f"{caller.role} is not {needed}")
        return _answer(request, 403, f"this needs the role {needed}, and {caller.name} is {caller.role}")

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True  # nobody can point a number elsewhere

    def _who_are_you(self, request: Request) -> Response:
        if _wants_json(request) or request.method not in _READS:
            what = "token" if request.state.visit.has_users else "password"
            text = f"nobody is signed in here: log in at /login, or send the {what} as `Authorization: Bearer ...`"
            return JSONResponse({"error": text}, 401, {"WWW-Authenticate": "Bearer"})
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Followed from a mail or another page, a link does not bring the strict cookie along; from here it will.
            return HTMLResponse(_ONCE_MORE)
        target = _path(request) + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)

    async def _foreign(self, request: Request) -> str | None:
        """Why a request that would change something is not from a page of ours; None where it is."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "it comes from another site"
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            return "it comes from another site"
        token = request.headers.get("x-csrf-token")
        if token is None:
            await request.body()  # kept, so that the page can read it again
            given = (await request.form()).get("token")
            token = given if isinstance(given, str) else ""
        if not request.state.visit.is_form_token(token):
            return "the page is too old, or not from here: load it again"
        return None


def _is_small(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return "transfer-encoding" not in request.headers and length.isdecimal() and int(length) <= FORM_LIMIT


def _path(request: Request) -> str:
    """As the routes see it. `request.url` is put together with the Host header, which whoever asks has written."""
    path: str = request.scope["path"]
    return path


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    said = "authorization" in request.headers or "application/json" in accepted
    return said or _path(request).startswith(_FOR_PROGRAMS)


def _answer(request: Request, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """One sentence, as whoever asks reads it."""
    if _wants_json(request):
        return JSONResponse({"error": text}, status, headers)
    return PlainTextResponse(f"{text[:1].upper()}{text[1:]}.\n", status, headers)


def _sets(response: Response, name: str) -> bool:
    return any(value.startswith(f"{name}=") for value in response.headers.getlist("set-cookie"))
