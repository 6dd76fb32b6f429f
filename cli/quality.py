"""`oddlot quality`: precision of the flags and what was missed, as far as people have said."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, Format, print_json, printable, say, write_rows
from cli.results import Line, Model, moment
from cli.session import open_session

if TYPE_CHECKING:
    from db.quality import Quality
    from oddlot.intervals import Interval

Since = Annotated[
    str | None, typer.Option(help="Jobs that finished at or after: 2026-11-24, 'today', or 12h / 7d ago.")
]
Until = Annotated[str | None, typer.Option(help="Jobs that finished before; written like --since.")]

COLUMNS = ["night", "scored", "flagged", "reviewed", "precision", "audited", "judged", "audit_defects", "missed",
           "miss_rate"]  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command("quality", epilog="Example: oddlot quality --model flange --since 7d")(quality)


def quality(
    model: Model = None, line: Line = None, since: Since = None, until: Until = None, as_json: AsJson = False
) -> None:
    """Precision of the flags and the miss rate, by night and in total, with 95 % confidence intervals.

    The precision is that of the flagged items with a verdict. The miss rate comes from the blind audit: unflagged items
    that were drawn by chance and judged all the same. The latest verdict of an item counts; verdicts on other unflagged
    items do not, as nobody drew those by chance. Held and discarded jobs are left out.
    """
    from db.quality import quality as measure
    from db.quality import says

    report = measure(
        open_session().engine, model_name=model, line=line, since=moment(since, "--since"),
        until=moment(until, "--until"),
    )  # fmt: skip
    if as_json:
        print_json({"total": record(report.total), "nights": [record(night) for night in report.nights]})
        return
    of = "".join(f", {what} {printable(name)}" for what, name in (("model", model), ("line", line)) if name)
    if report.nights:
        write_rows([_row(night) for night in report.nights], COLUMNS, Format.TABLE, None, table_columns=COLUMNS)
        say(f"{len(report.nights)} night{'s' * (len(report.nights) > 1)} together{of}:")
    for sentence in says(report.total):
        say(sentence)


def record(quality: "Quality") -> dict[str, Any]:
    """For JSON; an interval is a table of value, low, high and at_most, or null."""
    return asdict(quality) | {"unflagged": quality.unflagged}


def _row(night: "Quality") -> dict[str, Any]:
    return {
        "night": str(night.night), "scored": night.scored, "flagged": night.flagged,
        "reviewed": night.defects + night.good + night.unsure, "precision": _shown(night.precision),
        "audited": night.audited, "judged": night.audit_judged, "audit_defects": night.audit_defects,
        "missed": _counted(night.missed), "miss_rate": _shown(night.miss_rate),
    }  # fmt: skip


def _shown(interval: "Interval | None") -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.0%} ({interval.low:.0%}-{interval.high:.0%})"


def _counted(interval: "Interval | None") -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.0f} ({interval.low:.0f}-{interval.high:.0f})"
