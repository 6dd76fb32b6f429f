"""Passwords: what is stored of one, and whether one is it. Argon2id (docs/decisions/0028-access.md)."""

import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from oddlot.errors import OddlotError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 10, 1000

NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$2nzlZEwGsLmtAttKMMm7dw$zmQJmg4c/9oHxTgWH3g8YS5wZBpdnSKlSWOyn2LAMsI"
"""The hash of a password that nobody knows: a name that is not there costs the same work as one that is."""

_AT_ONCE = threading.BoundedSemaphore(2)
"""Each takes 64 MiB for its time."""


def check_password(password: str, name: str = "") -> None:
    """Raises OddlotError where nobody should have that password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise OddlotError(f"a password has {SHORTEST} to {LONGEST} characters; several words are easy to remember")
    if _plain(password).casefold() == _plain(name).casefold() or len(set(password)) < 4:
        raise OddlotError("that password would be guessed first: choose several words")


def hash_password(password: str) -> str:
    """What is stored: another text each time, from which the password cannot be had."""
    with _AT_ONCE:
        return _hasher().hash(_plain(password))


def is_password(stored: str | None, password: str) -> bool:
    """Whether it is the one of that hash. For None, where there is no such user, the same work is done for nothing."""
    from argon2.exceptions import InvalidHashError, VerificationError

    with _AT_ONCE:
        try:
            return _hasher().verify(stored or NOBODY, _plain(password[: LONGEST + 1])) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with less work than is usual now."""
    return _hasher().check_needs_rehash(stored)


def _plain(password: str) -> str:
    """The same text whichever keyboard composed its letters."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher
    from argon2.profiles import RFC_9106_LOW_MEMORY

    return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
