"""How the good pictures of a fit look: what a night is compared with before its flags are believed.

All good pictures are measured, those of the training, too: no network learns from these figures, so there is nothing
that it could flatter. The scores that a night is compared with are those of the calibration alone.
"""

import math
from collections import Counter

import numpy as np

from oddlot.appearance import NEIGHBOURS, PLACES, Reference, sketch
from pictures.appearance import LEAST_CONTRAST, Appearance, centred, difference, standardised
from trainer.training_set import TrainingSet

LARGEST_DIFFERENCE = 1.0
SHARE_OF_USUAL = 1 / 6
"""Up to a sixth of the usual difference between neighbours, and at most one gray level, two pictures are one shot: the
limits of `trainer.near_duplicates`."""
BLANK_SHARE, MOST_BLANK = 0.3, 2.0
"""A picture is blank below this share of the contrast that all but one in a hundred good ones have, and at most below
so many gray levels."""


def reference_of(good: TrainingSet) -> Reference:
    """The reference that goes onto the card. Without appearances, one that says nothing."""
    looks = good.appearances
    figures = {
        name: [getattr(look, name) for look in looks]
        for name in ("brightness", "contrast", "sharpness", "red", "blue", "width", "height")
    }
    usual, figures["likeness"] = _likeness(looks)
    nearest = nearest_of(looks)
    limit = min(LARGEST_DIFFERENCE, SHARE_OF_USUAL * float(np.median(nearest))) if len(nearest) else 0.0
    low = float(np.quantile(figures["contrast"], 0.01)) if looks else 0.0
    blank_limit = max(LEAST_CONTRAST, min(MOST_BLANK, BLANK_SHARE * low))
    copies = sum(count - 1 for count in Counter(good.hashes).values())
    unreadable = len(good.refused) - len(good.defects)  # those can be read, and are left out for another reason
    return Reference(
        pictures=max(1, len(looks)),
        sketches={name: sketch(known) for name, values in figures.items() if (known := _finite(values))},
        thumbnail=tuple(np.rint(1000 * usual).tolist()),
        nearest_limit=round(limit, 3),
        repeated=_rounded(max(_share(nearest <= limit), copies / max(1, len(good.hashes)))),
        blank=_rounded(_share(np.array(figures["contrast"]) < blank_limit)),
        blank_limit=round(blank_limit, 3),
        unreadable=_rounded(unreadable / max(1, len(good.hashes) + unreadable)),
    )


def nearest_of(looks: list[Appearance]) -> np.ndarray:
    """Of each picture but the first of a run of neighbours, the difference from the most alike earlier one: (m,)."""
    found = []
    for start in range(0, len(looks), NEIGHBOURS):
        run = centred(np.stack([look.thumbnail for look in looks[start : start + NEIGHBOURS]]))
        found += [float(difference(run[i], run[:i]).min()) for i in range(1, len(run))]
    return np.array(found)


def _likeness(looks: list[Appearance]) -> tuple[np.ndarray, list[float]]:
    """The usual picture (1024,), and how much each picture is like the usual one of all the others."""
    if not looks:
        return np.zeros(PLACES), []
    each = standardised(np.stack([look.thumbnail for look in looks]))
    total = each.sum(axis=0)
    others = total - each
    lengths = np.sqrt((others**2).sum(axis=1))
    likeness = 100 * (each * others).sum(axis=1) / np.maximum(lengths, 1e-6)
    length = float(np.sqrt((total**2).sum()))
    return total / max(length, 1e-6), likeness.tolist()


def _finite(values: list[float]) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]


def _share(which: np.ndarray) -> float:
    return float(which.mean()) if len(which) else 0.0


def _rounded(share: float) -> float:
    return round(min(1.0, share), 4)
