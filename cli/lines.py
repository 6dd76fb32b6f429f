"""`oddlot lines`: the lines, what waits of each, and what each may take of the workers."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, Format, print_json, say, write_rows
from cli.session import open_session
from oddlot.errors import OddlotError

if TYPE_CHECKING:
    from db.line_overview import LineRow
    from db.lines import Quota

COLUMNS = ["line", "last_night", "items", "waiting_batches", "waiting_items", "in_work", "share", "quota_batches",
           "quota_items_per_day"]  # fmt: skip

Line = Annotated[str, typer.Argument(help="Name of the line, as given with --line.", metavar="LINE")]
_NO_BOUND = "0 takes the bound away; left out, it stays as it is."

group = typer.Typer(no_args_is_help=False, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="lines", epilog="Example: oddlot lines quota press-3 --batches 4")


@group.callback()
def lines(context: typer.Context, as_json: AsJson = False) -> None:
    """The lines: list (also without a word behind it), quota."""
    if context.invoked_subcommand is None:
        list_all(as_json)
    elif as_json:
        raise typer.BadParameter("write --json behind the word: oddlot lines list --json")


@group.command("list", epilog="Example: oddlot lines list --json")
def list_all(as_json: AsJson = False) -> None:
    """Every line: its last night, what waits of it, its share of the batches in work, and its quota."""
    from db.line_overview import list_lines

    found = [record(row) for row in list_lines(open_session().engine)]
    if as_json:
        print_json(found)
    elif not found:
        say("No lines yet. Name one when you submit: oddlot submit NAME FOLDER --line press-3")
    else:
        shown = [{**row, "share": None if row["share"] is None else f"{row['share']:.0%}"} for row in found]
        write_rows(shown, COLUMNS, Format.TABLE, None, table_columns=COLUMNS)


@group.command("quota", epilog="Example: oddlot lines quota press-3 --batches 4 --items-per-day 50000")
def quota(
    line: Line,
    batches: Annotated[
        int | None, typer.Option(min=0, max=100_000, help=f"Batches of it in work at once, at most. {_NO_BOUND}")
    ] = None,
    items_per_day: Annotated[
        int | None,
        typer.Option(
            min=0, max=10**12,
            help=f"Items of a night; a job that brings more is done when there is nothing else to do. {_NO_BOUND}",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say what a line may take, or, without an option, what was said. Batches in work are finished in any case."""
    from db import lines as rows
    from db.types import LONGEST_NAME

    if not line.strip() or len(line) > LONGEST_NAME or not line.isprintable():
        raise OddlotError(
            f"{line!r} cannot be the name of a line: use up to {LONGEST_NAME} letters that can be printed"
        )
    engine = open_session().engine
    before = rows.list_quotas(engine).get(line, rows.Quota(line))
    now = rows.Quota(line, _bound(batches, before.batches), _bound(items_per_day, before.items_per_day))
    if now != before:
        rows.set_quota(engine, now)
    if as_json:
        print_json({"line": line, "batches": now.batches, "items_per_day": now.items_per_day})
        return
    say(in_words(now))


def in_words(quota: "Quota") -> str:
    bounds = []
    if quota.batches is not None:
        bounds.append(f"at most {quota.batches} batches in work at once")
    if quota.items_per_day is not None:
        bounds.append(f"what is more than {quota.items_per_day} items a night waits until there is nothing else to do")
    return f"line {quota.line}: {'; '.join(bounds) if bounds else 'no quota'}"


def record(row: "LineRow") -> dict[str, Any]:
    """A line as a flat record: the keys of `--json`."""
    return {
        "line": row.line, "last_night": row.last_night, "items": row.items, "waiting_batches": row.waiting_batches,
        "waiting_items": row.waiting_items, "in_work": row.in_work, "share": row.share,
        "quota_batches": None if row.quota is None else row.quota.batches,
        "quota_items_per_day": None if row.quota is None else row.quota.items_per_day,
    }  # fmt: skip


def _bound(wanted: int | None, before: int | None) -> int | None:
    return before if wanted is None else wanted or None
