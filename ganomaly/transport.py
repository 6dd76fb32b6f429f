"""A bundle as one file, to be carried to another plant: an uncompressed zip of its files."""

import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from ganomaly.arrays import ZIP_ERRORS
from ganomaly.bundle import read_parts
from ganomaly.bundle_folder import BundleFolder, new_path, refusing, write_folder
from ganomaly.manifest import LIMITS, MANIFEST, SIGNATURE, SealedFiles, Verify
from oddlot.errors import BundleError

if TYPE_CHECKING:
    from ganomaly.signing import Sign

_NAMES = (MANIFEST, *LIMITS, SIGNATURE)
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def export_bundle(
    folder: Path, file: Path, sha256: str | None = None, *, trusted: Verify | None = None, sign: "Sign | None" = None
) -> str:
    """Write the bundle `folder` as the new file `file`; equal bundles give equal files.

    With `sign` the file is signed anew, without it a signature goes along. Returns the SHA-256 of its manifest. Raises
    BundleError where the bundle is damaged, has not the hash `sha256` (None: any) or is not `trusted`, and where `file`
    exists or cannot be written.
    """
    with refusing(folder):
        bundle = BundleFolder(folder, sha256, trusted)
        contents = {name: bundle.read(name) for name in bundle.names}
        contents |= _signature(bundle, sign)
    with new_path(file) as partial, open(partial, "xb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, data in contents.items():
                archive.writestr(zipfile.ZipInfo(name, _EARLIEST), data)
        stream.flush()
        os.fsync(stream.fileno())
    return bundle.sha256


def import_bundle(file: Path, folder: Path, sha256: str | None = None, trusted: Verify | None = None) -> str:
    """Unpack a file of `export_bundle` as the new folder `folder`; returns the SHA-256 of its manifest.

    Every file in it is verified first, except that the network is not built: `open_bundle` does that. Raises
    BundleError where it is damaged, holds anything that `export_bundle` would not write, has not the hash
    `sha256` (None: any) or is not `trusted`, and where `folder` exists or cannot be written.
    """
    with refusing(file):
        try:
            with zipfile.ZipFile(file) as archive:
                bundle = _BundleArchive(archive, file.stat().st_size, sha256, trusted)
                read_parts(bundle)
                contents = {name: bundle.read(name) for name in bundle.names} | _signature(bundle)
        except ZIP_ERRORS as error:
            raise BundleError(f"it is not a file written by `oddlot models export`: {error}") from error
        except OSError as error:
            raise BundleError(f"it cannot be read: {error.strerror}") from error
    write_folder(folder, contents)
    return bundle.sha256


def _signature(bundle: SealedFiles, sign: "Sign | None" = None) -> dict[str, bytes]:
    if sign is not None:
        return {SIGNATURE: sign(bundle.read(MANIFEST))}
    return {} if bundle.signature is None else {SIGNATURE: bundle.signature}


class _BundleArchive(SealedFiles):
    """The files of a bundle in a zip. No name of the zip is ever used as a path."""

    def __init__(self, archive: zipfile.ZipFile, size: int, sha256: str | None, trusted: Verify | None) -> None:
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            name = member.orig_filename
            if name in self._members:
                raise BundleError(f"{name} stands in it twice")
            if name not in _NAMES:
                raise BundleError(f"{name[:80]!r} does not belong in it")
            if member.is_dir() or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                raise BundleError(f"{name} is not a plain file")
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise BundleError(f"{name} is compressed")
            self._members[name] = member
        # Together with "nothing is compressed", this leaves no room for a bomb, not even an overlapping one.
        if sum(member.file_size for member in self._members.values()) > size:
            raise BundleError("its files claim more bytes than it has")
        super().__init__(self._members, sha256, trusted)

    def _bytes_of(self, name: str, limit: int) -> bytes:
        member = self._members[name]
        if member.file_size > limit:
            raise BundleError(f"{name} is damaged: it has {member.file_size} bytes, more than {limit}")
        try:
            return self._archive.read(member)
        except zipfile.BadZipFile as error:
            raise BundleError(f"{name} is damaged: {error}") from error
