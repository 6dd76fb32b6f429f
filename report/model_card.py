"""The card of a model as sentences and rows for a page. A card that was carried here may hold anything."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from db.models import ModelRow, reason_against
from report.axes import number_text


@dataclass(frozen=True)
class ModelCard:
    """`facts` are pairs of a word and what is known; `sees` and `warnings` are sentences."""

    name: str
    version: int
    state: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    sees: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def model_card(model: ModelRow) -> ModelCard:
    """What people should know of a model before they believe what it says."""
    card = model.card if isinstance(model.card, dict) else {}
    asked: list[tuple[str, Callable[[], str]]] = [
        ("Learnt from", lambda: _learnt(card["pictures"])),
        ("Looks at", lambda: _looks(card["preprocessing"])),
        ("Promise", lambda: _text(card["certificate"])),
        ("Known defects", lambda: f"{card['defects']['flagged']:,} of {card['defects']['pictures']:,} flagged"),
    ]
    facts = [("Network", f"{model.architecture}, made {model.created_at:%Y-%m-%d}")]
    for word, tell in asked:
        try:
            facts.append((word, tell()))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    facts.append(("Threshold", f"raw score {number_text(model.threshold)}, which is score 0.5; asked for a "
                               f"false-alarm rate of {100 * model.false_alarms:.3g} %"))  # fmt: skip
    facts.append(("Bundle", model.bundle_sha256))
    honesty = card.get("honesty")
    warnings = _texts(card.get("warnings"))
    if reason := reason_against(card):
        warnings.append(f"Its fit advised against it: {reason}")
    sees = _texts(honesty.get("says")) if isinstance(honesty, dict) else []
    return ModelCard(model.name, model.version, str(model.state), facts, sees, warnings)


def _learnt(pictures: dict[str, Any]) -> str:
    return (f"{pictures['training']:,} good pictures; {pictures['validation']:,} validated, "
            f"{pictures['calibration']:,} calibrated")  # fmt: skip


def _looks(looks: dict[str, Any]) -> str:
    height, width = looks["canvas"] or (looks["size"], looks["size"])
    colour = "colour" if looks["channels"] == 3 else "gray"
    part = "a region of the picture" if looks["region"] is not None else "the whole picture"
    return f"{part} at {width:,} x {height:,} pixels, {colour}"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _texts(values: Any) -> list[str]:
    return [text for text in values if isinstance(text, str)][:30] if isinstance(values, list) else []
