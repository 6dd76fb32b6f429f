"""What the address bar says: filters, and the place in the order at which a page begins."""

import base64
import binascii
import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from sqlalchemy import Engine

from db.review import VERDICT_CHOICES, Choice, Key, newest_night

ALL, LAST = "all", "last"
_HIGHEST = 2**63 - 1
_FILTERS = ("job", "line", "model", "night", "since", "verdict", "min_score")


@dataclass
class Selection:
    """The choice, the values of its filters as the address bar has them, and a line for each that was not understood.

    `last_night` says that nothing in the address names a time, so that the last night was chosen.
    """

    choice: Choice
    values: dict[str, str]
    last_night: bool
    troubles: list[str] = field(default_factory=list)

    def address(self, path: str, **changes: object) -> str:
        """The same filters at another page, or with changes; None takes one away."""
        values = {**self.values, **changes}
        chosen = {name: str(value) for name, value in values.items() if value not in (None, "")}
        return f"{path}?{urlencode(chosen, errors='surrogateescape')}" if chosen else path


def read_selection(engine: Engine, query: Mapping[str, str], *, verdict: str | None = None) -> Selection:
    """Filters out of the address bar; `verdict` is the filter where it names none ("all" there means no filter)."""
    values = {name: query[name].strip() for name in _FILTERS if query.get(name, "").strip()}
    found = Selection(Choice(), values, last_night=False)
    word = values.get("verdict", verdict)
    if word is not None and word != ALL and word not in VERDICT_CHOICES:
        found.troubles.append(f"There is no verdict “{word}”.")
        word = verdict
    job_id = _number(found, "job")
    night, since = _day(found, "night"), _day(found, "since")
    if not any(values.get(name) for name in ("job", "night", "since")) or values.get("night") == LAST:
        night, found.last_night = newest_night(engine), True
    found.choice = Choice(
        job_id=job_id, model=_text(values, "model"), line=_text(values, "line"), night=night, since=since,
        verdict=None if word == ALL else word, min_score=_score(found),
    )  # fmt: skip
    return found


def _text(values: Mapping[str, str], name: str) -> str | None:
    # No database stores a NUL in a text, and PostgreSQL refuses one in a question.
    return values[name].replace("\0", "") if values.get(name) else None


def _number(found: Selection, name: str) -> int | None:
    text = found.values.get(name, "")
    if not text:
        return None
    if text.isascii() and text.isdecimal() and int(text[:20]) <= _HIGHEST:
        return int(text[:20])
    found.troubles.append(f"“{text}” is not the number of a job.")
    return 0


def _day(found: Selection, name: str) -> dt.date | None:
    text = found.values.get(name, "")
    if not text or text in (ALL, LAST):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        found.troubles.append(f"“{text}” is not a day: write it as 2026-05-31.")
        del found.values[name]
        return None


def _score(found: Selection) -> float | None:
    text = found.values.get("min_score", "")
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if 0 <= score <= 1:
        return score
    found.troubles.append(f"“{text}” is not a score: they lie between 0 and 1.")
    del found.values["min_score"]
    return None


def pack_key(key: Key) -> str:
    """A place in the order as text for an address, which shows no score."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def read_key(text: str | None) -> Key | None:
    """The place that `pack_key` packed; None where it is none."""
    if not text or len(text) > 200:
        return None
    try:
        score, item_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        score, item_id = float(score), int(item_id)
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError):
        return None
    return (score, item_id) if math.isfinite(score) and 0 <= item_id <= _HIGHEST else None
