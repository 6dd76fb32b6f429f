"""What stands in a bundle, and the list with hashes that proves it: bytes in, bytes out, no files."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

from oddlot.errors import BundleError

MANIFEST = "manifest.json"
FORMAT = "oddlot bundle 1"

SHEET = "synthetic.png"
"""For people: sealed and carried like the others, never decoded by this program."""

_MIB = 2**20
LIMITS = {
    "network.json": _MIB,
    "weights.npz": 4096 * _MIB,
    "calibration.json": 64 * _MIB,
    "preprocessing.json": _MIB,
    "card.json": 16 * _MIB,
    "golden.npz": 256 * _MIB,
    SHEET: 16 * _MIB,
}
"""Every file that a bundle has beside its manifest, and the most bytes that are read of each."""
MANIFEST_LIMIT = _MIB
SIGNATURE = "manifest.sig"
"""Beside the manifest where somebody signed it (`ganomaly.signing`); no part of what the manifest lists."""
SIGNATURE_BYTES = 64

Verify = Callable[[bytes, bytes | None], None]
"""Raises BundleError unless somebody who is trusted signed a manifest; None is no signature."""


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def to_json(values: Any) -> bytes:
    """Values as JSON that is the same for equal values. Raises ValueError for NaN, TypeError for objects.

    Pure ASCII, because the name of a folder on a card may hold bytes that are no text.
    """
    return (json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def from_json(name: str, data: bytes) -> dict[str, Any]:
    """The table in a JSON file called `name`. Raises BundleError where it is anything else."""
    try:
        values = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise BundleError(f"{name} is not a JSON table")
    return values


def make_manifest(files: Mapping[str, bytes]) -> bytes:
    """The manifest of all files of a bundle. Raises BundleError where one is too large to be read again."""
    for name, data in files.items():
        if len(data) > LIMITS[name]:
            raise BundleError(f"{name} would have {len(data)} bytes; at most {LIMITS[name]} are possible")
    listed = {name: {"bytes": len(data), "sha256": sha256_of(data)} for name, data in files.items()}
    return to_json({"format": FORMAT, "files": listed})


class SealedFiles(ABC):
    """The files of a bundle, wherever they lie; none is believed before it agrees with the manifest.

    `sha256` is that of the manifest itself, `signature` what stands beside it, or None.
    """

    def __init__(self, present: Collection[str], sha256: str | None, trusted: Verify | None = None) -> None:
        """`present` are the names found; `trusted` is asked before anything is read but manifest and signature, and
        before the manifest is understood.

        Raises BundleError where the manifest has not the hash `sha256` (None: any), is not signed by whom it should be,
        or is not understood, and where a file is missing or does not belong in a bundle.
        """
        if MANIFEST not in present:
            raise BundleError(f"{MANIFEST} is missing")
        self._manifest = self._bytes_of(MANIFEST, MANIFEST_LIMIT)
        self.sha256 = sha256_of(self._manifest)
        if sha256 is not None and self.sha256 != sha256:
            raise BundleError(f"{MANIFEST} has the hash {self.sha256}, and {sha256} was registered")
        self.signature = self._bytes_of(SIGNATURE, SIGNATURE_BYTES) if SIGNATURE in present else None
        if trusted is not None:
            trusted(self._manifest, self.signature)
        self._entries = _entries(from_json(MANIFEST, self._manifest))
        for name in sorted({*self._entries, MANIFEST} ^ (set(present) - {SIGNATURE})):
            raise BundleError(f"{name} is missing" if name in self._entries else f"{name!r} does not belong in it")

    @property
    def names(self) -> tuple[str, ...]:
        """All files: the manifest, then those that it lists, always in the same order."""
        return MANIFEST, *LIMITS

    def listed_sha256(self, name: str) -> str:
        """The SHA-256 that the manifest lists for a file, which is not read."""
        return self._entries[name][1]

    def read(self, name: str) -> bytes:
        """The bytes of one file as they were written. Raises BundleError where they are not."""
        if name == MANIFEST:
            return self._manifest
        size, digest = self._entries[name]
        data = self._bytes_of(name, size)
        if len(data) != size or sha256_of(data) != digest:
            raise BundleError(f"{name} is damaged: its bytes are not those that were written")
        return data

    @abstractmethod
    def _bytes_of(self, name: str, limit: int) -> bytes:
        """All bytes of a file. Raises BundleError where it cannot be read or has more than `limit`."""


def _entries(manifest: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file that the manifest lists. Raises BundleError."""
    if manifest.get("format") != FORMAT:
        raise BundleError(f"{MANIFEST} is of a format that this version of Oddlot does not know")
    files = manifest.get("files")
    if set(manifest) != {"format", "files"} or not isinstance(files, dict):
        raise BundleError(f"{MANIFEST} has missing or unknown entries")
    if set(files) != set(LIMITS):
        raise BundleError(f"{MANIFEST} does not list just the files of a bundle")
    entries: dict[str, tuple[int, str]] = {}
    for name, entry in files.items():
        match entry:
            case {"bytes": int(size), "sha256": str(digest)} if len(entry) == 2 and 0 <= size <= LIMITS[name]:
                entries[name] = size, digest
            case _:
                raise BundleError(f"{MANIFEST} has a bad entry for {name}")
    return entries


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice")
    return values
