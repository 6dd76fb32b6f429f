"""`oddlot audit-log`: who did what."""

from dataclasses import asdict
from typing import Annotated

import typer

from cli.output import AsJson, Format, print_json, say, write_rows
from cli.results import moment
from cli.session import open_session

COLUMNS = ["at", "who", "via", "action", "what", "detail"]


def register(app: typer.Typer) -> None:
    app.command("audit-log", epilog="Example: oddlot audit-log --since 7d --who ada")(audit_log)


def audit_log(
    since: Annotated[str | None, typer.Option(help="At or after: 2026-11-24, 'today', or 12h / 7d ago.")] = None,
    who: Annotated[str | None, typer.Option(help="Only what that user, or token, did.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=10**9, help="Rows at most; 0 for all.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who signed in, was refused, or changed something, by page, interface or command; the latest first.

    Verdicts stand beside their items: `oddlot results`.
    """
    from db.audit_log import entries

    found = entries(open_session().engine, since=moment(since, "--since"), who=who, limit=limit or None)
    rows = [asdict(entry) for entry in found]
    if as_json:
        print_json(rows)
    elif not rows:
        say("Nothing is recorded.")
    else:
        write_rows(rows, COLUMNS, Format.TABLE, None, table_columns=COLUMNS)
