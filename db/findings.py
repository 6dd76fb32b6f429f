"""What is said of a night, in plain words for whoever reads it in the morning."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure of a picture. `low` and `high` say what the pictures are where it is lower or higher than usual, and
    what to look at; empty where that is nothing to hold a night for. `floor` is the least difference that matters, and
    `relative` the same as a share of the usual value. Where `logarithmic`, it is 100 times a natural logarithm, and
    shown without that, times 100."""

    title: str
    unit: str
    low: tuple[str, str] | None
    high: tuple[str, str] | None
    floor: float
    relative: float = 0.0
    logarithmic: bool = False

    def shown(self, value: float) -> float:
        return 100 * math.exp(min(value, 1000.0) / 100) if self.logarithmic else value

    @property
    def sides(self) -> tuple[int, ...]:
        return tuple(side for side, words in ((-1, self.low), (1, self.high)) if words is not None)


_LIGHT = "Has the light or the white balance been changed?"
_FORMAT = "Is it another camera, or another setting of it?"
FIGURES = {
    "brightness": Figure(
        "brightness", "of 255", ("are darker", "Has a lamp died, or the exposure been changed?"),
        ("are brighter", "Has the light or the exposure been changed?"), 5.0,
    ),
    "contrast": Figure(
        "contrast", "of 255", ("have less contrast", "Is there dirt on the lens, haze, or too little light?"),
        ("have more contrast", "Has the light, the background or the product been changed?"), 4.0,
    ),
    "sharpness": Figure(
        "sharpness", "of 100", ("are less sharp", "Is the lens out of focus, dirty or shaking?"),
        ("are sharper, or have more noise,", "Has the focus, the gain or the camera been changed?"), 15.0,
        logarithmic=True,
    ),
    "red": Figure("red against green", "of 255", ("are greener", _LIGHT), ("are redder", _LIGHT), 6.0),
    "blue": Figure("blue against yellow", "of 255", ("are yellower", _LIGHT), ("are bluer", _LIGHT), 6.0),
    "width": Figure("width", "pixels", ("are narrower", _FORMAT), ("are wider", _FORMAT), 1.0, 0.1),
    "height": Figure("height", "pixels", ("are lower", _FORMAT), ("are taller", _FORMAT), 1.0, 0.1),
    "likeness": Figure(
        "likeness to the usual picture", "of 100",
        ("are less like the usual picture", "Has the camera moved, or is it another product?"), None, 5.0,
    ),
}  # fmt: skip
"""By the names of `oddlot.appearance`, in the order in which they are told."""


@dataclass
class Findings:
    """Reasons to hold a night, notes that are no reason, and histograms of the model's pictures beside tonight's."""

    reasons: list[dict[str, str]] = field(default_factory=list)
    notes: list[dict[str, str]] = field(default_factory=list)
    evidence: dict[str, dict[str, Any]] = field(default_factory=dict)

    def hold(self, what: str, text: str) -> None:
        self.reasons.append({"what": what, "text": text})

    def note(self, what: str, text: str) -> None:
        self.notes.append({"what": what, "text": text})


def moved(
    figure: Figure, side: int, count: int, total: int, value: float, usual: tuple[float, float], *, half: bool
) -> str:
    """A figure of half the night (`value` is its median) or of a part of it (`value` is the bound) is off."""
    words = figure.low if side < 0 else figure.high
    assert words is not None
    what, question = words
    who = "the pictures" if half else "many of the pictures"
    share = "half of them" if half else f"{count} of {total}"
    value, least, most = (figure.shown(number) for number in (value, *usual))
    return (
        f"{who} {what} than those the model knows: the {figure.title} of {share} is {'below' if side < 0 else 'above'} "
        f"{value:.0f} {figure.unit}, usual is {least:.0f} to {most:.0f}. {question}"
    )


def scores_moved(low: int, total: int, usual: float) -> str:
    return (
        f"nearly all pictures score higher than good ones do: {low} of {total} score like the lowest "
        f"{_percent(usual)} of good pictures, where about {usual * total:.0f} should. Is it another product, has the "
        "scene changed, or is the lot bad throughout?"
    )


def many_flagged(flagged: int, scored: int, rate: float, *, as_usual: bool) -> str:
    text = f"many pictures are flagged: {flagged} of {scored}, where about {rate * scored:.0f} of as many good ones are"
    return f"{text}. The pictures look as usual otherwise: it may be a bad lot" if as_usual else text


def repeated(count: int, scored: int, usual: float, *, ask: bool) -> str:
    text = (
        f"{count} of {scored} pictures repeat another one of this job, to the byte or nearly so; "
        f"usual is {_percent(usual)}"
    )
    return f"{text}. Is the camera frozen, or were files copied?" if ask else text


def blank(count: int, total: int) -> str:
    return f"{count} of {total} pictures are blank: they show nothing. Is the lens covered, or the light off?"


def unreadable(count: int, listed: int, usual: float) -> str:
    return (
        f"{count} of {listed} files could not be read; usual is {_percent(usual)}. Does the camera or the disk fail, "
        "or are there files that are no pictures?"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
