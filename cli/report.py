"""`oddlot report`: a job as one file for people who have no Oddlot."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from cli.jobs import JobId, find_job
from cli.output import AsJson, note, print_json, printable, say
from cli.session import open_session
from oddlot.errors import OddlotError


def register(app: typer.Typer) -> None:
    app.command("report", epilog="Example: oddlot report last -o report.html")(report)


def report(
    job_id: JobId = "last",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, .html or .pdf; left out: job-JOB.html here."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a job: one HTML file with everything in it, or the same printed as a PDF.

    A PDF needs a Chromium on this machine; any browser prints the HTML file as well.
    """
    session = open_session()
    row = find_job(session, job_id)
    output = output or Path(f"job-{row.id}.html")
    if output.suffix.lower() not in (".html", ".htm", ".pdf"):
        raise OddlotError(f"{output} does not end in .html or .pdf: a report is one of the two")
    from report.job_report import make_report

    html = make_report(session.settings, session.engine, row.id).encode()
    if output.suffix.lower() == ".pdf":
        from report.printing import print_pdf

        data = print_pdf(html)
    else:
        data = html
    _write(output, data)
    if as_json:
        print_json({"job": row.id, "report": str(output), "bytes": len(data), "state": str(row.state)})
        return
    say(f"report of job {row.id}: {printable(str(output))} ({len(data) / 1e6:.1f} MB)")
    if row.finished_at is None:
        note(f"job {row.id} is {row.state}: the report says how it stands now")


def _write(output: Path, data: bytes) -> None:
    """The whole file or none of it; a device or a pipe that was named is written to as it is."""
    if output.exists() and not output.is_file():
        output.write_bytes(data)
        return
    partial = output.with_name(f".{output.name[:200]}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, output)
    except OSError as error:
        raise OddlotError(f"{output} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
