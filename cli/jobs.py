"""`submit`, `jobs`, `job`, `cancel`, `retry`: the life of a job as a person sees it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.actor import actor
from cli.deliveries import delivery_records, say_deliveries
from cli.output import AsJson, Format, note, print_json, say, write_rows
from cli.session import Session, open_session
from cli.validity import HELD_STATUS, say_validity
from cli.waiting import wait_for_job
from oddlot.errors import NotFoundError, OddlotError
from oddlot.places import place_of
from oddlot.queue import DEFAULT_PRIORITY
from oddlot.words import DOUBTED_JOB_STATES, FINISHED_JOB_STATES, JobState

if TYPE_CHECKING:
    from cli.liveness import Progress
    from db.jobs import JobRow

Line = Annotated[str | None, typer.Option(help="Place or camera that the pictures come from.")]
Lot = Annotated[str | None, typer.Option(help="Label of the lot; left out: the folder's name.")]
OnlyNew = Annotated[
    bool,
    typer.Option(
        "--only-new", help="Leave out what this model version has seen at that path, size and time (s3://: etag)."
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive/--no-recursive", help="Look into sub-folders.")]
Glob = Annotated[str | None, typer.Option(help="Only files whose name matches, e.g. '*_top.jpg'.")]
Priority = Annotated[int, typer.Option(min=0, max=9, help="0 (when there is nothing else) to 9 (before all else).")]
Key = Annotated[str | None, typer.Option(help="Your name for this submission: given twice, it is one job, not two.")]
Source = Annotated[str, typer.Argument(help="Folder of pictures, or s3://bucket/prefix.", metavar="FOLDER")]
JobId = Annotated[str, typer.Argument(help="Number of the job, or 'last'.", metavar="JOB")]

JOB_COLUMNS = [
    "job", "model", "version", "lot", "line", "state", "listed", "scored", "flagged", "unreadable", "quarantined",
    "cancelled", "unaccounted", "created_at", "finished_at", "source", "error",
]  # fmt: skip
JOB_TABLE = [
    "job",
    "model",
    "version",
    "lot",
    "line",
    "state",
    "listed",
    "scored",
    "flagged",
    "unreadable",
    "created_at",
]


def register(app: typer.Typer) -> None:
    app.command("submit", epilog="Example: oddlot submit flange /data/today --line press-3 --wait")(submit)
    app.command("jobs", epilog="Example: oddlot jobs --limit 5")(jobs)
    app.command("job", epilog="Example: oddlot job last --watch")(job)
    app.command("cancel", epilog="Example: oddlot cancel 12")(cancel)
    app.command("retry", epilog="Example: oddlot retry 12")(retry)


def submit(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    folder: Source,
    line: Line = None,
    lot: Lot = None,
    only_new: OnlyNew = False,
    recursive: Recursive = True,
    glob: Glob = None,
    priority: Priority = DEFAULT_PRIORITY,
    key: Key = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the job is finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a folder into the queue and print the job's number; workers do the rest."""
    from db import jobs
    from worker import submission

    session = open_session()
    job_row = list_folder(
        session, quiet=as_json,
        wish=submission.Submission(
            model=name, folder=place_of(folder), line=line, lot=lot, only_new=only_new, recursive=recursive, glob=glob,
            priority=priority, key=key,
        ),
    )  # fmt: skip
    published = submission.publish(session.engine, session.settings)
    if not as_json:
        say_submitted(session, job_row, published=published)
        if job_row.priority < priority:
            note(f"line {job_row.line} has more than its items a night: the job is done when nothing else waits")
    if wait:
        job_row = wait_for_job(session, job_row.id, quiet=as_json)
        if not as_json:
            note(completeness(job_row))
            say_validity(job_row, note)
    if as_json:
        print_json(whole_record(session, job_row))
    elif deferred := jobs.deferred_files(session.engine, job_row.id):
        note(f"{len(deferred)} files were still being written and are left for the next run: oddlot job {job_row.id}")
    if wait:
        raise_unless_done(session, job_row)


def say_submitted(session: Session, row: "JobRow", *, published: bool) -> None:
    """The number of a job on standard output, and beside it what was listed and whether somebody can work on it."""
    say(str(row.id))
    note(summary(row))
    say_if_submitted_before(session, row)
    if not published and row.state not in FINISHED_JOB_STATES:
        note(_unpublished(session))


