"""What became of the report of a job, for `oddlot job`, `inspect` and `doctor`."""

import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cli.output import note, printable, say
from cli.session import Session
from oddlot.settings import Settings

if TYPE_CHECKING:
    from db.deliveries import DeliveryRow

SECONDS = 60.0
"""How long `oddlot inspect` waits at its end until the report of its job is sent."""


def delivery_records(session: Session, job_id: int) -> list[dict[str, Any]]:
    """The reports of a job as records for `--json`."""
    from db.deliveries import deliveries_of

    return [
        {
            "kind": str(row.kind), "target": row.target, "state": row.state, "attempts": row.attempts,
            "delivered_at": row.delivered_at, "next_at": row.next_at, "error": row.error,
        }
        for row in deliveries_of(session.engine, job_id)
    ]  # fmt: skip


def say_deliveries(session: Session, job_id: int) -> None:
    """A line for each report of a job."""
    from db.deliveries import deliveries_of

    for row in deliveries_of(session.engine, job_id):
        say(f"report to {row.kind!s} {printable(row.target)}: {_told(row)}")


def send_reports(session: Session, job_id: int) -> None:
    """Send what is owed for a finished job, for a minute at most; what is not sent then waits for the next worker."""
    from db import deliveries
    from worker.postman import start_sender
    from worker.targets import targets_of

    targets = targets_of(session.settings)
    if not targets:
        return
    deliveries.plan(session.engine, targets)
    until = time.monotonic() + SECONDS
    try:
        start_sender(quiet=True).wait(SECONDS)
        # A worker that is just being stopped may have begun with one.
        while time.monotonic() < until and _any_under_way(session, job_id):
            time.sleep(0.25)
    except subprocess.TimeoutExpired:
        pass  # it goes on by itself, and ends soon
    except OSError as error:  # no memory for a process: the next worker sends it
        note(f"no process to send the report: {error.strerror}")
    for row in deliveries.deliveries_of(session.engine, job_id):
        if row.state != "sent":
            note(f"report to {row.kind!s} {printable(row.target)}: {_told(row)}")


def _any_under_way(session: Session, job_id: int) -> bool:
    from db.deliveries import deliveries_of

    return any(row.state == "sending" for row in deliveries_of(session.engine, job_id))


def _told(row: "DeliveryRow") -> str:
    tries = "1 attempt" if row.attempts == 1 else f"{row.attempts} attempts"
    reason = f": {printable(row.error)}" if row.error else ""
    if row.delivered_at is not None:
        return f"sent at {row.delivered_at:%Y-%m-%d %H:%M} UTC"
    if row.next_at is None:
        return f"failed for good after {tries}{reason}"
    if row.state == "sending":
        return f"being sent, {tries}{reason}"
    return f"waiting, {tries}, the next at {row.next_at:%Y-%m-%d %H:%M} UTC with a worker running{reason}"


def look_at_targets(session: Session) -> list[tuple[str, str, str]]:
    """For `doctor`: of each target a state (ok, note, wrong), what was found, and what to do."""
    from db.deliveries import failed_lately
    from oddlot.words import DeliveryKind
    from worker.targets import targets_of

    settings, found = session.settings, []
    mailed = False
    for kind, target in targets_of(settings):
        if kind == DeliveryKind.FOLDER:
            found.append(_folder(target))
        elif kind == DeliveryKind.WEBHOOK:
            signed = bool(settings.webhook_secret)
            advice = "" if signed else "set ODDLOT_WEBHOOK_SECRET, so that the receiver can tell that it is Oddlot"
            found.append(
                ("ok" if signed else "note", f"webhook {target}, {'signed' if signed else 'not signed'}", advice)
            )
        elif not mailed:
            mailed = True
            found.append(_mail_server(settings))
    for row in failed_lately(session.engine, timedelta(days=7))[:5]:
        found.append(("wrong", f"report of job {row.job_id} to {row.kind!s} {row.target} failed for good: {row.error}",
                      f"mend it; the report itself: oddlot report {row.job_id}"))  # fmt: skip
    return found


def _folder(target: str) -> tuple[str, str, str]:
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=target):
            return "ok", f"folder {target}", ""
    except OSError as error:
        return "wrong", f"folder {target}: {error.strerror}", "make the folder, or mend ODDLOT_REPORT_FOLDER"


def _mail_server(settings: Settings) -> tuple[str, str, str]:
    import smtplib

    from worker.senders import smtp_connection
    from worker.targets import masked, shown_url

    shown = f"mail server {shown_url(settings.smtp_url)} for {settings.report_email}"
    try:
        with smtp_connection(settings.smtp_url, 5.0) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = masked(" ".join(text.split()), settings)
        return "wrong", f"{shown}: {reason}", "start it, or mend ODDLOT_SMTP_URL"
    return "ok", f"{shown} answers", ""
