"""What the HTTP interface answers with: every field, with its unit and range. It becomes the OpenAPI document."""

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from oddlot.words import ItemState, JobState, ModelState, Verdict


def readable(text: str) -> str:
    """Text that is valid UTF-8: bytes of a file name that are none become an escape, as \\udce9."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def all_readable(value: Any) -> Any:
    """The same for all texts in a value of JSON."""
    if isinstance(value, dict):
        return {readable(str(name)): all_readable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [all_readable(part) for part in value]
    return readable(value) if isinstance(value, str) else value


Moment = Annotated[dt.datetime, PlainSerializer(lambda value: value.astimezone(dt.UTC).isoformat(), str)]


class Record(BaseModel):
    """A row of the database, whatever else that has."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())


class Problem(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="One line: what is wrong, and what to do.")


class ItemRecord(Record):
    """One picture of a job."""

    item: int = Field(description="Number of the item.")
    job: int = Field(description="Number of its job.")
    job_state: JobState = Field(description="`held` and `discarded` jobs should not be believed.")
    path: str = Field(description="The file. Bytes that are not UTF-8 are written as escapes, like \\udce9.")
    state: ItemState
    raw_score: float | None = Field(description="The detector's number; null unless scored, or when pruned.")
    score: float | None = Field(description="Between 0 and 1; 0.5 is the threshold of the model.")
    p_value: float | None = Field(description="Conformal p-value, above 0 and up to 1; small is odd.")
    flagged: bool | None = Field(description="Whether the score is above the threshold.")
    error: str | None = Field(description="Why the item was not scored.")
    note: str | None = Field(description="What was particular about the file.")
    line: str | None
    lot: str
    model: str
    version: int = Field(description="Version of the model.")
    sha256: str | None = Field(description="Hash of the bytes that were inspected, in hexadecimal.")
    scored_at: Moment | None = Field(description="UTC.")
    night: dt.date = Field(description="The day on which the night began.")
    verdict: Verdict | None = Field(description="The latest word of a person.")
    pruned_at: Moment | None = Field(description="When the results of its job were pruned; a score may be gone then.")


class VerdictRecord(Record):
    """A person's word on an item."""

    verdict: Verdict
    kind: str | None = Field(description="Kind of the defect.")
    note: str | None
    reviewer: str | None
    at: Moment = Field(description="UTC.")


class ItemDetailRecord(ItemRecord):
    """One picture with all that is known of it."""

    architecture: str
    bundle_sha256: str = Field(description="Hash of the model's bundle.")
    threshold: float = Field(description="Raw score above which the model flags.")
    host: str | None = Field(description="Where it was scored.")
    code_version: str | None = Field(description="Version of Oddlot that scored it.")
    scored_on: str | None = Field(description="Library, arithmetic, and processor or graphics card that scored it.")
    parts: dict[str, float] | None = Field(description="What the raw score is made of.")
    has_map: bool = Field(description="Whether a heat map is stored.")
    verdicts: list[VerdictRecord] = Field(description="All that was ever said, the latest first.")


class JobRecord(Record):
    """One submission of a folder, with its completeness record: while it is open, counted now."""

    job: int = Field(description="Number of the job.")
    model: str
    version: int = Field(description="Version of the model.")
    lot: str
    line: str | None
    key: str | None = Field(description="The submitter's own name for it.")
    state: JobState
    priority: int = Field(description="0 to 9, the highest first.")
    night: dt.date = Field(description="The day on which the night began.")
    source: str = Field(description="The folder.")
    found: int = Field(description="Files that the folder had.")
    seen_before: int = Field(description="Files left out because this model version had looked at them.")
    left_out: dict[str, int] = Field(description="Other files that were left out, counted by reason.")
    listed: int = Field(description="listed = scored + unreadable + quarantined + cancelled + unaccounted")
    scored: int
    flagged: int
    unreadable: int
    quarantined: int
    cancelled: int
    unaccounted: int = Field(description="0 in every finished job.")
    validity: dict[str, Any] | None = Field(description="Why the job is held, with the evidence.")
    error: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    pruned_at: Moment | None = Field(description="When its results, heat maps and thumbnails were removed.")


class ModelRecord(Record):
    """One version of a model."""

    name: str
    version: int
    state: ModelState
    architecture: str
    bundle_sha256: str
    threshold: float = Field(description="Raw score above which it flags.")
    false_alarms: float = Field(description="Share of good pictures that it flags at most, on average.")
    created_at: Moment


class ModelDetailRecord(ModelRecord):
    """One version of a model, with its card."""

    card: dict[str, Any] = Field(description="What the fit measured: see `oddlot models show`.")


class NightRecord(Record):
    """All jobs of one night, line and model version together."""

    night: dt.date = Field(description="The day on which the night began.")
    line: str | None
    model: str
    model_version: int
    jobs: int
    listed: int
    scored: int
    flagged: int
    unreadable: int
    quarantined: int
    cancelled: int
    unaccounted: int = Field(description="0 when all jobs are finished.")
    held: int = Field(description="Jobs that are held.")
    discarded: int = Field(description="Jobs that were held and then discarded.")
    pruned: int = Field(description="Jobs whose results were pruned; their counts stay.")
    reviewed: int = Field(description="Items, flagged or not, that have a verdict.")
    confirmed_defects: int = Field(description="Items whose latest verdict is `defect`.")


_NEXT = Field(description="Give it as `after` for the next page; null on the last one.")


class JobPage(BaseModel):
    jobs: list[JobRecord]
    next: str | None = _NEXT


class ItemPage(BaseModel):
    items: list[ItemRecord]
    next: str | None = _NEXT


class ModelPage(BaseModel):
    models: list[ModelRecord]
    next: str | None = _NEXT


class NightPage(BaseModel):
    nights: list[NightRecord]
    next: str | None = _NEXT