def _unpublished(session: Session) -> str:
    from worker import broker

    if trouble := broker.trouble(session.settings):
        return f"{trouble}; the job is safe, and begins when it does: `oddlot doctor` looks for the cause"
    return "No queue runs yet; the job is safe in the database and starts with `oddlot up` or `oddlot worker`."


def say_if_submitted_before(session: Session, row: "JobRow") -> None:
    """Whoever submits a folder twice by mistake gets each of its pictures twice in the counts of the night."""
    from db import jobs

    if row.only_new or not row.listed or row.key is not None:  # a program with keys knows what it has submitted
        return
    if (other := jobs.submitted_before(session.engine, row)) is not None:
        note(
            f"This folder was submitted this night already, as job {other}: the same pictures are inspected and "
            f"counted again. `oddlot cancel {row.id}` takes it back, --only-new leaves out what was seen."
        )


def list_folder(session: Session, *, wish: Any, quiet: bool) -> "JobRow":
    """Submit with a counter on the screen while a large folder is listed."""
    import sys

    from db.audit_log import Act, record_done
    from worker import submission

    if quiet or not sys.stderr.isatty():
        row = submission.submit(session.engine, session.settings, wish)
    else:
        from cli.output import console

        with console(stderr=True).status("listing ...") as status:
            row = submission.submit(
                session.engine, session.settings, wish, on_listed=lambda n: status.update(f"listing: {n} files")
            )
    record_done(session.engine, actor(), Act.JOB_SUBMITTED, f"job {row.id}", row.source)
    return row


