"""A job in a few plain sentences: the headline, what must add up, and why a night is held."""

from typing import Any

from db.jobs import JobRow
from oddlot.words import JobState


def headline(row: JobRow) -> str:
    """The one sentence that a person reads first."""
    if row.state == JobState.FAILED:
        return sentence("The job failed: " + (row.error or "without a reason")) + f" {_scored_before(row)}"
    if row.state == JobState.CANCELLED:
        return f"The job was cancelled. {_scored_before(row)}"
    if row.state == JobState.HELD:
        return (
            f"Do not act on this night yet: it is held. {_flagged(row)}, but the pictures are not as the model knows."
        )
    if row.state == JobState.DISCARDED:
        return "This night was discarded: its results say nothing about the parts."
    if row.finished_at is None:
        return f"The job is not finished. So far, {_flagged(row)[0].lower()}{_flagged(row)[1:]}."
    if row.listed == 0:
        return "The folder held no pictures to inspect."
    return f"{_flagged(row)}; {accounted(row)}."


def accounted(row: JobRow) -> str:
    """Whether every listed picture ended in a state, in words."""
    if row.unaccounted:
        return f"{counted(row.unaccounted, 'picture')} {_is(row.unaccounted)} not accounted for"
    aside = [
        f"{row.unreadable:,} could not be read" if row.unreadable else "",
        f"{row.quarantined:,} {_is(row.quarantined)} set aside" if row.quarantined else "",
        f"{row.cancelled:,} {'was' if row.cancelled == 1 else 'were'} cancelled" if row.cancelled else "",
    ]
    told = [text for text in aside if text]
    return ", ".join(told) + (", and " if told else "") + "every picture is accounted for"


def subject(row: JobRow) -> str:
    """The subject of an e-mail: what there is to do, then which lot."""
    if row.state == JobState.FAILED:
        what = "FAILED"
    elif row.state == JobState.HELD:
        what = "HELD, look before you believe it"
    elif row.listed == 0:
        what = "no pictures"
    else:
        what = f"{row.flagged:,} of {row.scored:,} flagged"
    return plain(f"Oddlot: {what}, {place(row)}")


def place(row: JobRow) -> str:
    """Lot and line."""
    return f"lot {row.lot}" + (f", line {row.line}" if row.line else "")


def completeness(row: JobRow) -> str:
    """The completeness record as one line."""
    return (
        f"listed {row.listed:,} = scored {row.scored:,} + unreadable {row.unreadable:,} + quarantined "
        f"{row.quarantined:,} + cancelled {row.cancelled:,}; unaccounted {row.unaccounted:,}"
    )


def reasons(row: JobRow, kind: str = "reasons") -> list[str]:
    """The sentences of the job's `validity`: why it is held, or with "notes" what is worth saying besides."""
    validity: Any = row.validity
    found = validity.get(kind) if isinstance(validity, dict) else None
    if not isinstance(found, list):
        return []
    return [sentence(str(one["text"])) for one in found if isinstance(one, dict) and one.get("text")]


def decision(row: JobRow) -> str | None:
    """Who released or discarded a held night, in one sentence; None where nobody did."""
    validity: Any = row.validity
    decided = validity.get("decided") if isinstance(validity, dict) else None
    if not isinstance(decided, dict):
        return None
    note = f": {decided['note']}" if decided.get("note") else ""
    return f"{str(decided.get('word', 'decided')).capitalize()} by {decided.get('by') or 'nobody'}{note}"


def counted(number: int, word: str) -> str:
    """1 picture, 9,812 pictures."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def sentence(text: str, end: str = ".") -> str:
    """The text with a capital letter, and a full stop where it has no mark of its own."""
    text = plain(text.strip())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else end)


def plain(text: str) -> str:
    """One line that can be written anywhere: nothing that steers a terminal or a mail program, and valid Unicode."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return line.encode("utf-8", "replace").decode("utf-8")


def _flagged(row: JobRow) -> str:
    if not row.scored:
        return "No picture could be scored"
    if not row.flagged:
        return f"None of {counted(row.scored, 'picture')} is flagged"
    return f"{row.flagged:,} of {counted(row.scored, 'picture')} {_is(row.flagged)} flagged"


def _scored_before(row: JobRow) -> str:
    before = f"{row.scored:,} of {counted(row.listed, 'picture')} had been scored before"
    return f"{before}, {row.flagged:,} of them flagged." if row.flagged else f"{before}."


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
