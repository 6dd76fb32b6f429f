"""What is said of a job's validity: why it is held, what a person decided, what else is worth saying."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cli.output import printable, say
from oddlot.words import JobState

if TYPE_CHECKING:
    from db.jobs import JobRow

HELD_STATUS = 4
"""Exit code of a command that waited for a job whose flags are not to be believed."""


def say_validity(row: "JobRow", say: Callable[[str], None] = say) -> None:
    """The reasons of a job that is or was held, what is to be decided or was, and the notes; nothing where there are
    none. `say` puts a line where it belongs."""
    record: dict[str, Any] = row.validity or {}
    if row.state == JobState.HELD:
        say(f"job {row.id} is HELD: its pictures do not look like those that the model knows, so its flags are not to "
            "be believed yet.")  # fmt: skip
    for reason in record.get("reasons", []):
        say(f"  {'reason' if row.state == JobState.HELD else 'was held, because'}: {printable(reason['text'])}")
    if row.state == JobState.HELD:
        say(f"  the {row.flagged} flagged of {row.scored} all the same: oddlot flagged --job {row.id}")
        say(f"  if the parts are what is odd: oddlot release {row.id}; if the pictures are: oddlot discard {row.id}")
    if decided := record.get("decided"):
        note = f" ({printable(decided['note'])})" if decided["note"] else ""
        say(f"  {decided['word']} by {printable(decided['by'])} at {decided['at']}{note}")
    for text in record.get("notes", []):
        say(f"note: {printable(text['text'])}")
