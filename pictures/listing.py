"""Walking a folder: every file is listed, or counted with the reason why it was not."""

import fnmatch
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oddlot.errors import OddlotError
from pictures.names import in_order

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})


@dataclass(frozen=True)
class FoundFile:
    """A file as it was when the folder was listed; `path` is absolute, `size` in bytes, `mtime_ns` since 1970. `etag`
    is what names the content of an object, whose `path` is its address."""

    path: str
    size: int
    mtime_ns: int
    etag: str | None = None


@dataclass
class ListingReport:
    """What is not among the listed files: paths still being written, and counts by reason in plain words."""

    still_written: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def list_folder(
    folder: Path,
    report: ListingReport,
    *,
    recursive: bool = True,
    glob: str | None = None,
    settle_seconds: float = 2.0,
) -> Iterator[FoundFile]:
    """Yield every file below `folder` once, folder by folder, by name; fills `report` on the way.

    `glob` is matched against the name, whatever its case. Memory hardly grows, with the whole or with a single folder.
    Files younger than `settle_seconds` come last, if by then they have not changed. Raises OddlotError where the folder
    is missing or may not be read.
    """
    if not os.path.isdir(folder):  # Path.is_dir raises where a folder above may not be entered
        raise OddlotError(f"{folder} is not a folder: give the folder that holds the pictures")
    young: list[FoundFile] = []
    for found in _walk(str(folder.absolute()), report, recursive, glob):
        if time.time_ns() - found.mtime_ns < settle_seconds * 1e9:
            young.append(found)
        else:
            yield found
    if young:
        time.sleep(settle_seconds)
    for found in young:
        try:
            now = os.stat(found.path)
        except OSError:
            report.still_written.append(found.path)
            continue
        if (now.st_size, now.st_mtime_ns) == (found.size, found.mtime_ns):
            yield found
        else:
            report.still_written.append(found.path)


def _walk(top: str, report: ListingReport, recursive: bool, glob: str | None) -> Iterator[FoundFile]:
    folders = [top]
    while folders:
        folder = folders.pop()
        below: list[str] = []
        try:
            with os.scandir(folder) as entries:
                names = in_order(_wanted(entries, below, report, recursive, glob))
        except OSError as error:
            if folder == top:
                raise OddlotError(f"{folder} cannot be listed: {error.strerror}") from error
            # Counted among the pictures, as one that cannot be read: what is in it was not looked at.
            yield FoundFile(folder, 0, 0)
            continue
        for name in names:
            found = _look(os.path.join(folder, name), report)
            if found is not None:
                yield found
        folders += sorted(below, reverse=True)


def _wanted(
    entries: Iterable["os.DirEntry[str]"], below: list[str], report: ListingReport, recursive: bool, glob: str | None
) -> Iterator[str]:
    """Names of what may be a picture; folders to look into go to `below`, what is neither into the report."""
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not recursive:
                report.leave_out("sub-folder, not looked into")
            elif entry.name.startswith("."):
                report.leave_out("hidden folder")
            else:
                below.append(entry.path)
        elif entry.name.startswith(".") or entry.name.lower() in SYSTEM_FILES:
            report.leave_out("hidden or system file")
        elif glob is not None and not fnmatch.fnmatchcase(entry.name.lower(), glob.lower()):
            report.leave_out(f"name does not match {glob}")
        else:
            yield entry.name


def _look(path: str, report: ListingReport) -> FoundFile | None:
    try:
        status = os.stat(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not os.path.islink(path):
            report.leave_out("file that vanished while it was listed")
            return None
        # A link to nowhere, or a folder that shows names and lets nobody in: the reader says what is wrong with it.
        return FoundFile(path, 0, 0)
    if stat.S_ISDIR(status.st_mode):
        report.leave_out("link to a folder, not followed")
        return None
    if not stat.S_ISREG(status.st_mode):
        report.leave_out("special file (pipe, socket or device)")
        return None
    return FoundFile(path, status.st_size, status.st_mtime_ns)
