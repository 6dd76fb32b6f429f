"""Works off the reports that are due, and ends.

    python -m worker.delivery

is started by the sweeper, and by `oddlot inspect` at its end: a process of its own, so that a server which answers
never, or a report that takes long, keeps nobody from sweeping and scoring.
"""

import faulthandler
import sys
from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import deliveries
from db.deliveries import PAUSES, DeliveryRow
from db.engine import open_database
from db.jobs import JobRow, get_job
from oddlot.errors import OddlotError
from oddlot.processes import identity
from oddlot.settings import Settings, load_settings
from oddlot.words import DeliveryKind
from worker import senders
from worker.targets import masked, report_folder, targets_of

log = structlog.get_logger()

LEASE_SECONDS = 300.0
"""Longer than any attempt: then somebody else may try."""
ATTEMPT_SECONDS = 240.0
"""When a process that makes an attempt for so long is ended, whatever it waits for."""
LONGEST_ERROR = 300


def deliver_due(engine: Engine, settings: Settings, *, pauses: Sequence[timedelta] = PAUSES) -> int:
    """Make an attempt at each report that is due; returns how many arrived. One that does not is tried again later."""
    owner, targets = identity(), targets_of(settings)
    arrived = 0
    made: dict[int, bytes] = {}
    while (row := deliveries.claim(engine, targets, owner, LEASE_SECONDS)) is not None:
        faulthandler.dump_traceback_later(ATTEMPT_SECONDS, exit=True)
        try:
            _send(engine, settings, row, made)
        except Exception as error:  # whatever is wrong with this one, the others are owed as well
            reason = masked(_one_line(error), settings)[:LONGEST_ERROR]
            log.warning("report not delivered", job=row.job_id, kind=row.kind, attempt=row.attempts, error=reason)
            deliveries.record_failed(engine, row, owner, reason, pauses)
        else:
            log.info("report delivered", job=row.job_id, kind=row.kind, attempt=row.attempts)
            arrived += deliveries.record_sent(engine, row, owner)
        finally:
            faulthandler.cancel_dump_traceback_later()
    return arrived


def _send(engine: Engine, settings: Settings, row: DeliveryRow, made: dict[int, bytes]) -> None:
    from report.records import job_summary

    job = get_job(engine, row.job_id)
    if row.kind == DeliveryKind.WEBHOOK:
        record = {"event": "job.finished", "delivery": row.number, **job_summary(settings, engine, job)}
        senders.post(settings.webhook_url, settings.webhook_secret, row.number, record)
        return
    if row.job_id not in made:
        from report.job_report import make_report

        made.clear()  # one at a time is enough: those of one job stand together
        made[row.job_id] = make_report(settings, engine, row.job_id).encode()
    if row.kind == DeliveryKind.FOLDER:
        senders.write_to_folder(report_folder(settings), file_name(job), made[row.job_id])
    else:
        senders.send_mail(settings, _message(engine, settings, job, row, made[row.job_id]))


def _message(engine: Engine, settings: Settings, job: JobRow, row: DeliveryRow, report: bytes) -> EmailMessage:
    from report.records import job_summary
    from report.summary import subject
    from report.summary_pages import summary_html, summary_text

    record = job_summary(settings, engine, job)
    return senders.message_to(
        settings, row.target, row.number, subject=subject(job), text=summary_text(record), html=summary_html(record),
        report=report, name=file_name(job), moment=job.finished_at or job.created_at,
    )  # fmt: skip


def file_name(job: JobRow) -> str:
    """`LOT-job-ID.html`, of the lot what any file system takes."""
    letters = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in job.lot)
    lot = letters.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").lstrip(".")
    return f"{lot or 'lot'}-job-{job.id}.html"


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, OddlotError | OSError) else f"{type(error).__name__}: {text}"


def main() -> int:
    """Deliver what is due. Exit 1 where settings or database forbid it."""
    from worker.supervision import configure_logging

    configure_logging()
    try:
        settings = load_settings()
        engine = open_database(settings.database_url)
        deliver_due(engine, settings)
        engine.dispose()
    except (OddlotError, SQLAlchemyError) as error:
        log.error("reports cannot be delivered", error=_one_line(error).split("[SQL")[0])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
