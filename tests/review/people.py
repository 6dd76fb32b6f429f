"""Users of a home, and clients that are signed in as one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

import httpx
from sqlalchemy import Engine

from db import accounts
from db.accounts import Account
from db.audit_log import Actor
from db.sessions import begin_session
from oddlot.passwords import hash_password
from oddlot.words import Role
from review.visits import COOKIE, new_secret

PASSWORD = "four words are enough"
NAMES = {Role.ADMIN: "Ada", Role.REVIEWER: "Rex", Role.VIEWER: "Vic"}


@cache
def hashed() -> str:
    """Made once: that it takes long is its purpose."""
    return hash_password(PASSWORD)


def make_people(engine: Engine) -> dict[Role, Account]:
    """One user of each role, all with the same password."""
    return {role: accounts.add_account(engine, name, role, hashed()) for role, name in NAMES.items()}


@contextmanager
def signed_in(engine: Engine, address: str, name: str) -> Iterator[httpx.Client]:
    """A client with a session of that user, without the work of a sign-in."""
    secret = new_secret()
    account = accounts.get_account(engine, name)
    assert begin_session(engine, account, secret, timedelta(hours=1), Actor(name, "page"))
    with httpx.Client(base_url=address, cookies={COOKIE: secret}, timeout=30) as client:
        yield client
