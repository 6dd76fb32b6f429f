"""`oddlot nightly`: folders that are submitted every night by themselves."""

import datetime as dt
import os
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import jobs as job_commands
from cli.jobs import Line, OnlyNew
from cli.output import AsJson, Format, note, print_json, say, write_rows
from cli.session import open_session
from oddlot.errors import OddlotError
from oddlot.places import is_address, place_of
from oddlot.queue import TICK_SECONDS

if TYPE_CHECKING:
    from db.schedules import RunRow, ScheduleRow

COLUMNS = ["schedule", "model", "folder", "at", "zone", "line", "keep_days", "state", "next_due", "last_due", "job",
           "result"]  # fmt: skip

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATIENCE = dt.timedelta(seconds=4 * TICK_SECONDS)
"""So long after a due time somebody should have started its run."""

Schedule = Annotated[str, typer.Argument(help="Name of the schedule.", metavar="SCHEDULE")]

group = typer.Typer(no_args_is_help=False, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="nightly", epilog="Example: oddlot nightly list")


@group.callback()
def nightly(context: typer.Context, as_json: AsJson = False) -> None:
    """Schedules: list (also without a word behind it), add, remove, pause, resume, run-now.

    What is due is started while `oddlot up` runs, or `celery -A worker.app beat` and a worker.
    """
    if context.invoked_subcommand is None:
        list_all(as_json)
    elif as_json:
        raise typer.BadParameter("write --json behind the word: oddlot nightly list --json")


