"""Signing in by name and password: the same work and the same answer whatever is wrong, and a brake on guessing."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from db import accounts, sign_ins
from db.audit_log import Act, Actor, record_done
from db.sessions import begin_session
from oddlot import passwords
from review.sessions import LIFETIME
from review.visits import new_secret

WRONG = "Name or password is wrong."


@dataclass(frozen=True)
class SignIn:
    """`secret` is the cookie of the new session, or None with `trouble` and its status."""

    secret: str | None
    trouble: str = ""
    status: int = 200


def sign_in(engine: Engine, name: str, password: str, address: str) -> SignIn:
    """A session that was not there before, so that nobody has planted it; or why there is none."""
    attempt = sign_ins.begin_attempt(engine, name, address)
    if attempt is None:
        seconds = sign_ins.WINDOW.total_seconds()
        return SignIn(None, f"Too many wrong names or passwords: wait {seconds:.0f} seconds.", 429)
    found = accounts.find_account(engine, name)
    right = passwords.is_password(found.password_hash if found else None, password)
    if found is None or not right or not found.active:
        # A name that is not there may be a password that was typed into the wrong field.
        who = found.name if found else None
        record_done(engine, Actor(who, "page"), Act.SIGN_IN_REFUSED, None if who else "unknown name", f"from {address}")
        return SignIn(None, WRONG, 403)
    sign_ins.forget_attempt(engine, attempt)
    secret = new_secret()
    by, lifetime = Actor(found.name, "page"), timedelta(seconds=LIFETIME)
    if not begin_session(engine, found, secret, lifetime, by, f"from {address}"):
        return SignIn(None, WRONG, 403)
    if passwords.is_outdated(found.password_hash):
        accounts.renew_hash(engine, found.id, found.password_hash, passwords.hash_password(password))
    return SignIn(secret)
