"""What is known of how a model's good pictures look: written by the fit onto the card, read by workers and at a job's
end. A card may have been carried here from elsewhere, so nothing about its shape is believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

APPEARANCE = "appearance"
"""The key on the card."""
STATISTICS = ("brightness", "contrast", "sharpness", "red", "blue", "width", "height", "likeness")
"""Names of the figures of a picture, in the order in which people are told of them. `likeness` is 100 times the
correlation of a picture's thumbnail with the usual one; for the others see `pictures.appearance`."""
NEAREST = "nearest"
"""Beside them: how little a picture differs from the most alike one of those just before it, in gray levels."""
PLACES = 32 * 32
"""Numbers of a thumbnail."""
MOST_QUANTILES = 201
NEIGHBOURS = 64
"""Pictures in a row, by path, among which a picture is compared with earlier ones; a batch has one or two such runs."""


@dataclass(frozen=True)
class Reference:
    """How the good pictures of a model look.

    `pictures` is how many were measured; `sketches` holds up to 201 sorted values of each figure that could be, the
    evenly spaced quantiles from the smallest to the largest; `thumbnail` the usual picture, 1024 numbers of any scale;
    `nearest_limit` the difference in gray levels up to which two pictures are taken for one shot; `repeated`,
    `blank` and `unreadable` the shares in [0, 1] of the good pictures that repeat an earlier one, have no contrast, or
    could not be read; `blank_limit` the contrast below which there is none.
    """

    pictures: int
    sketches: dict[str, tuple[float, ...]]
    thumbnail: tuple[float, ...]
    nearest_limit: float
    repeated: float
    blank: float
    blank_limit: float
    unreadable: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "pictures": self.pictures, "sketches": {name: list(values) for name, values in self.sketches.items()},
            "thumbnail": list(self.thumbnail), "nearest_limit": self.nearest_limit, "repeated": self.repeated,
            "blank": self.blank, "blank_limit": self.blank_limit, "unreadable": self.unreadable,
        }  # fmt: skip


def read_reference(card: Any) -> Reference | None:
    """The reference on a card; None where there is none, as with models of earlier versions, or none that makes
    sense."""
    values = card.get(APPEARANCE) if isinstance(card, dict) else None
    if not isinstance(values, dict):
        return None
    pictures, sketches, thumbnail = (values.get(name) for name in ("pictures", "sketches", "thumbnail"))
    limits: list[Any] = [values.get(name) for name in ("nearest_limit", "blank_limit")]
    shares: list[Any] = [values.get(name) for name in ("repeated", "blank", "unreadable")]
    if (
        type(pictures) is not int or not 1 <= pictures < 2**40 or not isinstance(sketches, dict)
        or not _numbers(thumbnail, PLACES, PLACES) or not _numbers(limits, 2, 2) or not _numbers(shares, 3, 3)
        or any(limit < 0 for limit in limits) or any(not 0 <= share <= 1 for share in shares)
    ):  # fmt: skip
        return None
    known = {name: tuple(map(float, sketches[name])) for name in STATISTICS if _is_sketch(sketches.get(name))}
    nearest_limit, blank_limit = map(float, limits)
    repeated, blank, unreadable = map(float, shares)
    return Reference(
        pictures, known, tuple(map(float, thumbnail or ())), nearest_limit, repeated, blank, blank_limit, unreadable
    )


def sketch(values: Sequence[float]) -> tuple[float, ...]:
    """Up to 201 evenly spaced order statistics of numbers, smallest and largest among them; rounded to 2 digits."""
    ordered = sorted(values)
    count = min(len(ordered), MOST_QUANTILES)
    if count < 2:
        return tuple(round(value, 2) for value in ordered)
    return tuple(round(ordered[round(i * (len(ordered) - 1) / (count - 1))], 2) for i in range(count))


def _numbers(values: Any, fewest: int, most: int) -> bool:
    return (
        isinstance(values, list) and fewest <= len(values) <= most
        and all(type(value) in (int, float) and abs(value) < 1e12 and math.isfinite(value) for value in values)
    )  # fmt: skip


def _is_sketch(values: Any) -> bool:
    return _numbers(values, 1, MOST_QUANTILES) and all(a <= b for a, b in pairwise(values))
