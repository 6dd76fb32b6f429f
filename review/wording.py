"""Numbers, days and names as they stand on the page."""

import datetime as dt
import os.path

from db.jobs import JobRow
from oddlot.words import JobState


def readable(text: object) -> str:
    """A text that can be written as UTF-8, with nothing in it that steers: bytes that are no text are shown as such."""
    whole = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in whole)


def file_name(path: str) -> str:
    return readable(os.path.basename(path) or path)


def folder_name(path: str) -> str:
    return readable(os.path.dirname(path))


def count(number: int) -> str:
    """Thousands apart by a narrow space."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def p_value(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}".rstrip("0").rstrip(".") if value >= 0.001 else f"{value:.2g}"


def share(part: int, whole: int) -> str:
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def day(value: dt.date) -> str:
    return f"{value:%A}, {value.day} {value:%B %Y}"


def short_day(value: dt.date) -> str:
    return f"{value.day} {value:%b}"


def moment(value: dt.datetime | None) -> str:
    return "" if value is None else f"{value.astimezone():%Y-%m-%d %H:%M}"


def line_name(value: str | None) -> str:
    return readable(value) if value else "no line"


def state_words(job: JobRow) -> str:
    """What a job is doing, for the list of jobs."""
    words = {
        JobState.LISTING: "listing the folder", JobState.QUEUED: "waiting for a worker", JobState.RUNNING: "running",
        JobState.DONE: "done", JobState.HELD: "held", JobState.DISCARDED: "discarded",
        JobState.CANCELLED: "cancelled", JobState.FAILED: "failed",
    }  # fmt: skip
    return words[job.state]
