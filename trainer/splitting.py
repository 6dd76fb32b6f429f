"""Which good pictures train, validate and calibrate. Whole groups only: see `trainer.grouping`."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganomaly.calibration import pictures_needed
from oddlot.errors import CalibrationError, TrainingError

VALIDATION_SHARE = 0.1
CALIBRATION_SHARE = 0.2
"""Share of the good pictures held out for calibration where that is enough for the false-alarm rate."""
LARGEST_CALIBRATION_SHARE = 0.4
"""A rate that needs more than this share held out would leave too little to learn from."""
FEWEST_LEARNT = 8
"""Pictures that must be left to learn from; the smallest set that a fit takes, without groups, leaves 10."""


@dataclass(frozen=True)
class Split:
    """Indices into the training set; together they are all of it, and no picture is in two parts."""

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray

    @property
    def fingerprint(self) -> str:
        """SHA-256 of which pictures are learnt from and which validate."""
        learnt = [",".join(map(str, part.tolist())) for part in (self.train, self.validation)]
        return hashlib.sha256(";".join(learnt).encode()).hexdigest()


def split(n: int, rate: float | None, seed: int, groups: Sequence[str] | None = None) -> Split:
    """Split n pictures at random; see `split_sizes` for how many go where.

    `groups` names the group of each picture: no two parts share one. In random order, groups go into validation until
    it has its size, then into calibration, and the rest trains. A group is passed over that would take a part as far
    beyond its size as it is short of it, or further; where a part has nothing then, or less than the rate needs, it
    gets the smallest ones left. So sizes are kept nearly, and a group that is large beside them trains. Raises
    TrainingError where that is impossible or leaves fewer than 8 pictures to learn from, CalibrationError where a
    rate that was asked for is not supported.
    """
    validation, calibration = split_sizes(n, rate)
    members = shuffled_groups(n, seed, groups)
    validating, order = fill(members, validation, 1)
    calibrating, order = fill(order, calibration, 1 if rate is None else pictures_needed(rate))
    left = sum(map(len, order))
    if left < FEWEST_LEARNT:
        raise TrainingError(
            f"the {n} good pictures form {len(members)} groups, the largest of {max(map(len, members))}: whole groups "
            f"for validation and calibration leave {left} to learn from and {FEWEST_LEARNT} are needed; "
            "group them more finely or give more pictures"
        )
    return Split(indices(order), indices(validating), indices(calibrating))


def split_sizes(n: int, rate: float | None) -> tuple[int, int]:
    """How many of n good pictures validate and calibrate.

    A fifth calibrates, or more, up to two fifths, where the rate needs it (1 % where none was asked for). Raises
    CalibrationError where a rate that was asked for needs more than that.
    """
    needed = pictures_needed(0.01 if rate is None else rate)
    most = int(n * LARGEST_CALIBRATION_SHARE)
    if rate is not None and needed > most:
        raise CalibrationError(
            f"a false-alarm rate of {rate:g} needs {needed} good pictures for calibration alone, "
            f"so at least {math.ceil(needed / LARGEST_CALIBRATION_SHARE)} in all; there are {n}: "
            "give more pictures, ask for a higher rate" + (" or give --folds 5" if n >= needed else "")
        )
    return validation_size(n), min(most, max(needed, round(n * CALIBRATION_SHARE)))


def validation_size(n: int) -> int:
    return max(2, round(n * VALIDATION_SHARE))


def shuffled_groups(n: int, seed: int, groups: Sequence[str] | None) -> list[list[int]]:
    """The pictures of each group, groups in random order. Raises TrainingError where there are fewer than 3."""
    members = _by_group(groups if groups is not None else [str(i) for i in range(n)])
    if len(members) < 3:
        raise TrainingError(
            f"the {n} good pictures form only {len(members)} group{'s' * (len(members) > 1)} (--group and "
            "near-duplicates keep pictures together) and 3 are needed, to learn, to validate and to calibrate: "
            "group them more finely or give more pictures"
        )
    return [members[k] for k in np.random.default_rng([seed, 1]).permutation(len(members))]


def _by_group(groups: Sequence[str]) -> list[list[int]]:
    """The pictures of each group, groups in order of their first picture."""
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    return list(members.values())


def fill(order: list[list[int]], size: int, fewest: int) -> tuple[list[list[int]], list[list[int]]]:
    """Take groups from `order` until they hold about `size` pictures and at least `fewest`; (taken, left)."""
    taken: list[list[int]] = []
    left: list[list[int]] = []
    held = 0
    for group in order:
        if held < size and held + len(group) - size < size - held:
            taken.append(group)
            held += len(group)
        else:
            left.append(group)
    while held < fewest and left:
        smallest = left.pop(min(range(len(left)), key=lambda k: len(left[k])))
        taken.append(smallest)
        held += len(smallest)
    return taken, left


def indices(groups: list[list[int]]) -> np.ndarray:
    return np.array(sorted(i for group in groups for i in group), dtype=np.intp)
