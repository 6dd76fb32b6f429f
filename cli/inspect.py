"""`oddlot inspect`: the whole inspection in one command, with nothing running before."""

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import jobs as job_commands
from cli.deliveries import send_reports
from cli.jobs import AsJson, Glob, Key, Line, Lot, OnlyNew, Priority, Recursive, Source
from cli.output import Format, note, print_json, say
from cli.results import COLUMNS, FLAGGED_TABLE, show_rows
from cli.services import Concurrency, WorkerProcess, stop_on_signals, worker_process
from cli.session import Session, open_session
from cli.validity import say_validity
from cli.waiting import wait_for_job
from oddlot.places import place_of
from oddlot.queue import DEFAULT_PRIORITY
from oddlot.words import DOUBTED_JOB_STATES, FINISHED_JOB_STATES, JobState

if TYPE_CHECKING:
    from db.jobs import JobRow
    from worker.submission import Submission


LOOK_SECONDS = 2.0
"""How often a waiting `inspect` looks whether somebody else's worker still lives."""


def register(app: typer.Typer) -> None:
    app.command("inspect", epilog="Example: oddlot inspect flange /data/today --line press-3")(inspect)


def inspect(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    folder: Source,
    line: Line = None,
    lot: Lot = None,
    only_new: OnlyNew = False,
    recursive: Recursive = True,
    glob: Glob = None,
    priority: Priority = DEFAULT_PRIORITY,
    key: Key = None,
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Submit a folder, work on it, print what was flagged, and stop everything that was started for it.

    Workers that already run (`oddlot up`) do the work where there are any. Ctrl-C stops in order: the job stays in
    the database and goes on with the next worker.
    """
    from worker.submission import Submission

    session = open_session()
    wish = Submission(
        model=name, folder=place_of(folder), line=line, lot=lot, only_new=only_new, recursive=recursive, glob=glob,
        priority=priority, key=key,
    )  # fmt: skip
    row = run_inspection(session, wish, concurrency, quiet=as_json)
    if row is None:
        return
    if row.state not in FINISHED_JOB_STATES:
        if as_json:
            print_json(job_commands.whole_record(session, row))
        return
    if not as_json:
        show_inspection(session, row)
    send_reports(session, row.id)
    if as_json:
        print_json({**job_commands.whole_record(session, row), "flagged_items": flagged_rows(session, row.id)})
    job_commands.raise_unless_done(session, row)


def run_inspection(
    session: Session, wish: "Submission", concurrency: int | None = None, *, quiet: bool = False
) -> "JobRow | None":
    """Submit, start what is not running, wait, stop it.

    Where the user stops it, the job is returned as it stands, or None if it was not listed to its end.
    """
    from db import jobs
    from worker import broker, submission

    settings = session.settings
    row: JobRow | None = None
    try:
        with stop_on_signals(), broker.embedded_broker(settings), ExitStack() as stack:
            row = job_commands.list_folder(session, wish=wish, quiet=quiet)
            if not quiet:
                note(job_commands.summary(row))
                job_commands.say_if_submitted_before(session, row)
            if row.state in FINISHED_JOB_STATES:
                return row
            if not submission.publish(session.engine, settings) and (trouble := broker.trouble(settings)):
                note(f"{trouble}; still waiting: `oddlot doctor` looks for the cause, Ctrl-C leaves the job for later")
            somebody = _SomebodyWorks(session, concurrency, stack)
            return wait_for_job(session, row.id, quiet=quiet, check=somebody.check)
    except KeyboardInterrupt:
        if row is None:
            note("stopped while the folder was listed: the job is cancelled, nothing was inspected")
            return None
        note(
            f"stopped; job {row.id} is safe in the database: `oddlot up` goes on with it, "
            f"`oddlot cancel {row.id}` drops what is left"
        )
        return jobs.get_job(session.engine, row.id)


class _SomebodyWorks:
    """Sees to it that there is a worker: one that runs already, or our own as soon as there is none."""

    def __init__(self, session: Session, concurrency: int | None, stack: ExitStack) -> None:
        self._session, self._concurrency, self._stack = session, concurrency, stack
        self._own: WorkerProcess | None = None
        self._looked = -math.inf

    def check(self) -> None:
        """Raises OddlotError where our own worker ends before it has begun, by an error of its own."""
        if self._own is not None:
            self._own.keep()
        elif time.monotonic() - self._looked > LOOK_SECONDS:
            from db import workers

            self._looked = time.monotonic()
            if not workers.living(self._session.engine):
                self._own = self._stack.enter_context(
                    worker_process(self._session.settings, "worker.app", self._concurrency)
                )


def show_inspection(session: Session, row: "JobRow") -> None:
    """The flagged table, the completeness record, and where to go next."""
    from db import jobs as job_rows
    from db.results import ResultFilter

    if row.state in DOUBTED_JOB_STATES:
        pass  # no wall of flags: the reasons come first, and say where the flags are
    elif row.flagged:
        say(f"{row.flagged} of {row.scored} pictures are odd, most suspicious first:")
        wanted = ResultFilter(job_id=row.id, flagged_only=True)
        show_rows(session, wanted, Format.TABLE, None, None, FLAGGED_TABLE)
    elif row.state == JobState.DONE and row.listed:
        say(f"None of {row.scored} pictures is odd.")
    say_validity(row)
    say(job_commands.completeness(row))
    deferred = job_rows.deferred_files(session.engine, row.id)
    if deferred:
        say(f"{len(deferred)} files were still being written and are left for the next run: oddlot job {row.id}")
    for reason, count in row.left_out.items():
        say(f"left out: {count} ({reason})")
    if row.unreadable or row.quarantined:
        say(f"Not inspected, with the reason: oddlot results --job {row.id} --state unreadable (or quarantined)")
    say(f"Every item: oddlot results --job {row.id} --format csv -o job-{row.id}.csv")


def flagged_rows(session: Session, job_id: int) -> list[dict[str, Any]]:
    from db.results import ResultFilter, iter_results

    wanted = ResultFilter(job_id=job_id, flagged_only=True)
    return [{name: row[name] for name in COLUMNS} for row in iter_results(session.engine, wanted)]
