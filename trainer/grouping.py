"""Which good pictures belong together: those of one part or one shift, as the file names say, and near-duplicates.

Pictures of one group never stand on both sides of the split, else a model would be calibrated on what it has learnt.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath, PurePosixPath

from oddlot.errors import TrainingError
from oddlot.places import ObjectPath, Place

FOLDER = "folder"
"""The value of `--group` for which the sub-folder is the group."""

LONGEST_PATTERN = 200
MOST_REPEATS = 4
"""Open-ended repeats in a pattern: the time of a search may grow with the length of a path to this power."""

_REPEAT = re.compile(r"[*+?]|\{(?:\d+|\d*,\d*)\}")
_COMMENTS = re.compile(r"\(\?(?:#|[A-Za-z-]*x)")
"""A comment, or the flag x, with which comments and blanks may stand between an item and its repeat."""


class Groups:
    """Numbers 0 to n - 1 in disjoint groups that can be joined; union-find (Tarjan, JACM 22, 1975), halving paths."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def find(self, i: int) -> int:
        """The smallest number of the group of i."""
        above = self._above
        while above[i] != i:
            above[i] = above[above[i]]
            i = above[i]
        return i

    def join(self, i: int, j: int) -> None:
        i, j = self.find(i), self.find(j)
        self._above[max(i, j)] = min(i, j)


def join_groups(names: Sequence[str] | None, pairs: Iterable[tuple[int, int]], n: int) -> list[str]:
    """The group of each of n pictures: those of one name are together, and so are the two of each pair.

    The result is the name of the group, or its smallest number where `names` is None; two groups that a pair joins
    bear the name of the one that comes first.
    """
    groups = Groups(n)
    for pair in pairs:
        groups.join(*pair)
    if names is None:
        return [str(groups.find(i)) for i in range(n)]
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        groups.join(i, first.setdefault(name, i))
    return [names[groups.find(i)] for i in range(n)]


def check_group(group: str) -> None:
    """Raises TrainingError for a `--group` that is no regular expression, or one that could search for ever."""
    if group != FOLDER:
        _compiled(group)


def name_groups(paths: Sequence[str], root: Place, group: str) -> list[str]:
    """The group of each picture, by its path below `root`, or its whole path elsewhere, written with slashes.

    `group` is `folder`, or a regular expression that is searched for in that path: its first bracket is the group, or
    all that matches where it has no bracket. Raises TrainingError where a path does not match or gives an empty group.
    """
    short = [below(path, root) for path in paths]
    if group == FOLDER:
        return [path.parent.as_posix() for path in short]
    pattern = _compiled(group)
    bracket = 1 if pattern.groups else 0
    found = [pattern.search(path.as_posix()) for path in short]
    names = [match[bracket] if match else None for match in found]
    without = [path for path, name in zip(short, names, strict=True) if not name]
    if without:
        raise TrainingError(
            f"--group {group!r} finds no group in {len(without)} of {len(short)} paths below {root} "
            f"(first: {without[0].as_posix()}): give a pattern that matches every picture"
        )
    return [name for name in names if name]


def below(path: str, root: Place) -> PurePath:
    """The path as it is below `root`; whole where it is elsewhere, as that of a picture that a verdict added."""
    if isinstance(root, ObjectPath):
        return PurePosixPath(path.removeprefix(f"{root}/"))
    whole, top = PurePath(path), root.absolute()
    return whole.relative_to(top) if whole.is_relative_to(top) else whole


def _compiled(group: str) -> "re.Pattern[str]":
    if not group or len(group) > LONGEST_PATTERN:
        raise TrainingError(f"--group takes {FOLDER!r} or a regular expression of 1 to {LONGEST_PATTERN} characters")
    try:
        pattern = re.compile(group)
    except (re.error, OverflowError, RecursionError) as error:
        raise TrainingError(
            f"--group {group!r} is not {FOLDER!r} and not a regular expression: {' '.join(str(error).split())}"
        ) from None
    _check_bounded(group)
    return pattern


def _check_bounded(group: str) -> None:
    """Refuse a repeated bracket that holds a repeat or a choice, such as (a+)+, and more than a few open repeats.

    `re` tries all ways to share a text among nested repeats, which for a long name does not end. Expects a pattern
    that compiles. Raises TrainingError, also for comments.
    """
    branching = [False]  # of each open bracket: whether it holds a repeat or a choice
    closed = False  # whether the item before was such a bracket
    repeats = position = 0
    while position < len(group):
        character = group[position]
        repeat = _REPEAT.match(group, position)
        if repeat:
            if closed and repeat[0] != "?":
                raise TrainingError(
                    f"--group {group!r} repeats a bracket that holds a repeat or a choice, which can take for ever: "
                    "write it without"
                )
            repeats += repeat[0] in "*+" or repeat[0].endswith(",}")
            branching[-1] = True
            position = repeat.end()
            position += group[position : position + 1] in ("?", "+")  # lazy or possessive
            closed = False
            continue
        closed = False
        if character == "\\":
            position += 1
        elif character == "[":
            position = _end_of_class(group, position)
        elif character == "|":
            branching[-1] = True
        elif character == "(":
            if _COMMENTS.match(group, position):
                raise TrainingError(f"--group {group!r}: write the regular expression without comments and flag x")
            branching.append(False)
            if group[position + 1 : position + 2] == "?":
                position += 1  # its question mark repeats nothing
        elif character == ")":
            closed = branching.pop()
            branching[-1] |= closed
        position += 1
    if repeats > MOST_REPEATS:
        raise TrainingError(
            f"--group {group!r} has {repeats} open-ended repeats (* and +), which can take for ever: "
            f"use at most {MOST_REPEATS}"
        )


def _end_of_class(group: str, start: int) -> int:
    """Where the class that opens at `start` has its closing bracket."""
    position = start + 1
    position += group[position] == "^"
    position += group[position] == "]"  # first in a class, it stands for itself
    while group[position] != "]":
        position += 2 if group[position] == "\\" else 1
    return position
