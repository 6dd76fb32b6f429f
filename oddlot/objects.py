"""Asking an object store: small whole objects in and out, and the list of what is there.

Through s3fs, the implementation of S3 for fsspec: it brings the credentials, the connections and the thread in which
they live. The generic calls of fsspec cannot read an object on condition that it is the one that was listed, so S3's
own are used. Every process has its own connection, made when it is first needed and never before a fork.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from oddlot.errors import ObjectTrouble, StoreError
from oddlot.places import ObjectPath
from oddlot.settings import load_settings

if TYPE_CHECKING:
    from oddlot.object_calls import Calls


PATIENCE, HURRY = 30.0, 4.0
"""Seconds for which a call is tried again, at most; and where a person waits for it."""

_patience = PATIENCE


@dataclass(frozen=True)
class ListedObject:
    """An object as the store lists it; `modified_ns` since 1970, `etag` without quotes."""

    key: str
    size: int
    modified_ns: int
    etag: str


@dataclass(frozen=True)
class ListedPrefix:
    """All objects that begin with `prefix`, which ends with a slash, in a list that does not look into it."""

    prefix: str


def read_object(place: ObjectPath, *, most: int, size: int | None = None, etag: str | None = None) -> bytes:
    """The whole object. Raises ObjectTrouble, unread where it has more than `most` bytes or is not of that size or
    etag, and StoreError where the store is at fault."""
    return _calls().get(place.bucket, place.key, most, size, etag)


def list_objects(place: ObjectPath, *, deep: bool = True) -> Iterator[ListedObject | ListedPrefix]:
    """All objects below `place`, in the order of their keys, a thousand in memory at a time; not `deep`: those of the
    first level, and what stands for the rest. Raises ObjectTrouble and StoreError."""
    prefix = f"{place.key}/" if place.key else ""
    token: str | None = None
    while True:
        page = _calls().page(place.bucket, prefix, token, "" if deep else "/")
        for one in page.get("CommonPrefixes", ()):
            yield ListedPrefix(one["Prefix"])
        for one in page.get("Contents", ()):
            # Some servers list seconds only: a float holds microseconds of today, and no more is compared.
            modified = round(one["LastModified"].timestamp() * 1e6) * 1000
            yield ListedObject(one["Key"], int(one["Size"]), modified, one["ETag"].strip('"'))
        token = page.get("NextContinuationToken")
        if not page.get("IsTruncated") or token is None:
            return


def holds_something(place: ObjectPath) -> bool:
    """Raises ObjectTrouble and StoreError."""
    prefix = f"{place.key}/" if place.key else ""
    return bool(_calls().page(place.bucket, prefix, None, "", most=1).get("Contents"))


def try_out(place: ObjectPath) -> None:
    """Write, read and remove a small object below `place`. Raises ObjectTrouble and StoreError."""
    probe = ObjectPath(f"{place}/.oddlot-{secrets.token_hex(8)}")
    _calls().put(probe.bucket, probe.key, b"probe")
    read_object(probe, most=5)
    remove_object(probe)


def remove_object(place: ObjectPath) -> None:
    """Raises ObjectTrouble and StoreError; not where it is gone already."""
    _calls().delete(place.bucket, place.key)


def read_stored(place: ObjectPath) -> bytes:
    """A small object of our own stores. Raises OSError."""
    with _as_file(place):
        return read_object(place, most=2**40)


def write_stored(place: ObjectPath, data: bytes) -> None:
    """Raises OSError."""
    with _as_file(place):
        _calls().put(place.bucket, place.key, data)


@contextmanager
def _as_file(place: ObjectPath) -> Iterator[None]:
    """What is wrong with an object, as an OSError: who keeps maps and thumbnails need not know where they are."""
    try:
        yield
    except ObjectTrouble as trouble:
        raise OSError(errno.ENOENT if trouble.missing else errno.EIO, str(trouble), str(place)) from None
    except StoreError as error:
        raise OSError(errno.EIO, str(error), str(place)) from None


def _calls() -> "Calls":
    return _calls_of(os.getpid())


@cache
def _calls_of(_pid: int) -> "Calls":
    """Of this very process: connections, and the thread that serves them, do not live on in a fork."""
    try:
        from oddlot.object_calls import Calls
    except ImportError:
        raise StoreError("s3:// addresses need s3fs: pip install 'oddlot[s3]'") from None
    return Calls(load_settings(), _patience)


def hurry() -> None:
    """In this process a person waits for every call: give up early. To be said before the first one."""
    global _patience
    _patience = HURRY


def close() -> None:
    """End the connections of this process; the next call makes new ones."""
    with suppress(ImportError, StoreError):
        if _calls_of.cache_info().currsize:
            _calls().close()
    _calls_of.cache_clear()
