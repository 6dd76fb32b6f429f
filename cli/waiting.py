"""Waiting for a job with its progress on the screen."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.output import note
from cli.session import Session
from oddlot.words import FINISHED_JOB_STATES

if TYPE_CHECKING:
    from db.jobs import JobRow

POLL_SECONDS = 0.25
POLL_SHARE = 0.05
"""Share of the time that may go into looking: counting the items of a large job takes a while."""
LONELY_AFTER = 15.0
"""Seconds without any living worker after which a waiting person is told."""


def wait_for_job(
    session: Session, job_id: int, *, quiet: bool = False, check: Callable[[], None] | None = None
) -> "JobRow":
    """Return the job when it is finished. `check` is called between looks and may raise to end the wait."""
    if quiet or not sys.stderr.isatty():
        return _poll(session, job_id, check, lambda row: None)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cli.output import console

    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[flagged]} flagged"), console=console(stderr=True), transient=True,
    ) as bars:  # fmt: skip
        task = bars.add_task(f"job {job_id}", total=None, flagged=0)

        def show(row: "JobRow") -> None:
            bars.update(task, total=row.listed, completed=row.listed - row.unaccounted, flagged=row.flagged)

        return _poll(session, job_id, check, show)


def _poll(
    session: Session, job_id: int, check: Callable[[], None] | None, show: Callable[["JobRow"], None]
) -> "JobRow":
    from db import jobs, workers

    last_company = time.monotonic()
    told = False
    while True:
        began = time.monotonic()
        row = jobs.get_job(session.engine, job_id)
        looked = time.monotonic() - began
        show(row)
        if row.state in FINISHED_JOB_STATES and row.unaccounted == 0:
            return row
        if check is not None:
            check()
        elif not told and time.monotonic() - last_company > LONELY_AFTER:
            if workers.living(session.engine):
                last_company = time.monotonic()
            else:
                note("still waiting: no worker is alive; start one with `oddlot up` or `oddlot worker`")
                told = True
        time.sleep(max(POLL_SECONDS, looked / POLL_SHARE))