def jobs(
    limit: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="The newest so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest jobs, who works on them, and what keeps them from their end."""
    from cli import liveness
    from db import fits
    from db import jobs as rows

    session = open_session()
    found = rows.list_jobs(session.engine, limit=limit)
    progress, around = liveness.open_jobs(session)
    if as_json:
        of_job = {one.health.job_id: one for one in progress}
        print_json([{**job_record(row), **_progress_record(of_job.get(row.id))} for row in found])
        return
    for asked in fits.recent_fits(session.engine):
        note(f"fit {asked.id} of {asked.name} is {asked.state}" + (f": {asked.error}" if asked.error else ""))
    if not found:
        say("No jobs yet. Submit a folder: oddlot submit NAME FOLDER")
        return
    write_rows([job_record(row) for row in found], JOB_COLUMNS, Format.TABLE, None, table_columns=JOB_TABLE)
    if progress:
        note(liveness.queue_line(progress, around))
    for one in progress:
        if one.state != "ok":
            note(f"job {one.health.job_id}: {one.found}" + (f": {one.advice}" if one.advice else ""))


def _progress_record(progress: "Progress | None") -> dict[str, Any]:
    """What is open of a job, for `jobs --json`; `trouble` and `advice` are null where it goes on, or is at its end."""
    if progress is None:
        return {"waiting_batches": 0, "leased_batches": 0, "stuck_batches": 0, "oldest_waiting_seconds": None,
                "trouble": None, "advice": None}  # fmt: skip
    health, fine = progress.health, progress.state == "ok"
    return {
        "waiting_batches": health.waiting, "leased_batches": health.leased, "stuck_batches": health.stuck,
        "oldest_waiting_seconds": health.oldest_waiting_seconds, "trouble": None if fine else progress.found,
        "advice": None if fine else progress.advice or None,
    }  # fmt: skip


def job(
    job_id: JobId = "last",
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the job is finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """One job with its completeness record."""
    from db import jobs as rows

    session = open_session()
    row = find_job(session, job_id)
    if watch:
        row = wait_for_job(session, row.id, quiet=as_json)
    if as_json:
        print_json(whole_record(session, row))
        return
    deferred = rows.deferred_files(session.engine, row.id)
    say(summary(row))
    say(completeness(row))
    say_validity(row)
    for reason, count in (row.left_out or {}).items():
        say(f"left out: {count} ({reason})")
    for path in deferred[:20]:
        say(f"left for the next run, still being written: {path}")
    if len(deferred) > 20:
        say(f"... and {len(deferred) - 20} more; --json lists all")
    if row.error:
        say(f"error: {row.error}")
    if row.pruned_at is not None:
        say(f"pruned on {row.pruned_at:%Y-%m-%d}: results, heat maps and thumbnails were removed; this record stays")
    say_deliveries(session, row.id)


def cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job: what waits is cancelled, a batch in work is finished, results stay."""
    from db import endings

    session = open_session()
    row = endings.cancel_job(session.engine, find_job(session, job_id).id, actor())
    if as_json:
        print_json(job_record(row))
        return
    say(
        f"job {row.id} is cancelled: {row.scored} of {row.listed} were scored and stay; "
        f"{row.cancelled} were not looked at"
    )
    if row.unaccounted:
        say(f"{row.unaccounted} are in a worker's hands: finished with the batch, or cancelled if that worker is gone")


def retry(job_id: JobId, as_json: AsJson = False) -> None:
    """Inspect again what a finished job has not scored: unreadable, quarantined and cancelled items."""
    from worker import submission

    session = open_session()
    row, count = submission.retry(session.engine, session.settings, find_job(session, job_id).id)
    published = submission.publish(session.engine, session.settings)
    if as_json:
        print_json({**job_record(row), "put_back": count})
        return
    say(f"job {row.id}: {count} items are to be inspected" if count else f"job {row.id}: everything is scored already")
    if count and not published:
        say(_unpublished(session))


def find_job(session: Session, job_id: str) -> "JobRow":
    """The job called by its number or by 'last'. Raises NotFoundError."""
    from db import jobs as rows

    if job_id != "last" and not (job_id.isdecimal() and int(job_id) < 2**31):
        raise NotFoundError(f"{job_id!r} is not a job: give its number, or 'last'; `oddlot jobs` lists them")
    return rows.get_job(session.engine, "last" if job_id == "last" else int(job_id))


def job_record(row: "JobRow") -> dict[str, Any]:
    """A job as a flat record: the keys of `--json` and the columns of the table."""
    return {
        "job": row.id, "key": row.key, "model": row.model_name, "version": row.model_version, "lot": row.lot,
        "line": row.line, "state": str(row.state), "priority": row.priority, "night": row.night,
        "found": row.found, "seen_before": row.seen_before, "listed": row.listed, "scored": row.scored,
        "flagged": row.flagged, "unreadable": row.unreadable, "quarantined": row.quarantined,
        "cancelled": row.cancelled, "unaccounted": row.unaccounted, "left_out": row.left_out,
        "created_at": row.created_at, "started_at": row.started_at, "finished_at": row.finished_at,
        "pruned_at": row.pruned_at, "source": row.source, "error": row.error, "validity": row.validity,
    }  # fmt: skip


def whole_record(session: Session, row: "JobRow") -> dict[str, Any]:
    """`job_record`, the files that were still being written when the folder was listed, and where the report went."""
    from db import jobs

    deferred = jobs.deferred_files(session.engine, row.id)
    return {**job_record(row), "deferred": deferred, "deliveries": delivery_records(session, row.id)}


def summary(row: "JobRow") -> str:
    place = f", line {row.line}" if row.line else ""
    seen = f", {row.seen_before} of the folder's files seen before or waiting already" if row.seen_before else ""
    seen += f", {sum(row.left_out.values())} left out" if row.left_out else ""
    return (
        f"job {row.id} ({row.state}): lot {row.lot}{place}, model {row.model_name} version {row.model_version}, "
        f"{row.listed} pictures listed{seen}"
    )


def completeness(row: "JobRow") -> str:
    """The completeness record as one line."""
    return (
        f"completeness: listed {row.listed} = scored {row.scored} + unreadable {row.unreadable} + quarantined "
        f"{row.quarantined} + cancelled {row.cancelled}; unaccounted {row.unaccounted}"
    )


def raise_unless_done(session: Session, row: "JobRow") -> None:
    """Exit code 0 only for a job that ran to its end, 4 where its flags are not to be believed (yet).

    Raises OddlotError where it did not, or there was nothing to look at.
    """
    from db import jobs

    if row.is_empty and not jobs.deferred_files(session.engine, row.id):
        left = ", ".join(f"{count} {reason}" for reason, count in row.left_out.items())
        raise OddlotError(f"job {row.id}: no pictures were found in {row.source}{left and f' (left out: {left})'}: is "
                          "it the right folder, and is the share there?")  # fmt: skip
    if row.state == JobState.FAILED:
        raise OddlotError(f"job {row.id} failed: {row.error}. When that is mended: oddlot retry {row.id}")
    if row.state == JobState.CANCELLED:
        raise OddlotError(f"job {row.id} was cancelled; oddlot retry {row.id} goes on with it")
    if row.state in DOUBTED_JOB_STATES:
        raise typer.Exit(HELD_STATUS)
