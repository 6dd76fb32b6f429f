"""Who is there: a signed cookie for browsers, the password for programs, and a brake for those who guess it."""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

LIFETIME = 12 * 3600
"""Seconds for which a login is good: a shift."""
GUESSES, GUESS_SECONDS = 5, 60.0
"""Wrong passwords that one address may give within so many seconds, and all together ten times as many."""


@dataclass(frozen=True)
class Session:
    """`proved` is whether the password was given; `nonce` tells it from every other session."""

    nonce: str
    proved: bool
    ends: int


class Sessions:
    """Makes and reads the cookies. They end where the password changes, and after LIFETIME."""

    def __init__(self, home: Path, password: str) -> None:
        self._key = hmac.digest(_secret(home), b"session " + password.encode("utf-8", "surrogateescape"), "sha256")
        self._password = hashlib.sha256(password.encode("utf-8", "surrogateescape")).digest() if password else None

    @property
    def open_to_all(self) -> bool:
        """No password is asked for."""
        return self._password is None

    def is_password(self, text: str) -> bool:
        """Compared in a time that says nothing about how much of it is right."""
        given = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        return self._password is not None and hmac.compare_digest(given, self._password)

    def new(self, *, proved: bool) -> Session:
        return Session(secrets.token_urlsafe(18), proved, int(time.time()) + LIFETIME)

    def cookie(self, session: Session) -> str:
        text = f"{session.nonce}.{session.ends}.{int(session.proved)}"
        return f"{text}.{self._sign('cookie', text)}"

    def read(self, cookie: str | None) -> Session | None:
        """None for a cookie that is not ours, or too old."""
        text, _, signature = (cookie or "").rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("cookie", text).encode()):
            return None
        nonce, ends, proved = text.split(".")
        return Session(nonce, proved == "1", int(ends)) if int(ends) > time.time() else None

    def token(self, session: Session) -> str:
        """What every form of this session carries: no other site can know it."""
        return self._sign("form", session.nonce)

    def is_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token(session).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose} {text}".encode("utf-8", "replace"), "sha256").hex()


class Guesses:
    """Counts wrong passwords by address."""

    def __init__(self) -> None:
        self._wrong: defaultdict[str, deque[float]] = defaultdict(deque)

    def too_many(self, address: str) -> bool:
        return len(self._of(address)) >= GUESSES or len(self._of("")) >= 10 * GUESSES

    def wrong(self, address: str) -> None:
        if len(self._wrong) > 10_000:  # somebody has many addresses: the count of all together still holds
            self._wrong = defaultdict(deque, {"": self._wrong[""]})
        for counted in (address, ""):
            self._wrong[counted].append(time.monotonic())

    def _of(self, address: str) -> deque[float]:
        times = self._wrong[address]
        while times and times[0] < time.monotonic() - GUESS_SECONDS:
            times.popleft()
        return times


def _secret(home: Path) -> bytes:
    """32 bytes that stay the same on this home, so that a restart logs nobody out."""
    path = home / "review.key"
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(32))
        key = path.read_bytes()
        if len(key) == 32:
            return key
    return secrets.token_bytes(32)
