"""`flagged` and `results`: what a job, a night or a line came to."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.jobs import find_job
from cli.output import Format, note, write_rows
from cli.session import Session, open_session
from oddlot.errors import OddlotError
from oddlot.words import DOUBTED_JOB_STATES, ItemState, Verdict

if TYPE_CHECKING:
    from db.results import ResultFilter

COLUMNS = [
    "item", "job", "path", "state", "raw_score", "score", "p_value", "flagged", "error", "note", "line", "lot",
    "model", "version", "sha256", "scored_at", "night", "verdict", "job_state", "pruned_at",
]  # fmt: skip
FLAGGED_TABLE = ["item", "job", "path", "score", "p_value", "line", "lot", "verdict"]
RESULTS_TABLE = ["item", "job", "path", "state", "raw_score", "score", "p_value", "flagged", "error"]
TABLE_LIMIT = 50

Job = Annotated[str | None, typer.Option("--job", help="Number of a job, or 'last'.")]
Model = Annotated[str | None, typer.Option(help="Only of this model.")]
Line = Annotated[str | None, typer.Option(help="Only of this line.")]
Lot = Annotated[str | None, typer.Option(help="Only of this lot.")]
Since = Annotated[
    str | None,
    typer.Option(help="Scored at or after: 2026-11-24, 2026-11-24T06:00, 'today', or 12h / 7d ago."),
]
Until = Annotated[str | None, typer.Option(help="Scored before; written like --since.")]
MinScore = Annotated[float | None, typer.Option(min=0, max=1, help="Score at least this; 0.5 is the threshold.")]
Night = Annotated[str | None, typer.Option(help="Only of this night, named by the day on which it began: 2026-11-24.")]
Said = Annotated[Verdict | None, typer.Option("--verdict", help="Only items of which this is the latest verdict.")]
Unreviewed = Annotated[bool, typer.Option("--unreviewed", help="Only items without a verdict.")]
Fdr = Annotated[
    float | None,
    typer.Option(
        "--fdr", metavar="Q", help="Flag so that at most this share of the flagged is good, on average; needs --job, "
        "--since or --until.",
    ),
]  # fmt: skip
Limit = Annotated[
    int | None,
    typer.Option(min=0, max=2**31 - 1, help=f"At most so many; 0 for all. Left out: a table stops at {TABLE_LIMIT}."),
]
Kind = Annotated[Format, typer.Option("--format", help="How rows are printed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of the screen.")]


def register(app: typer.Typer) -> None:
    app.command("flagged", epilog="Example: oddlot flagged --job last --format csv -o odd.csv")(flagged)
    app.command("results", epilog="Example: oddlot results --job last --format parquet -o night.parquet")(results)


def flagged(
    job: Job = None, model: Model = None, line: Line = None, lot: Lot = None, since: Since = None,
    until: Until = None, night: Night = None, min_score: MinScore = None, unreviewed: Unreviewed = False,
    said: Said = None, limit: Limit = None, kind: Kind = Format.TABLE,
    as_json: AsJson = False, output: Output = None, fdr: Fdr = None,
) -> None:  # fmt: skip
    """The flagged items, most suspicious first. Without --job: of all jobs but those that are held or discarded.

    With --fdr, those of one job or night that Benjamini and Hochberg's procedure flags among all of its pictures, in
    place of those above their model's threshold; --min-score, --unreviewed and --verdict then leave out some of them.
    """
    if fdr is not None and not 0 < fdr < 1:
        raise OddlotError(f"--fdr must lie between 0 and 1, not {fdr:g}")
    if fdr is not None and job is None and since is None and until is None and night is None:
        raise OddlotError("--fdr is about the pictures of one job or night: name it with --job, --night, or --since "
                          "and --until")  # fmt: skip
    session = open_session()
    wanted = item_filter(
        session, job=job, model=model, line=line, lot=lot, since=since, until=until, night=night, min_score=min_score,
        unreviewed=unreviewed, verdict=said, flagged_only=fdr is None,
    )  # fmt: skip
    if job is None:
        wanted = replace(wanted, believed_only=True)
        _say_held(session, wanted)
    else:
        _say_state(session, job)
    if fdr is not None:
        from cli.discoveries import flag_together

        wanted = flag_together(session, wanted, fdr)
    show_rows(session, wanted, Format.JSON if as_json else kind, output, limit, FLAGGED_TABLE)


def _say_held(session: Session, wanted: "ResultFilter") -> None:
    """Which jobs are left out, and wait for a word."""
    from db.results import held_jobs

    if held := held_jobs(session.engine, wanted):
        shown = ", ".join(str(number) for number in held[:10]) + (", ..." if len(held) > 10 else "")
        note(f"left out, because held: job {shown}; `oddlot job {held[0]}` says why")


def _say_state(session: Session, job: str) -> None:
    row = find_job(session, job)
    if row.state in DOUBTED_JOB_STATES:
        note(f"job {row.id} is {row.state!s}: its pictures do not look like those that the model knows; "
             f"`oddlot job {row.id}` says why")  # fmt: skip


def results(
    job: Job = None, model: Model = None, line: Line = None, lot: Lot = None, since: Since = None,
    until: Until = None, night: Night = None, min_score: MinScore = None, unreviewed: Unreviewed = False,
    said: Said = None,
    state: Annotated[ItemState | None, typer.Option(help="Only items in this state.")] = None,
    limit: Limit = None, kind: Kind = Format.TABLE, as_json: AsJson = False, output: Output = None,
) -> None:  # fmt: skip
    """Every item with its state, error, raw score, score and p-value."""
    session = open_session()
    wanted = item_filter(
        session, job=job, model=model, line=line, lot=lot, since=since, until=until, night=night, min_score=min_score,
        unreviewed=unreviewed, verdict=said, state=state,
    )  # fmt: skip
    show_rows(session, wanted, Format.JSON if as_json else kind, output, limit, RESULTS_TABLE)


def show_rows(
    session: Session, wanted: "ResultFilter", kind: Format, output: Path | None, limit: int | None,
    table_columns: list[str],
) -> int:  # fmt: skip
    """Print the rows of a filter; returns how many there are."""
    from db.results import iter_results

    table_limit = TABLE_LIMIT if limit is None else (limit or None)
    if kind is not Format.TABLE:
        wanted = replace(wanted, limit=limit or None)
    elif table_limit is not None:
        wanted = replace(wanted, limit=table_limit + 1)  # one more: the table says whether there are others
    rows = iter_results(session.engine, wanted)
    count = write_rows(rows, COLUMNS, kind, output, table_columns=table_columns, table_limit=table_limit)
    say_pruned(session, wanted)
    return count


def item_filter(
    session: Session, *, job: str | None, since: str | None, until: str | None, night: str | None, **others: Any
) -> "ResultFilter":
    """The filter of what was given on a command line; `others` are fields of `ResultFilter` as they are.

    Raises NotFoundError for a job that is not there, OddlotError for a time that cannot be read.
    """
    from db.results import ResultFilter

    return ResultFilter(
        job_id=find_job(session, job).id if job is not None else None, since=moment(since, "--since"),
        until=moment(until, "--until"), night=_day(night), **others,
    )  # fmt: skip


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise OddlotError(f"--night does not understand {text!r}: write the day as 2026-11-24") from None


def say_pruned(session: Session, wanted: "ResultFilter") -> None:
    """A line where jobs of the filter were pruned: what is shown of them is not all that there was."""
    from db.results import pruned_jobs

    found = pruned_jobs(session.engine, wanted)
    if found is not None:
        count, job_id, pruned_at = found
        others = f", and so were those of {count - 1} jobs before it" if count > 1 else ""
        note(f"job {job_id}: its results were pruned on {pruned_at:%Y-%m-%d}{others}")


def moment(text: str | None, option: str) -> dt.datetime | None:
    """A moment as people write it, in the local time zone unless it names one. Raises OddlotError."""
    if text is None:
        return None
    now = dt.datetime.now().astimezone()
    if text == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    units = {"h": "hours", "d": "days", "m": "minutes"}
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            return now - dt.timedelta(**{units[text[-1]]: int(text[:-1])})
        return dt.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise OddlotError(
            f"{option} does not understand {text!r}: write 2026-11-24, 2026-11-24T06:00, today, 12h or 7d"
        ) from None
