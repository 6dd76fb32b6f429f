"""Column types that mean the same on SQLite and PostgreSQL."""

import json
import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sqlalchemy import DateTime, Dialect, String, Text, TypeDecorator

from oddlot.errors import OddlotError

_BYTES = "bytes:"


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, aware. SQLite keeps no zone, so there it is written as naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class FilePath(TypeDecorator[str]):
    """An absolute path. Names that are not UTF-8 come back as they were: no database could store them as text.

    They are kept percent-encoded behind `bytes:`, which no absolute path begins with.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not value.startswith(_BYTES):
            return value
        return os.fsdecode(unquote_to_bytes(value.removeprefix(_BYTES)))


def _stored(path: str) -> str:
    if path.isascii():
        return path
    try:
        path.encode()
    except UnicodeEncodeError:
        return _BYTES + quote_from_bytes(os.fsencode(path))
    return path


LONGEST_PATH = 2600
"""Bytes of a path that can be looked up: PostgreSQL's indexes take rows of 2,704 bytes (a third of a page)."""
LONGEST_NAME = 200
"""Characters of a line or a schedule; the key of a submission has twice as many."""


def is_too_long(path: str) -> bool:
    """Whether a path is longer than a database can look up."""
    # Most are short: a letter is stored as twelve bytes at most, four that are written as %F0 and so on.
    return 12 * len(path) + len(_BYTES) > LONGEST_PATH and len(_stored(path).encode()) > LONGEST_PATH


def check_name(name: str | None, what: str, most: int = LONGEST_NAME) -> None:
    """Raises OddlotError for a name that is too long to be looked up, `what` being `the line`, say."""
    if name is not None and len(name) > most:
        raise OddlotError(f"{what} {name[:20]!r}... has {len(name)} characters: use at most {most}")


class Line(TypeDecorator[str]):
    """Text for people. What cannot be stored as text (a byte of a file name, NUL) is written as an escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


class Json(TypeDecorator[Any]):
    """Plain values as JSON text, pure ASCII."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Word(TypeDecorator[StrEnum]):
    """One of the words of the house (`oddlot.words`)."""

    impl = String(16)
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(self.words(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.words(value)
