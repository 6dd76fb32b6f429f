"""What stands before every page: which host was called, who calls, from where, and what a browser may do with it."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

from oddlot.errors import SettingsError
from oddlot.settings import Settings
from review.sessions import Guesses, Sessions

COOKIE = "oddlot_session"
FORM_LIMIT = 64 * 1024
"""Most bytes of a form: a verdict with a note."""
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}
_OPEN = ("/static/", "/login", "/healthz")
_FOR_PROGRAMS = ("/api/", "/metrics")
"""Refused in JSON, and not sent on to the login."""
_READS = ("GET", "HEAD", "OPTIONS")
_ONCE_MORE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0">'
    '<title>Oddlot</title></head><body><main><h1>Oddlot</h1><p><a href="">Continue</a></p></main></body></html>'
)

Next = Callable[[Request], Awaitable[Response]]


def check_binding(settings: Settings) -> None:
    """Raises SettingsError where others than this machine could come in without a password."""
    if settings.review_password or is_loopback(settings.review_host):
        return
    raise SettingsError(
        f"the review page at {settings.review_host} would be open to everybody: set ODDLOT_REVIEW_PASSWORD, "
        "or leave it at 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Refuses what must not come in, before any page is asked."""

    def __init__(self, settings: Settings) -> None:
        check_binding(settings)
        self.sessions = Sessions(settings.home, settings.review_password)
        self.guesses = Guesses()
        public = urlsplit(settings.public_url).hostname or "localhost"
        own = {"localhost", settings.review_host.lower(), socket.gethostname().lower(), public}
        self._names = own | {name.strip().lower() for name in settings.review_names.split(",") if name.strip()}

    async def __call__(self, request: Request, go_on: Next) -> Response:
        if not self._is_ours(request.headers.get("host", "")):
            # A site elsewhere whose name was pointed at this machine (DNS rebinding) has its own name here.
            response: Response = PlainTextResponse(
                "This host name is not one of the review page. Use its address, or set ODDLOT_REVIEW_NAMES.\n", 421
            )
        else:
            response = await self._known_host(request, go_on)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _known_host(self, request: Request, go_on: Next) -> Response:
        session = self.sessions.read(request.cookies.get(COOKIE))
        fresh = session is None
        session = session or self.sessions.new(proved=False)
        request.state.session = session
        request.state.token = self.sessions.token(session)
        by_password = self._bearer(request)
        path = request.url.path
        if not (self.sessions.open_to_all or session.proved or by_password or path.startswith(_OPEN)):
            return self._who_are_you(request)
        if request.method not in _READS and not by_password and (refusal := await self._foreign(request)):
            return PlainTextResponse(f"Refused: {refusal}\n", 403)
        response = await go_on(request)
        for_programs = path.startswith(("/static/", "/healthz", *_FOR_PROGRAMS))
        if fresh and not by_password and not for_programs and not _sets(response, COOKIE):
            set_cookie(request, response, COOKIE, self.sessions.cookie(session))
        return response

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

    def _bearer(self, request: Request) -> bool:
        kind, _, password = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or self.sessions.open_to_all:
            return False
        address = address_of(request)
        if self.guesses.too_many(address):
            return False
        if self.sessions.is_password(password.strip()):
            return True
        self.guesses.wrong(address)
        return False

    def _who_are_you(self, request: Request) -> Response:
        program = request.url.path.startswith(_FOR_PROGRAMS) or request.headers.get("authorization")
        if program or request.method not in _READS:
            text = "the password is needed, as `Authorization: Bearer ...` or by a login at /login"
            return JSONResponse({"error": text}, 401, {"WWW-Authenticate": "Bearer"})
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Followed from a mail or another page, a link does not bring the strict cookie along; from here it will.
            return HTMLResponse(_ONCE_MORE)
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)

    async def _foreign(self, request: Request) -> str | None:
        """Why a request that would change something is not from a page of ours; None where it is."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "it comes from another site"
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            return "it comes from another site"
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > FORM_LIMIT:
            return f"a form has at most {FORM_LIMIT} bytes, and says how many"
        token = request.headers.get("x-csrf-token")
        if token is None:
            await request.body()  # kept, so that the page can read it again
            given = (await request.form()).get("token")
            token = given if isinstance(given, str) else ""
        if not self.sessions.is_token(request.state.session, token):
            return "the page is too old, or not from here: load it again"
        return None


def address_of(request: Request) -> str:
    return request.client.host if request.client else "?"


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """A cookie that only pages of ours send back, and no script can read."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")


def _sets(response: Response, name: str) -> bool:
    return any(value.startswith(f"{name}=") for value in response.headers.getlist("set-cookie"))
