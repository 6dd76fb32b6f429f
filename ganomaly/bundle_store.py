"""Bundles wherever the model store is: of an object store, each host keeps verified copies of those that it uses."""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganomaly.bundle_folder import BundleFolder, refusing, write_folder
from ganomaly.manifest import MANIFEST, MANIFEST_LIMIT, SIGNATURE, SealedFiles, Verify
from oddlot import objects
from oddlot.errors import BundleError, ObjectTrouble
from oddlot.places import ObjectPath, Place

MOST_BYTES = 4 * 2**30
"""Of all copies together; then those that were not used for longest go."""
LEAST_SECONDS = 3600.0
"""So long after it was asked for a copy stays, whatever there is: somebody may be reading it."""


def bundle_folder(place: Place, sha256: str, home: Path, *, trusted: Verify | None = None) -> Path:
    """The bundle at `place` as a folder of this machine: itself, or a copy below `home`, whose every file is verified.

    A copy that is not signed by whom `trusted` knows is fetched anew: somebody may have signed it since. Raises
    BundleError where it is missing or damaged or has not that hash, StoreError where the store does not answer.
    """
    if not isinstance(place, ObjectPath):
        return place
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise BundleError(f"the bundle {place} is refused: the hash that was registered for it is none")
    copies = home / "cache" / "bundles"
    kept = copies / sha256
    try:
        with _alone(copies, sha256):
            if not _is_whole(kept, sha256) or not _is_trusted(kept, trusted):
                for path in (kept, *copies.glob(f".{sha256}.*.partial")):  # damaged, or left by one that was killed
                    shutil.rmtree(path, ignore_errors=True)
                _fetch(place, sha256, kept)
                _drop_oldest(copies)
            os.utime(kept)
    except OSError as error:
        raise BundleError(f"the bundle {place} cannot be kept in {copies}: {error.strerror}") from error
    return kept


@contextmanager
def new_bundle(place: Place, home: Path) -> Iterator[Path]:
    """The folder in which to write a new bundle that shall stand at `place`, and there appears whole: the manifest,
    without which nobody takes it for one, goes last. Raises BundleError where it cannot be written there."""
    if not isinstance(place, ObjectPath):
        yield place
        return
    (home / "cache").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=home / "cache") as scratch:
        folder = Path(scratch) / "bundle"
        yield folder
        for name in sorted(os.listdir(folder), key=lambda name: (name == MANIFEST, name)):
            try:
                (place / name).write_bytes((folder / name).read_bytes())
            except OSError as error:
                raise BundleError(f"{place} cannot be written: {error.strerror}") from error


def put_signature(place: Place, folder: Path) -> None:
    """Put the signature of the copy in `folder` to the bundle at `place`. Raises BundleError."""
    if isinstance(place, ObjectPath):
        try:
            (place / SIGNATURE).write_bytes((folder / SIGNATURE).read_bytes())
        except OSError as error:
            raise BundleError(f"{place} cannot be written: {error.strerror}") from error


def check_writable(store: Place) -> None:
    """Raises BundleError where an object store cannot be written, StoreError where it does not answer. What a folder
    lets one do is only known when it is done."""
    if isinstance(store, ObjectPath):
        try:
            objects.try_out(store)
        except ObjectTrouble as trouble:
            raise BundleError(f"{store} cannot be written: {trouble}") from None


def is_missing(place: Place) -> bool:
    """Raises StoreError where the store does not answer."""
    if not isinstance(place, ObjectPath):
        return not place.is_dir()
    try:
        return not objects.holds_something(place)
    except ObjectTrouble:
        return True


class _BundleObjects(SealedFiles):
    """The files of a bundle in an object store."""

    def __init__(self, place: ObjectPath, sha256: str) -> None:
        self._place = place
        try:
            listed = [one for one in objects.list_objects(place) if isinstance(one, objects.ListedObject)]
        except ObjectTrouble as trouble:
            raise BundleError(f"it cannot be opened: {trouble}") from None
        self._present = [one.key[len(place.key) + 1 :] for one in listed]
        super().__init__(self._present, sha256)

    def contents(self) -> dict[str, bytes]:
        """All files, verified; and what else may stand beside them, which the manifest does not list."""
        others = {name: self._bytes_of(name, MANIFEST_LIMIT) for name in set(self._present) - {*self.names}}
        return {name: self.read(name) for name in self.names} | others

    def _bytes_of(self, name: str, limit: int) -> bytes:
        try:
            return objects.read_object(ObjectPath(f"{self._place}/{name}"), most=limit)
        except ObjectTrouble as trouble:
            raise BundleError(f"{name} cannot be read: {trouble}") from None


def _fetch(place: ObjectPath, sha256: str, kept: Path) -> None:
    with refusing(place):
        contents = _BundleObjects(place, sha256).contents()
    write_folder(kept, contents)


def _is_whole(kept: Path, sha256: str) -> bool:
    if not kept.is_dir():
        return False
    try:
        bundle = BundleFolder(kept, sha256)
        for name in bundle.names:
            bundle.read(name)
    except BundleError:
        return False
    return True


def _is_trusted(kept: Path, trusted: Verify | None) -> bool:
    if trusted is None:
        return True
    signature = kept / SIGNATURE
    try:
        trusted((kept / MANIFEST).read_bytes(), signature.read_bytes() if signature.exists() else None)
    except BundleError:
        return False
    return True


def _drop_oldest(copies: Path) -> None:
    """What other processes write, look at or drop meanwhile is theirs."""
    found = []
    for entry in os.scandir(copies):
        with contextlib.suppress(OSError):
            if entry.name.endswith(".partial"):  # left by one that was killed, unless it is young
                if time.time() - entry.stat().st_mtime >= LEAST_SECONDS:
                    shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.is_dir():
                size = sum(one.stat().st_size for one in os.scandir(entry.path))
                found.append((entry.stat().st_mtime, entry.name, size))
    total = sum(size for _, _, size in found)
    for used, name, size in sorted(found):
        if total <= MOST_BYTES or time.time() - used < LEAST_SECONDS:
            return
        with contextlib.suppress(OSError), _alone(copies, name, wait=False):
            if time.time() - (copies / name).stat().st_mtime >= LEAST_SECONDS:
                shutil.rmtree(copies / name, ignore_errors=True)
                total -= size


@contextmanager
def _alone(copies: Path, sha256: str, *, wait: bool = True) -> Iterator[None]:
    """One process of this machine at a time; the kernel lets the next one in, also where one was killed. Without `wait`
    raises BlockingIOError where another one is there."""
    copies.mkdir(parents=True, exist_ok=True)
    lock = os.open(copies / f".{sha256}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
