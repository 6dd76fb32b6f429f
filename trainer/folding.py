"""Folds: with few good pictures each of them calibrates, with a network that did not learn from it."""

from collections.abc import Sequence

from ganomaly.calibration import DEFAULT_FALSE_ALARMS, pictures_needed
from oddlot.errors import CalibrationError, TrainingError
from trainer.splitting import (
    FEWEST_LEARNT,
    LARGEST_CALIBRATION_SHARE,
    Split,
    fill,
    indices,
    shuffled_groups,
    split,
    validation_size,
)

FOLDS = 5
"""Folds where nobody says how many. Each network learns from all but a fifth, less those that validate."""


def choose_folds(n: int, rate: float | None, asked: int | None) -> int:
    """1 where n pictures can be split for the rate (1 % where none was asked for), else 5; or what was asked for."""
    if asked is not None:
        return asked
    needed = pictures_needed(DEFAULT_FALSE_ALARMS if rate is None else rate)
    return 1 if needed <= int(n * LARGEST_CALIBRATION_SHARE) else FOLDS


def split_or_fold(
    n: int, rate: float | None, folds: int, seed: int, groups: Sequence[str] | None = None
) -> list[Split]:  # fmt: skip
    """One split, or one for each fold: what calibrates is that fold, and every picture is in exactly one.

    Groups stay whole, and there are no more folds than groups. Raises TrainingError where there are too few groups or
    less than 8 pictures to learn from are left, CalibrationError where a rate that was asked for is not supported.
    """
    if folds == 1:
        return [split(n, rate, seed, groups)]
    if rate is not None and pictures_needed(rate) > n:
        raise CalibrationError(
            f"a false-alarm rate of {rate:g} needs {pictures_needed(rate)} good pictures and there are {n}: "
            "give more pictures or ask for a higher rate"
        )
    order = shuffled_groups(n, seed, groups)
    parts = [_without(fold, order, validation_size(n)) for fold in _deal(order, min(folds, len(order)))]
    left = min(len(part.train) for part in parts)
    if left < FEWEST_LEARNT:
        raise TrainingError(
            f"the {n} good pictures form {len(order)} groups, the largest of {max(map(len, order))}: without its "
            f"fold and what validates, a network has {left} to learn from and {FEWEST_LEARNT} are needed; "
            "group them more finely or give more pictures"
        )
    return parts


def _deal(order: list[list[int]], folds: int) -> list[list[list[int]]]:
    """Groups into folds of about as many pictures each: the largest first, each to the fold that has the fewest."""
    dealt: list[list[list[int]]] = [[] for _ in range(folds)]
    held = [0] * folds
    for group in sorted(order, key=len, reverse=True):  # stable: groups of one size stay in random order
        fewest = held.index(min(held))
        dealt[fewest].append(group)
        held[fewest] += len(group)
    return dealt


def _without(fold: list[list[int]], order: list[list[int]], validation: int) -> Split:
    inside = {group[0] for group in fold}
    validating, learnt = fill([group for group in order if group[0] not in inside], validation, 1)
    return Split(indices(learnt), indices(validating), indices(fold))
