"""Walking a folder: every file is listed, or counted with the reason why it was not."""

import fnmatch
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oddlot.errors import OddlotError

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})


@dataclass(frozen=True)
class FoundFile:
    """A file as it was when the folder was listed; `path` is absolute, `size` in bytes, `mtime_ns` since 1970."""

    path: str
    size: int
    mtime_ns: int


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

    `glob` is matched against the name, whatever its case. Memory grows with the largest single folder, not with the
    whole. Files younger than `settle_seconds` come last,
    if by then they have not changed. Raises OddlotError where the folder is missing or may not be read.
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
        try:
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if folder == top:
                raise OddlotError(f"{folder} cannot be listed: {error.strerror}") from error
            # Counted among the pictures, as one that cannot be read: what is in it was not looked at.
            yield FoundFile(folder, 0, 0)
            continue
        below = []
        for entry in ordered:
            if entry.is_dir(follow_symlinks=False):
                if not recursive:
                    report.leave_out("sub-folder, not looked into")
                elif entry.name.startswith("."):
                    report.leave_out("hidden folder")
                else:
                    below.append(entry.path)
                continue
            found = _look(entry, report, glob)
            if found is not None:
                yield found
        folders += reversed(below)


def _look(entry: "os.DirEntry[str]", report: ListingReport, glob: str | None) -> FoundFile | None:
    if entry.name.startswith(".") or entry.name.lower() in SYSTEM_FILES:
        report.leave_out("hidden or system file")
        return None
    if glob is not None and not fnmatch.fnmatchcase(entry.name.lower(), glob.lower()):
        report.leave_out(f"name does not match {glob}")
        return None
    try:
        status = entry.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not entry.is_symlink():
            report.leave_out("file that vanished while it was listed")
            return None
        # A link to nowhere, or a folder that shows names and lets nobody in: the reader says what is wrong with it.
        return FoundFile(entry.path, 0, 0)
    if stat.S_ISDIR(status.st_mode):
        report.leave_out("link to a folder, not followed")
        return None
    if not stat.S_ISREG(status.st_mode):
        report.leave_out("special file (pipe, socket or device)")
        return None
    return FoundFile(entry.path, status.st_size, status.st_mtime_ns)
