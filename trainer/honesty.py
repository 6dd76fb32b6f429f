"""What a fit measures about itself on held-out good pictures: the smallest defect it sees, and whether it is worth it.

Synthetic defects (`ganomaly.synthetic`) are pasted into good pictures that were not learnt from. Per kind, contrast and
size it is counted how many the threshold flags. And the model's score must rank them above the untouched pictures
better than two scores that need no network (`trainer.trivial`), and than chance.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganomaly.synthetic import CONTRASTS, KINDS, LEAST_DIAMETER, SIZES, diameter, paste
from pictures.preprocessing import at_once
from trainer.contact_sheet import contact_sheet
from trainer.ranking import auroc, lead
from trainer.trivial import CHUNK, Trivial

GRADES = ("clear", "strong")
"""Contrasts that are pasted."""
MEDIUM = 0.12
"""Defects of this share of the side and larger are those by which scores are compared."""
PER_GRADE = 12
"""Pictures with a defect of each kind, contrast and size: 576 in all."""
LEAST_MADE = 6
"""Of fewer that could be made it is not said whether they are reliably seen."""
MOST_GOOD = 300
"""Held-out good pictures that are used, however many there are."""
RELIABLE = 0.9
"""Share that must be flagged at a size and at all larger ones, for a defect of that size to be reliably seen."""

NAMES = {
    "scratch": "scratch", "spot": "spot", "missing": "missing piece", "blur": "blurred place",
    "swap": "swapped piece", "texture": "rough place",
}  # fmt: skip
_REFERENCES = {
    "brightness": "the mean brightness of the picture",
    "pixels": "the distance of its pixels from the mean good picture",
    "chance": "chance",
}

Score = Callable[[np.ndarray], np.ndarray]
"""Pictures (k, h, w, c) to raw scores or to decisions (k,)."""


@dataclass(frozen=True)
class Honesty:
    """`record`, plain values for the card; `sheet`, a PNG of the defects and what became of them."""

    record: dict[str, Any]
    sheet: bytes

    @property
    def reason(self) -> str:
        """Why the model should not become active; empty where nothing speaks against it."""
        return str(self.record["reason"])


@dataclass(frozen=True)
class _Defect:
    """One synthetic defect that is to be made: of held-out picture number `of`."""

    kind: str
    contrast: str
    size: float
    of: int
    number: int


def measure(
    score: Score, flagged: Score, trivial: Trivial, pixels: np.ndarray, held_out: np.ndarray, raw: np.ndarray, *,
    seed: int, inside: np.ndarray | None = None,
) -> Honesty:  # fmt: skip
    """Measure a model on good pictures that it did not learn from.

    They are those with the numbers `held_out` (n,) of `pixels` (all, h, w, c), uint8 or float32 in 0..255, which may be
    mapped from disk: some stand in memory at a time. `score` gives raw scores of pictures, `flagged` the decisions on
    raw scores; `raw` (n,) are those of the held-out pictures. Defects lie within `inside` (h, w) bool, None for
    anywhere. Every random choice follows from `seed`. About 600 pictures are scored.
    """
    rng = np.random.default_rng([seed, 3])
    shape, step = pixels.shape[1:], at_once(CHUNK, pixels.shape[1:])
    chosen = np.sort(rng.permutation(len(held_out))[:MOST_GOOD])
    made: list[_Defect] = []
    raws: list[np.ndarray] = []
    trivials: list[dict[str, np.ndarray]] = []
    cells: dict[tuple[int, int], tuple[np.ndarray, bool]] = {}
    tried = _sizes(shape)
    for defects, pictures in _pasted(pixels, held_out, _plan(tried, rng.permutation(chosen)), seed, step, inside):
        raws.append(score(pictures))
        trivials.append(trivial.scores(pictures))
        made += defects
        for defect, picture, odd in zip(defects, pictures, flagged(raws[-1]), strict=True):
            if defect.contrast == GRADES[0]:
                cells.setdefault((KINDS.index(defect.kind), tried.index(defect.size)), (picture.copy(), bool(odd)))
    scores = np.concatenate([np.zeros(0), *raws])
    grades = _grades(made, flagged(scores), tried, shape)
    compared = np.array([defect.size >= MEDIUM for defect in made], np.bool_)
    if not compared.any():  # so large a defect may not fit inside
        compared[:] = True
    if made:
        untouched = [trivial.scores(pixels[held_out[chosen[i : i + step]]]) for i in range(0, len(chosen), step)]
        pairs = {
            name: (
                np.concatenate([part[name] for part in untouched]),
                np.concatenate([p[name] for p in trivials])[compared],
            )
            for name in ("brightness", "pixels")
        }
        made_of = np.searchsorted(chosen, [defect.of for defect in made])[compared]
        comparison, reason = _compared((raw[chosen], scores[compared]), pairs, made_of, seed)
    else:
        comparison = {"auroc": {}, "leads": {}}
        reason = "no synthetic defect fits into its mask, so nothing is known of what it sees"
    smallest = _smallest(grades)
    record = {
        "pictures": {"good": len(chosen), "synthetic": len(made), "compared": int(compared.sum())},
        "grades": grades, "smallest": smallest, **comparison, "reason": reason,
        "says": _says(smallest, sorted({defect.size for defect in made}), min(shape[:2])),
    }  # fmt: skip
    columns = [f"{100 * size:g} % of the side, {GRADES[0]}" for size in tried]
    return Honesty(record, contact_sheet([NAMES[kind] for kind in KINDS], columns, cells))


def warn_of_blindness(record: dict[str, Any]) -> list[str]:
    """A sentence for the card of a model that reliably sees none of the synthetic defects, else nothing."""
    if any(found for by_contrast in record["smallest"].values() for found in by_contrast.values()):
        return []
    return [
        "None of the synthetic defects is reliably seen at this threshold, however large: what is flagged is odd, but "
        "much that is odd is not flagged. More good pictures, --roi, --tiles or a higher --false-alarms may help."
    ]


def _sizes(shape: tuple[int, ...]) -> list[float]:
    """Without those that are too small to be drawn at this size of picture."""
    return [size for size in SIZES if size * min(shape[:2]) >= LEAST_DIAMETER or size >= MEDIUM]


def _plan(sizes: list[float], pictures: np.ndarray) -> list[_Defect]:
    grades = [(kind, contrast, size) for kind in KINDS for contrast in GRADES for size in sizes]
    return [
        _Defect(*grade, of=int(pictures[number % len(pictures)]), number=number)
        for number, grade in enumerate(grade for grade in grades for _ in range(PER_GRADE))
    ]


def _pasted(
    pixels: np.ndarray, held_out: np.ndarray, plan: list[_Defect], seed: int, step: int, inside: np.ndarray | None
) -> Iterator[tuple[list[_Defect], np.ndarray]]:
    """The defects that could be made, with their pictures, up to `step` at a time."""
    for start in range(0, len(plan), step):
        defects, pictures = [], []
        for defect in plan[start : start + step]:
            picture, mask = paste(
                np.asarray(pixels[held_out[defect.of]]), defect.kind, defect.size, CONTRASTS[defect.contrast],
                np.random.default_rng([seed, 4, defect.number]), inside,
            )  # fmt: skip
            if mask.any():  # else the picture is too flat for a blur or a swap, or the mask too narrow
                defects.append(defect)
                pictures.append(picture)
        if defects:
            yield defects, np.stack(pictures)


def _grades(
    made: list[_Defect], flagged: np.ndarray, sizes: list[float], shape: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Of each kind, contrast and size, from small to large: how many were made and how many of them are flagged."""
    grades = []
    for kind in KINDS:
        for contrast in GRADES:
            for size in sizes:
                these = [
                    odd
                    for d, odd in zip(made, flagged, strict=True)
                    if (d.kind, d.contrast, d.size) == (kind, contrast, size)
                ]
                grades.append({
                    "kind": kind, "contrast": contrast, "size": size, "pixels": diameter(size, shape),
                    "pictures": len(these), "flagged": int(sum(these)),
                })  # fmt: skip
    return grades


