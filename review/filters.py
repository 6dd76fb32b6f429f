"""What may stand behind the question mark, and the cursors that lead from page to page."""

import base64
import binascii
import datetime as dt
import json
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from db.results import ResultFilter
from oddlot.errors import OddlotError
from oddlot.words import ItemState, JobState, Verdict

HIGHEST = 2**63 - 1

# No database stores a NUL in a text, and PostgreSQL refuses one in a question.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
JobNumber = Annotated[int, Field(ge=1, le=HIGHEST)]
Number = Annotated[int, Path(ge=1, le=HIGHEST)]
"""Of a job, an item or a verdict, in an address."""
VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


class _Query(BaseModel):
    """A name that is not among them is an error, because a filter with a typing mistake would answer with all."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class PageQuery(_Query):
    after: str | None = Field(None, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page, at most.")


class ItemQuery(PageQuery):
    """Filters of items, as those of `oddlot flagged`."""

    model: Text | None = Field(None, description="Name of the model.")
    line: Text | None = None
    lot: Text | None = None
    since: dt.datetime | None = Field(None, description="Scored at or after; UTC where no offset is given.")
    until: dt.datetime | None = Field(None, description="Scored before; UTC where no offset is given.")
    night: dt.date | None = Field(None, description="The day on which the night began.")
    min_score: float | None = Field(None, ge=0, le=1, description="Score at least this; 0.5 is the threshold.")
    verdict: Verdict | None = Field(None, description="The latest verdict is this.")
    unreviewed: bool = Field(False, description="Only items without a verdict.")
    believed: bool = Field(False, description="Leave out jobs that are held or were discarded.")


class FlaggedQuery(ItemQuery):
    job: JobNumber | None = Field(None, description="Number of the job.")


class ResultQuery(FlaggedQuery):
    state: ItemState | None = Field(None, description="Only items in this state.")


class JobItemQuery(ItemQuery):
    state: ItemState | None = Field(None, description="Only items in this state.")
    flagged: bool = Field(False, description="Only flagged items, the most suspicious first.")


class JobQuery(PageQuery):
    state: JobState | None = None
    model: Text | None = Field(None, description="Name of the model.")
    line: Text | None = None
    lot: Text | None = None
    night: dt.date | None = Field(None, description="The day on which the night began.")


class ModelQuery(PageQuery):
    name: Text | None = Field(None, description="Only versions of this model.")


class NightQuery(PageQuery):
    since: dt.date | None = Field(None, description="This night and later ones.")
    until: dt.date | None = Field(None, description="This night and earlier ones.")
    line: Text | None = None
    model: Text | None = Field(None, description="Name of the model.")


def result_filter(query: ItemQuery, **others: Any) -> ResultFilter:
    """The filter in the words of `db`, without `after`; one row more than the page has says whether there is a next.

    `others` are fields of `ResultFilter`.
    """
    return ResultFilter(
        model=query.model, line=query.line, lot=query.lot, since=_aware(query.since), until=_aware(query.until),
        night=query.night, min_score=query.min_score, verdict=query.verdict, unreviewed=query.unreviewed,
        believed_only=query.believed, limit=query.limit + 1, **others,
    )  # fmt: skip


def cursor(*place: Any) -> str:
    """The place of a row as text for an address."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(text: str | None, *kinds: type | tuple[type, ...]) -> list[Any] | None:
    """What `cursor` was given, or None without a text. Raises OddlotError where it is no such place."""
    if text is None:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        place = None
    if not isinstance(place, list) or len(place) != len(kinds) or not all(map(_fits, place, kinds)):
        raise OddlotError("after: give `next` of the page before, of the same address and filters")
    return place


def _fits(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether a database can be asked for it, too."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    if isinstance(value, str):
        return "\0" not in value
    return not isinstance(value, int | float) or abs(value) <= HIGHEST


def _aware(moment: dt.datetime | None) -> dt.datetime | None:
    return moment.replace(tzinfo=dt.UTC) if moment is not None and moment.tzinfo is None else moment
