"""`release` and `discard`: a person's word on a job that is held."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.actor import actor
from cli.items import user_name
from cli.jobs import JobId, find_job, job_record
from cli.output import AsJson, print_json, say
from cli.session import open_session

if TYPE_CHECKING:
    from db.jobs import JobRow

Why = Annotated[str | None, typer.Option("--note", help="Why; kept with the job.")]
Reviewer = Annotated[str | None, typer.Option(help="Who says so; left out: your user name.")]


def register(app: typer.Typer) -> None:
    app.command("release", epilog="Example: oddlot release last --note 'new lamp, parts are fine'")(release)
    app.command("discard", epilog="Example: oddlot discard 12 --note 'camera was covered'")(discard)


def release(job_id: JobId, why: Why = None, reviewer: Reviewer = None, as_json: AsJson = False) -> None:
    """Believe a held job: it is done, and its flags count like those of any other."""
    from db.validity import release_job

    session = open_session()
    row = release_job(
        session.engine, find_job(session, job_id).id, by=reviewer or user_name(), note=why,
        actor=actor(),
    )  # fmt: skip
    _tell(row, f"job {row.id} is released: its flags count (oddlot flagged --job {row.id})", as_json)


def discard(job_id: JobId, why: Why = None, reviewer: Reviewer = None, as_json: AsJson = False) -> None:
    """Do not believe a held job: its results stay, and its flags are not among those to be reviewed."""
    from db.validity import discard_job

    session = open_session()
    row = discard_job(
        session.engine, find_job(session, job_id).id, by=reviewer or user_name(), note=why,
        actor=actor(),
    )  # fmt: skip
    _tell(row, f"job {row.id} is discarded: its flags are left out, its results stay (oddlot results --job {row.id})",
          as_json)  # fmt: skip


def _tell(row: "JobRow", text: str, as_json: bool) -> None:
    if as_json:
        print_json(job_record(row))
    else:
        say(text)
