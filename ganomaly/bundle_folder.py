"""The folder of a bundle on disk: it appears whole or not at all, and nothing unexpected in it is read."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ganomaly.manifest import SealedFiles, Verify
from oddlot.errors import BundleError
from oddlot.places import Place


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a bundle, manifest among them, as the new folder `folder`.

    Everything is on the disk under a hidden name beside `folder` before that is renamed. Raises BundleError
    where `folder` exists or cannot be written.
    """
    with new_path(folder) as partial:
        partial.mkdir()
        for name, data in files.items():
            with open(partial / name, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(partial)


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; renamed to `path` at the end, removed on any error.

    Raises BundleError where `path` exists or cannot be written.
    """
    path = Path(os.path.abspath(path))
    if os.path.lexists(path):
        raise BundleError(f"{path} already exists: a bundle is never written over something else")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.rename(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BundleError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            partial.unlink()


class BundleFolder(SealedFiles):
    """The files of a bundle in a folder. Links are not followed."""

    def __init__(self, folder: Path, sha256: str | None, trusted: Verify | None = None) -> None:
        self._folder = folder
        try:
            present = os.listdir(folder)
        except OSError as error:
            raise BundleError(f"it cannot be opened: {error.strerror}") from error
        super().__init__(present, sha256, trusted)

    def _bytes_of(self, name: str, limit: int) -> bytes:
        # O_NONBLOCK: a fifo in place of a file must not be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with open(os.open(self._folder / name, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise BundleError(f"{name} is not a plain file")
                if status.st_size > limit:
                    raise BundleError(f"{name} is damaged: it has {status.st_size} bytes, more than {limit}")
                return file.read(status.st_size)
        except OSError as error:
            reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise BundleError(f"{name} cannot be read: {reason}") from error


@contextmanager
def refusing(path: Place) -> Iterator[None]:
    """Puts the path of the bundle before what is wrong with one of its files."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"the bundle {path} is refused: {error}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
