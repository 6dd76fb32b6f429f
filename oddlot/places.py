"""Where pictures and stores are: a folder of this machine, or a prefix in an object store.

An address of an object store is text that is never normalised and never becomes a path of this machine: its keys may
hold `..`, two slashes and anything else. What asks the store is `oddlot.objects`, imported only when that is needed.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from oddlot.errors import OddlotError

SCHEME = "s3://"
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True)
class ObjectPath:
    """An object, or all that begin alike, as `s3://bucket/key`."""

    address: str

    @property
    def bucket(self) -> str:
        return self.address[len(SCHEME) :].partition("/")[0]

    @property
    def key(self) -> str:
        return self.address[len(SCHEME) :].partition("/")[2]

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.address.rpartition("/")[2]

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, below: str) -> "Place":
        """What stands below this; an absolute path, or another address, stays what it is, as with folders."""
        if below.startswith(("/", SCHEME)):
            return place_of(below)
        return ObjectPath(f"{self.address}/{below}")

    def read_bytes(self) -> bytes:
        """Raises OSError, as a file would."""
        from oddlot import objects

        return objects.read_stored(self)

    def write_bytes(self, data: bytes) -> None:
        """Whole or not at all, over what was there. Raises OSError."""
        from oddlot import objects

        objects.write_stored(self, data)


Place: TypeAlias = Path | ObjectPath


def is_address(text: str) -> bool:
    return text.startswith(SCHEME)


def place_of(text: str) -> Place:
    """A folder, absolute and with `~` filled in, or a prefix without slashes at its end. Raises OddlotError."""
    scheme = _ANY_SCHEME.match(text)
    if scheme is None:
        try:
            return Path(text).expanduser().absolute()
        except RuntimeError:  # a ~user that is not there
            raise OddlotError(f"{text} is not a path: there is no such user") from None
    if scheme[0] != SCHEME:
        raise OddlotError(f"addresses that begin with {scheme[0]} are not supported: use a folder, or {SCHEME}")
    bucket = text[len(SCHEME) :].partition("/")[0]
    if "\0" in text or (not text.isascii() and text != text.encode("utf-8", "replace").decode()):
        raise OddlotError("an address of an object store is text in UTF-8")
    if "@" in bucket or ":" in bucket:
        raise OddlotError(
            "an address is s3://bucket/prefix and nothing else: keys belong into AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or a shared credentials file, the server into ODDLOT_S3_ENDPOINT"
        )
    if not _BUCKET.fullmatch(bucket):
        raise OddlotError(f"{bucket[:80]!r} is not the name of a bucket: write s3://bucket/prefix")
    return ObjectPath(text.rstrip("/"))


def seen_from(path: str, source: str) -> str:
    """The path of a file, or the key of an object, as seen from the folder or prefix that was submitted."""
    if is_address(path):
        return path.removeprefix(f"{source}/")
    return os.path.relpath(path, source)


def joined(source: str, name: str) -> str:
    """The opposite of `seen_from`."""
    return f"{source}/{name}" if is_address(source) else os.path.join(source, name)
