"""Where the pictures of a job come from: a folder, or a prefix in an object store. Listed alike, counted alike."""

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from oddlot.errors import ObjectTrouble, OddlotError
from oddlot.places import SCHEME, ObjectPath, Place
from pictures.listing import SYSTEM_FILES, FoundFile, ListingReport, list_folder


def check_source(source: Place) -> Place:
    """The source as a job keeps it, without links in its path. Raises OddlotError where it cannot be listed."""
    if isinstance(source, ObjectPath):
        from oddlot import objects

        try:
            if not objects.holds_something(source):
                raise OddlotError(f"there is nothing below {source}: give the prefix that holds the pictures")
        except ObjectTrouble as trouble:
            raise OddlotError(f"{source} cannot be listed: {trouble}") from None
        return source
    try:
        os.scandir(source).close()
    except (FileNotFoundError, NotADirectoryError):
        raise OddlotError(f"{source} is not a folder: give the folder that holds the pictures") from None
    except OSError as error:
        raise OddlotError(f"{source} cannot be listed: {error.strerror}") from error
    return source.resolve()


def root_of(source: Place) -> str:
    """What the paths of a source's pictures begin with, or lead to by links: what reading them may not leave."""
    return str(source if isinstance(source, ObjectPath) else source.resolve())


def list_source(
    source: Place, report: ListingReport, *, recursive: bool = True, glob: str | None = None,
    settle_seconds: float = 2.0,
) -> Iterator[FoundFile]:  # fmt: skip
    """`list_folder` for either. An object appears whole, so none is waited for."""
    if isinstance(source, Path):
        return list_folder(source, report, recursive=recursive, glob=glob, settle_seconds=settle_seconds)
    return _list_prefix(source, report, recursive, glob)


def _list_prefix(source: ObjectPath, report: ListingReport, recursive: bool, glob: str | None) -> Iterator[FoundFile]:
    """Every object below the prefix once, by key; fills `report` on the way. Raises OddlotError."""
    from oddlot import objects

    above = len(source.key) + 1 if source.key else 0
    try:
        for one in objects.list_objects(source, deep=recursive):
            if isinstance(one, objects.ListedPrefix):
                report.leave_out("sub-folder, not looked into")
                continue
            *folders, name = one.key[above:].split("/")
            if not name and one.size == 0:
                report.leave_out("folder marker of an object store")
            elif any(folder.startswith(".") and folder not in (".", "..") for folder in folders):
                report.leave_out("in a hidden folder")
            elif name.startswith(".") or name.lower() in SYSTEM_FILES:
                report.leave_out("hidden or system file")
            elif glob is not None and not fnmatch.fnmatchcase(name.lower(), glob.lower()):
                report.leave_out(f"name does not match {glob}")
            elif "\0" in one.key:
                report.leave_out("name with a NUL, which no database keeps")
            else:
                yield FoundFile(f"{SCHEME}{source.bucket}/{one.key}", one.size, one.modified_ns, one.etag)
    except ObjectTrouble as trouble:
        raise OddlotError(f"{source} cannot be listed: {trouble}") from None