@group.command(
    "add", epilog="Example: oddlot nightly add flange '/data/line3/{yesterday:%Y-%m-%d}' --at 02:00 --line line3"
)
def add(
    name: Annotated[str, typer.Argument(help="Name of the model; its active version of the night is used.")],
    folder: Annotated[
        str,
        typer.Argument(
            help="Folder, or s3://bucket/prefix. {today:%Y-%m-%d} or {yesterday:...} in it stands for a date."
        ),
    ],
    at: Annotated[str, typer.Option(help="Time of day, as 02:00.")],
    zone: Annotated[
        str | None, typer.Option(help="Time zone, as Europe/Berlin; left out: that of this machine.")
    ] = None,
    line: Line = None,
    only_new: OnlyNew = False,
    keep: Annotated[
        int | None,
        typer.Option(
            min=1, max=36_500, help="Days to keep its results; items with a verdict stay. Left out: for ever."
        ),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option("--name", help="Name of the schedule; left out: that of the model.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Submit a folder every night, at a time of day in a time zone, from now on."""
    from db import models, schedules
    from worker import folder_pattern
    from worker.due_times import DueTimes

    called = name if schedule is None else schedule
    if not _NAME.fullmatch(called):
        raise OddlotError(
            f"{called!r} cannot be the name of a schedule: use up to 64 letters (a to z), digits, '.', '_' and '-'"
        )
    place = str(place_of(folder))
    if not is_address(place):
        place = os.path.abspath(place)
    folder_pattern.check(place)
    times = DueTimes.parse(at, _local_zone() if zone is None else zone)
    session = open_session()
    models.get_model(session.engine, name)
    row = schedules.add_schedule(
        session.engine, name=called, model_name=name, folder=place, line=line, at=f"{times.at:%H:%M}",
        time_zone=times.zone.key, only_new=only_new, keep_days=keep,
    )  # fmt: skip
    if as_json:
        print_json(record(row, None, set()))
        return
    following = times.following(row.active_since)
    say(f"schedule {row.name}: {row.folder} against {row.model_name}, daily at {row.at} {row.time_zone}")
    say(f"next at {_on_clock(times.local(following))}, while `oddlot up` runs")
    expected = folder_pattern.folder_on(place, times.day_of(following))
    if expected == place and not is_address(place) and not os.path.isdir(place):
        note(f"{place} is not there now: a run that does not find it fails, and says so in `oddlot nightly list`")


@group.command("list", epilog="Example: oddlot nightly list --json")
def list_all(as_json: AsJson = False) -> None:
    """All schedules: when each is due next, and what became of its last run."""
    from db import schedules
    from worker import nightly as rooms

    session = open_session()
    latest = schedules.latest_runs(session.engine)
    started = schedules.runs_since(session.engine, dt.datetime.now(dt.UTC) - rooms.WITHIN)
    found = schedules.list_schedules(session.engine)
    rows = [record(row, latest.get(row.id), started.get(row.id, set())) for row in found]
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("No schedules yet. Add one: oddlot nightly add NAME FOLDER --at 02:00")
        return
    shown = [{**row, **_for_the_table(row)} for row in rows]
    write_rows(shown, COLUMNS, Format.TABLE, None, table_columns=COLUMNS)
    for row in rows:
        if row["missed"]:
            note(f"{row['schedule']}: {row['missed']} runs before the last one were missed: nobody was there to "
                 f"start them; `oddlot submit` inspects what is still wanted")  # fmt: skip
        if row["error"] is not None:
            again = f"; when that is mended: oddlot nightly run-now {row['schedule']}"
            note(f"{row['schedule']}: {row['error']}{again if row['result'] == 'failed' else ''}")
        if row["result"] == "done" and row["found"] == 0 and not row["only_new"]:
            note(f"{row['schedule']}: no pictures were found: `oddlot job {row['job']}` says where it looked; is the "
                 "share there?")  # fmt: skip
        if row["overdue_since"] is not None:
            note(f"{row['schedule']}: nobody has started what was due at {row['overdue_since']:%Y-%m-%d %H:%M} UTC: "
                 f"start `oddlot up`, or `celery -A worker.app beat` and a worker")  # fmt: skip


@group.command("remove", epilog="Example: oddlot nightly remove line3")
def remove(name: Schedule) -> None:
    """Forget a schedule; its jobs and their results stay."""
    from db import schedules

    schedules.remove_schedule(open_session().engine, name)
    say(f"schedule {name} is removed; its jobs stay")


@group.command("pause", epilog="Example: oddlot nightly pause line3")
def pause(name: Schedule) -> None:
    """Start nothing of a schedule until it is resumed."""
    from db import schedules

    schedules.pause_schedule(open_session().engine, name)
    say(f"schedule {name} is paused: oddlot nightly resume {name}")


@group.command("resume", epilog="Example: oddlot nightly resume line3")
def resume(name: Schedule) -> None:
    """Go on with a paused schedule; what was due meanwhile is not caught up."""
    from db import schedules
    from worker import nightly as rooms

    row = schedules.resume_schedule(open_session().engine, name)
    times = rooms.due_times(row)
    following = times.following(row.active_since)
    say(f"schedule {name} is active, next at {_on_clock(times.local(following))}")


@group.command("run-now", epilog="Example: oddlot nightly run-now line3")
def run_now(name: Schedule, as_json: AsJson = False) -> None:
    """Start the last run again where it failed, otherwise one as if it were due now; prints the job's number."""
    from db import schedules
    from worker import nightly as rooms
    from worker import submission

    session = open_session()
    row = schedules.get_schedule(session.engine, name)
    job, due_at = rooms.run_now(session.engine, session.settings, row)
    published = submission.publish(session.engine, session.settings)
    if as_json:
        print_json({**job_commands.whole_record(session, job), "schedule": row.name, "due_at": due_at})
        return
    job_commands.say_submitted(session, job, published=published)


def record(row: "ScheduleRow", run: "RunRow | None", started: set[dt.datetime]) -> dict[str, Any]:
    """A schedule with its last run, as a flat record: the keys of `--json`; `started` are the due times of late
    for which somebody has started one.

    `overdue_since` is a due time for which nobody has started a run.
    """
    from worker import nightly as rooms

    error = run.error if run is not None and run.failed else None
    following: dt.datetime | None = None
    overdue: dt.datetime | None = None
    try:
        times = rooms.due_times(row)
    except OddlotError as unknown_zone:
        error = error or str(unknown_zone)
    else:
        if not row.paused:
            moment = dt.datetime.now(dt.UTC)
            following = times.following(max(moment, row.active_since))
            overdue = times.latest(moment - _PATIENCE, since=row.active_since)
            if overdue in started:
                overdue = None
    return {
        "schedule": row.name, "model": row.model_name, "folder": row.folder, "at": row.at, "zone": row.time_zone,
        "line": row.line, "only_new": row.only_new, "keep_days": row.keep_days,
        "state": "paused" if row.paused else "active", "created_at": row.created_at, "next_due": following,
        "last_due": None if run is None else run.due_at, "job": None if run is None else run.job_id,
        "result": None if run is None else _result(run), "error": error, "missed": 0 if run is None else run.missed,
        "found": None if run is None else run.job_found, "overdue_since": overdue,
    }  # fmt: skip


def _result(run: "RunRow") -> str:
    if run.failed:
        return "failed"
    return "starting" if run.job_state is None else str(run.job_state)


def _for_the_table(row: dict[str, Any]) -> dict[str, Any]:
    """Due times as the clocks of the schedule's zone show them."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        zone: dt.tzinfo = ZoneInfo(row["zone"])
    except ZoneInfoNotFoundError:
        zone = dt.UTC
    return {
        name: None if row[name] is None else _on_clock(row[name].astimezone(zone)) for name in ("next_due", "last_due")
    }


def _on_clock(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _local_zone() -> str:
    """The name of this machine's time zone. Raises OddlotError where it has none."""
    import warnings

    import tzlocal

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a machine without any setting is taken for UTC
            name = tzlocal.get_localzone_name()
    except (KeyError, ValueError, OSError):
        name = None
    if not name:
        raise OddlotError("the time zone of this machine has no name: give one with --zone, as Europe/Berlin")
    return str(name)