def _smallest(grades: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By kind and contrast the smallest size, as share and in pixels, that is reliably seen, or None."""
    smallest: dict[str, dict[str, Any]] = {kind: dict.fromkeys(GRADES) for kind in KINDS}
    done = set()
    for grade in reversed(grades):
        key = grade["kind"], grade["contrast"]
        if key in done or grade["pictures"] < LEAST_MADE:  # too large for the mask, or nothing to see in a flat picture
            continue
        if grade["flagged"] >= RELIABLE * grade["pictures"]:
            smallest[grade["kind"]][grade["contrast"]] = {"size": grade["size"], "pixels": grade["pixels"]}
        else:
            done.add(key)
    return smallest


def _compared(
    model: tuple[np.ndarray, np.ndarray], trivial: dict[str, tuple[np.ndarray, np.ndarray]], made_of: np.ndarray,
    seed: int,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """AUROC of all scores and the model's leads, and why the model is not worth it where one is not clear."""
    areas = {"model": auroc(*model), **{name: auroc(*pair) for name, pair in trivial.items()}, "chance": 0.5}
    leads = {name: lead(model, trivial.get(name), made_of, seed) for name in _REFERENCES}
    unbeaten = [name for name in _REFERENCES if not leads[name].clear]
    reason = ""
    if unbeaten:
        name = max(unbeaten, key=lambda name: areas[name])
        beside = f"{areas['model']:.2f} beside {areas[name]:.2f}"
        reason = (
            f"on synthetic defects in {len(model[0])} held-out good pictures it is not clearly better than "
            f"{_REFERENCES[name]} (AUROC {beside})"
        )
    return {
        "auroc": areas,
        "leads": {name: {"measured": one.measured, "at_least": one.at_least} for name, one in leads.items()},
    }, reason


def _says(smallest: dict[str, dict[str, Any]], sizes: list[float], side: int) -> list[str]:
    """A sentence for each kind that is seen and one for all others, about defects of the first contrast."""
    if not sizes:
        return ["No synthetic defect fits into the mask: what it sees is not known."]
    sentences, unseen = [], []
    for kind, name in NAMES.items():
        found = smallest[kind][GRADES[0]]
        if found is None:
            unseen.append(name)
        else:
            sentences.append(
                f"The smallest {name} that it reliably sees is {100 * found['size']:g} % of the picture's side "
                f"({found['pixels']} of {side} pixels)."
            )
    if unseen:
        largest = f"{100 * sizes[-1]:g} % of the picture's side"
        sentences.append(f"Up to {largest}, the largest that was tried, it does not reliably see: {', '.join(unseen)}.")
    return sentences
