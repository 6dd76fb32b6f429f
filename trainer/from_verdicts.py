"""False alarms that a person called good, as more pictures to learn from; and defects, from which nothing is learnt."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from db.verdicts import confirmed
from oddlot.places import is_address
from oddlot.words import Verdict
from pictures.listing import FoundFile


@dataclass(frozen=True)
class Judged:
    """What verdicts bring into a fit.

    `files` are false alarms to be added, `items` their numbers by path, `roots` the folders of their jobs and `hashes`
    the SHA-256 that they had when they were inspected. `defects` are the numbers of confirmed defects by SHA-256: a
    picture with such a hash is not learnt from, wherever it lies. `gone`, `changed` and `in_folder` count false alarms
    whose file is not there, is another by now, or is among the good pictures already.
    """

    files: list[FoundFile] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    defects: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    changed: int = 0
    in_folder: int = 0

    def why_not(self, path: str, sha256: str) -> str | None:
        """Why a picture that was read must not be learnt from; None where it may be."""
        if sha256 in self.defects:
            return f"item {self.defects[sha256]} is the same picture, and was called a defect"
        if self.hashes.get(path, sha256) != sha256:
            return f"it is not the picture any more that was inspected as item {self.items[path]}"
        return None


def judged_pictures(engine: Engine, name: str, present: Collection[str]) -> Judged:
    """What verdicts on items of the model `name` say; `present` are the paths of the good pictures that there are.

    One picture that was inspected on several nights is added once.
    """
    pictures = confirmed(engine, name)
    defects = {one.sha256: one.item_id for one in pictures if one.verdict == Verdict.DEFECT}
    there = set(present)
    found = Judged(defects=defects)
    gone, changed, in_folder, seen = set(), set(), set(), set()
    for one in pictures:
        if one.sha256 in defects or one.sha256 in seen:
            continue
        if one.path in there:
            in_folder.add(one.path)
            continue
        if not is_address(one.path):  # an object is asked for when it is read
            try:
                status = os.stat(one.path)
            except OSError:
                gone.add(one.path)
                continue
            if (status.st_size, status.st_mtime_ns) != (one.size, one.mtime_ns):
                changed.add(one.path)
                continue
        found.files.append(FoundFile(one.path, one.size, one.mtime_ns))
        found.items[one.path] = one.item_id
        found.roots[one.path] = one.source
        found.hashes[one.path] = one.sha256
        seen.add(one.sha256)
    changed -= set(found.items)  # inspected again since, as it is now
    return Judged(
        found.files, found.items, found.roots, found.hashes, defects,
        gone=len(gone), changed=len(changed), in_folder=len(in_folder),
    )  # fmt: skip


def record(judged: Judged, learnt: Collection[str], defects: Collection[str]) -> dict[str, Any]:
    """For the card: which items were added, and the paths of what was left out as a defect."""
    there = set(learnt)
    added = [number for path, number in judged.items.items() if path in there]
    return {
        "added": len(added), "items": added, "in_folder": judged.in_folder, "gone": judged.gone,
        "changed": judged.changed + len(judged.items) - len(added), "defects_left_out": list(defects),
    }  # fmt: skip


def warn_of_alarms(added: int, pictures: int) -> list[str]:
    """A sentence for the card where false alarms were added to so many `pictures`, themselves included."""
    if not added:
        return []
    return [
        f"{added} of the {pictures} pictures are here because an earlier version flagged them: the calibration holds "
        "more of the unusual good parts than a night does. So fewer false alarms are to be expected than is promised, "
        "and a few more defects may be missed."
    ]
