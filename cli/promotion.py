"""What `oddlot models promote` does first: compare, say it, and ask where something would be lost."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cli.output import note, say
from cli.session import Session
from cli.threshold import judged_record
from oddlot.errors import NotFoundError, OddlotError
from oddlot.processes import available_cores
from oddlot.words import ModelState

if TYPE_CHECKING:
    from worker.comparison import Comparison


def compare_first(session: Session, name: str, version: int, nights: int, *, quiet: bool) -> "Comparison | None":
    """Compare a version with the active one, and say what came out unless `quiet`; None where there is nothing to
    compare. Raises NotFoundError for a version that is not there."""
    from db import models

    candidate = models.get_model(session.engine, name, version)
    if candidate.state == ModelState.ACTIVE:
        return None
    try:
        active = models.get_model(session.engine, name)
    except NotFoundError:
        return None  # the first one
    from worker import comparison, scoring_process

    scoring_process.threads = available_cores()
    try:
        found = comparison.compare(
            session.engine, session.settings, active, candidate, nights=nights, on_scored=None if quiet else _Progress()
        )
    except OddlotError as error:
        raise OddlotError(f"{name} version {version} was not compared, and is not active: {error}. --no-compare makes "
                          "it active all the same") from error  # fmt: skip
    if quiet:
        return found
    if found is None:
        say(f"Version {active.version} has scored nothing that counts: there is nothing to compare")
        return None
    for sentence in comparison.says(found):
        say(sentence)
    return found


def confirm(name: str, version: int, found: "Comparison | None", *, yes: bool, can_ask: bool) -> None:
    """Ask where confirmed defects would be lost. Raises OddlotError where nobody can be asked, Abort for a no."""
    if found is None or yes or not found.defects.dropped:
        return
    from db.quality import number
    from db.what_if import named

    lost = number(len(found.defects.dropped), "confirmed defect") + named(found.defects.dropped)
    if can_ask and sys.stdin.isatty() and sys.stdout.isatty():
        typer.confirm(f"{lost} would not be flagged any more. Make version {version} active?", abort=True)
        return
    raise OddlotError(f"version {version} of {name} would not flag {lost} any more, and is not active: "
                      "--yes makes it active all the same")  # fmt: skip


def comparison_record(found: "Comparison | None") -> dict[str, Any] | None:
    """A comparison for JSON; `would_flag` is a table of value, low, high and at_most, or null."""
    if found is None:
        return None
    return asdict(found) | {"defects": judged_record(found.defects), "good": judged_record(found.alarms)}


class _Progress:
    """A line for every hundred pictures or so."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, done: int, of: int) -> None:
        if done == of or done >= self._told + 100:
            self._told = done
            note(f"scored {done} of {of} pictures again")
